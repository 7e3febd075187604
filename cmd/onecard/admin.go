package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"onecard/exchange"
	"onecard/exchange/insurance"
	"onecard/internal/gb"
	"onecard/keys"
	"onecard/registry"
	"onecard/registry/sample"
)

// withRecords opens the records for a command and closes them after it.
func (s settings) withRecords(ctx context.Context, out streams, work func(*platform) error) error {
	c, err := load(s.Config, os.Environ, s.given())
	if err != nil {
		return err
	}
	p, err := openRecords(ctx, c, newLogger(out.Err, c.Log))
	if err != nil {
		return err
	}
	return errors.Join(work(p), p.close())
}

type migrateCommand struct{ settings }

// Run brings the database's schema up to date: opening it does.
func (c *migrateCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		_, err := fmt.Fprintln(out.Out, "数据库结构已是最新 the database is up to date:", redacted(p.config.Database))
		return err
	})
}

type enrolCommand struct {
	settings
	ID  string `arg:"" help:"The workstation, as the registry has it. 工作站编号。"`
	Out string `required:"" type:"path" placeholder:"DIR" help:"Directory for the certificate and its key. 证书和私钥的存放目录。"`
}

// Run makes a workstation's certificate, in place of any earlier one.
func (c *enrolCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		if err := p.enrol(ctx, c.ID, c.Out); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out.Out, "工作站 %s 已登记，证书在 %s\nworkstation %s is enrolled, its certificate is in %s\n", c.ID, c.Out, c.ID, c.Out)
		return err
	})
}

// enrol writes the files of a workstation into dir and then makes them good:
// should it fail in between, the earlier certificate still holds.
func (p *platform) enrol(ctx context.Context, id, dir string) error {
	if _, err := p.db.Workstation(ctx, id); err != nil {
		return fmt.Errorf("工作站 workstation %s: %w", id, err)
	}
	enrolment, err := p.authority.Enrol(id)
	if err != nil {
		return err
	}
	if err := enrolment.WriteFiles(dir); err != nil {
		return err
	}
	return p.db.InTx(ctx, console, func(tx *registry.Tx) error {
		return tx.EnrolWorkstation(id, enrolment.Fingerprint)
	})
}

type operatorAddCommand struct {
	settings
	Login        string   `arg:"" help:"2 to 64 lower-case letters, digits or . _ -. 登录名。"`
	Name         string   `required:"" help:"Name of the person. 姓名。"`
	Roles        []string `required:"" help:"clerk, reviewer, issuer, supervisor, cashier, admin. 岗位。"`
	Institution  string   `required:"" help:"Id of the institution. 所在机构。"`
	Place        string   `required:"" help:"Division code of 6 digits. 行政区划代码。"`
	Locality     string   `help:"Township (9 digits) or community (12) of an office below the county. 乡镇、村级机构的代码。"`
	PasswordFile string   `type:"path" placeholder:"FILE" help:"File with the first password; default standard input. 初始密码文件。"`
}

// Run enters an operator. The password never stands in the command line, where
// other users of the machine could read it.
func (c *operatorAddCommand) Run(ctx context.Context, out streams) error {
	password, err := c.password(out.In)
	if err != nil {
		return err
	}
	return c.withRecords(ctx, out, func(p *platform) error {
		err := p.db.InTx(ctx, console, func(tx *registry.Tx) error {
			return tx.AddOperator(registry.Operator{
				Login: c.Login, Name: c.Name, Roles: c.Roles, Institution: c.Institution, Place: c.Place, Locality: c.Locality,
			}, password)
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out.Out, "操作员已登记 operator entered:", c.Login)
		return err
	})
}

func (c *operatorAddCommand) password(in io.Reader) (string, error) {
	if c.PasswordFile != "" {
		file, err := os.Open(c.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	line, err := bufio.NewReader(io.LimitReader(in, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

type keysInitCommand struct {
	settings
	Transport string `type:"path" placeholder:"FILE" help:"The chip maker's transport key to import. 卡商传输密钥文件。"`
	Delivered bool   `help:"Make only the keys of personal data: those of cards are delivered, by ceremony or key block. 卡密钥由上级下发，不在此生成。"`
}

// Run makes the province's keys, once.
func (c *keysInitCommand) Run(out streams) error {
	config, err := load(c.Config, os.Environ, c.given())
	if err != nil {
		return err
	}
	specs := keys.Provincial()
	if c.Delivered {
		specs = slices.DeleteFunc(specs, func(spec keys.Spec) bool { return spec.Name != keys.DataKey && spec.Name != keys.IndexKey })
	}
	if err := initKeysAs(config, specs, c.Transport); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out.Out, "密钥已生成 keys made:", config.keyFile())
	return err
}

// initKeys makes all keys of the province.
func initKeys(c config, transport string) error {
	return initKeysAs(c, keys.Provincial(), transport)
}

// initKeysAs makes the key-encryption key, or its two shares when the
// configuration has them, and the key file with version 1 of every key
// described. transport is the file of the chip maker's transport key, or empty.
// Files that exist are left alone (keys.ErrExists).
func initKeysAs(c config, specs []keys.Spec, transport string) error {
	directory := filepath.Dir(c.keyFile())
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return fmt.Errorf("key directory: %w", err)
	}
	kek, err := keys.GenerateKEK(rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKEK(c, kek); err != nil {
		return err
	}
	keeper, err := keys.Create(c.keyFile(), kek, specs)
	if err != nil || transport == "" {
		return err
	}
	return importTransport(keeper, "", transport)
}

func writeKEK(c config, kek keys.KEK) error {
	if len(c.Shares) == 0 {
		return kek.WriteFile(c.KEK)
	}
	first, second, err := kek.Split(rand.Reader)
	if err != nil {
		return err
	}
	return errors.Join(first.WriteFile(c.Shares[0]), second.WriteFile(c.Shares[1]))
}

// importTransport imports a chip maker's transport key as the next version of
// the key with that name; without a name, as both the SM4 and the 3DES one.
func importTransport(keeper *keys.Keeper, name, path string) error {
	for _, spec := range keys.Provincial() {
		if spec.Usage != keys.Transport || name != "" && spec.Name != name {
			continue
		}
		version, err := keeper.Current(spec.Name)
		if err != nil && !errors.Is(err, keys.ErrNoKey) {
			return err
		}
		if err := keeper.ImportFile(spec, version+1, path); err != nil {
			return err
		}
	}
	return nil
}

type keysTransportCommand struct {
	settings
	File string `arg:"" type:"path" help:"The key in hexadecimal, mode 0600. 密钥文件。"`
	Name string `enum:",TRANSPORT,TRANSPORT_3DES" default:"" help:"TRANSPORT or TRANSPORT_3DES; both when left out. 密钥名。"`
}

// Run imports another transport key of the chip maker.
func (c *keysTransportCommand) Run(out streams) error {
	config, err := load(c.Config, os.Environ, c.given())
	if err != nil {
		return err
	}
	keeper, err := openKeeper(config)
	if err != nil {
		return err
	}
	if err := importTransport(keeper, c.Name, c.File); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out.Out, "传输密钥已导入 transport key imported")
	return err
}

type sampleLoadCommand struct{ settings }

// Run loads the sample province; loading again changes nothing.
func (c *sampleLoadCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		if err := p.loadSample(ctx); err != nil {
			return err
		}
		province, err := sample.Read()
		if err != nil {
			return err
		}
		for _, o := range province.Operators {
			if _, err := fmt.Fprintf(out.Out, "%-12s %-16s %s\n", o.Login, o.Password, strings.Join(o.Roles, ", ")); err != nil {
				return err
			}
		}
		return nil
	})
}

// loadSample marks the database as one for trials and fills it.
func (p *platform) loadSample(ctx context.Context) error {
	if err := p.db.MarkTrial(ctx, console); err != nil {
		return err
	}
	if err := sample.Load(ctx, p.db); err != nil {
		return err
	}
	insured, err := p.sampleInsured(ctx)
	if err != nil {
		return err
	}
	return insurance.LoadSample(ctx, p.db, console, insured...)
}

// sampleInsured enrols every third resident of the sample as a resident,
// without a personal account, and the others as employees.
func (p *platform) sampleInsured(ctx context.Context) ([]insurance.Insured, error) {
	province, err := sample.Read()
	if err != nil {
		return nil, err
	}
	since, err := gb.NewDate(2020, time.January, 1)
	if err != nil {
		return nil, err
	}
	var insured []insurance.Insured
	for i, resident := range province.Residents {
		number, err := gb.ParseIDNumber(resident.IDNumber)
		if err != nil {
			return nil, err
		}
		person, err := p.db.PersonByIDNumber(ctx, number)
		if err != nil {
			return nil, err
		}
		place, err := registry.Prefecture(person.Place)
		if err != nil {
			return nil, err
		}
		kind := exchange.KindEmployee
		if i%3 == 1 {
			kind = exchange.KindResident
		}
		insured = append(insured, insurance.Insured{PersonID: person.ID, Kind: kind, Place: place, From: since})
	}
	return insured, nil
}

type versionCommand struct{}

// Run prints what was built.
func (versionCommand) Run(out streams) error {
	version, revision := "devel", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value
			}
		}
	}
	_, err := fmt.Fprintln(out.Out, strings.TrimSpace("onecard "+version+" "+revision))
	return err
}
