package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"onecard/keys"
	"onecard/registry"
)

// recorded does something with keys that leaves its record in the audit chain
// before it begins, and another one if it fails: nothing is done unrecorded.
func (p *platform) recorded(ctx context.Context, action, subject string, detail map[string]string, do func() error) error {
	note := func(action string) error {
		return p.db.InTx(ctx, console, func(tx *registry.Tx) error { return tx.Audit(action, subject, detail) })
	}
	if err := note(action); err != nil {
		return err
	}
	if err := do(); err != nil {
		return errors.Join(err, note(action+".failed"))
	}
	return nil
}

// withKeys opens the records, and the key file itself for a command that
// changes it: whichever keeper serves the platform, keys come in and go out here.
func (s settings) withKeys(ctx context.Context, out streams, work func(*platform, *keys.Keeper) error) error {
	return s.withRecords(ctx, out, func(p *platform) error {
		keeper, err := openKeeper(p.config)
		if err != nil {
			return err
		}
		return work(p, keeper)
	})
}

// described says which key an audit record is about.
func described(spec keys.Spec, version int) map[string]string {
	return map[string]string{
		"key": spec.Name, "version": strconv.Itoa(version), "usage": string(spec.Usage), "algorithm": string(spec.Algorithm),
		"depth": strconv.Itoa(spec.Depth), "exportable": strconv.FormatBool(spec.Exportable),
	}
}

// keyFlags describe a key that comes in.
type keyFlags struct {
	Name       string `required:"" help:"Name of the key. 密钥名。"`
	KeyVersion int    `placeholder:"N" help:"Its version; default the next one. 版本，缺省为下一个。"`
	Usage      string `placeholder:"USAGE" help:"For a key outside the province's hierarchy: key-exchange, card-delivery, authentication, maintenance, master, transport, channel, check-code. 用途。"`
	Algorithm  string `placeholder:"ALG" help:"SM4, 3DES, AES-128, AES-192 or AES-256. 算法。"`
	Depth      int    `placeholder:"N" help:"Levels below the key. 分散级数。"`
	Level      string `enum:",ministry,province,city" default:"" help:"Level at which the key is delivered: ministry, province or city. 密钥级别。"`
	Factor     string `placeholder:"F" help:"With --level: the factor between that key and the province's, 8 characters or 16 hexadecimal digits. 与省级密钥之间的因子。"`
	Exportable bool   `help:"The key may be exported in a key block. 允许导出。"`
}

// spec returns the description and the version of the key: as the keeper has it
// or as the province's hierarchy does, with what the flags change.
func (f keyFlags) spec(keeper *keys.Keeper) (keys.Spec, int, error) {
	spec, version := keys.Spec{Name: f.Name}, 1
	for _, known := range keys.Provincial() {
		if known.Name == f.Name {
			spec = known
		}
	}
	for _, info := range keeper.Keys() {
		if info.Name == f.Name {
			spec, version = info.Spec, info.Version+1
		}
	}
	if f.KeyVersion != 0 {
		version = f.KeyVersion
	}
	if f.Usage != "" {
		spec.Usage = keys.Usage(f.Usage)
	}
	if f.Algorithm != "" {
		spec.Algorithm = keys.Algorithm(f.Algorithm)
	}
	if f.Depth != 0 {
		spec.Depth = f.Depth
	}
	spec.Exportable = spec.Exportable || f.Exportable
	if f.Level == "" {
		return spec, version, nil
	}
	var factor []byte
	if f.Factor != "" {
		var err error
		if factor, err = parseFactor(f.Factor); err != nil {
			return keys.Spec{}, 0, err
		}
	}
	spec, err := spec.At(keys.Level(f.Level), factor)
	return spec, version, err
}

// errFactor: neither of the two forms.
var errFactor = errors.New("因子应为 8 个字符或 16 个十六进制数字 a factor is 8 characters or 16 hexadecimal digits")

// parseFactor reads a diversification factor: eight characters such as
// 630100sx, or eight bytes in hexadecimal.
func parseFactor(text string) ([]byte, error) {
	if len(text) == 8 {
		return []byte(text), nil
	}
	factor, err := hex.DecodeString(text)
	if err != nil || len(factor) != 8 {
		return nil, errFactor
	}
	return factor, nil
}

type keysListCommand struct{ settings }

// Run lists the keys with their check values.
func (c *keysListCommand) Run(ctx context.Context, out streams) error {
	config, err := load(c.Config, os.Environ, c.given())
	if err != nil {
		return err
	}
	keeper, err := openKeeper(config)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tVERSION\tSTATUS\tUSAGE\tALGORITHM\tLEVEL\tEXPORT\tCHECK VALUE\tMETHOD")
	for _, info := range keeper.Keys() {
		_, method, err := keeper.CheckValue(ctx, keys.Key{Name: info.Name, Version: info.Version})
		if err != nil {
			return err
		}
		exportable := "-"
		if info.Exportable {
			exportable = "yes"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", info.Name, info.Version, lifeText(info.Life), info.Usage, info.Algorithm,
			info.Level(), exportable, strings.ToUpper(info.CheckValue), method)
	}
	return table.Flush()
}

// lifeText puts the life of a version in a few words.
func lifeText(life keys.Life) string {
	text := "active"
	if life.Status != keys.Active {
		text = string(life.Status)
	}
	if !life.From.IsZero() {
		text += " from " + life.From.Local().Format(time.DateOnly)
	}
	if !life.Until.IsZero() {
		text += " until " + life.Until.Local().Format(time.DateOnly)
	}
	return text
}

type keysLifeCommand struct {
	settings
	Name    string    `arg:"" help:"Name of the key. 密钥名。"`
	Version int       `arg:"" help:"Its version. 版本。"`
	Status  string    `enum:"active,field,retired" default:"active" help:"active: new cards; field: only cards that have it; retired: nothing. 启用、仅在用卡、停用。"`
	From    time.Time `format:"2006-01-02" placeholder:"DATE" help:"New cards get it from this day on. 起用日期。"`
	Until   time.Time `format:"2006-01-02" placeholder:"DATE" help:"It retires on this day. 停用日期。"`
}

// Run says what a version of a key is still for.
func (c *keysLifeCommand) Run(ctx context.Context, out streams) error {
	life := keys.Life{From: localDay(c.From), Until: localDay(c.Until)}
	if c.Status != "active" {
		life.Status = keys.Status(c.Status)
	}
	return c.withKeys(ctx, out, func(p *platform, keeper *keys.Keeper) error {
		detail := map[string]string{"key": c.Name, "version": strconv.Itoa(c.Version), "life": lifeText(life)}
		err := p.recorded(ctx, "keys.life", "key:"+c.Name, detail, func() error {
			if (c.Name == keys.DataKey || c.Name == keys.IndexKey) && c.Status == string(keys.Retired) {
				return keeper.Retire(ctx, c.Name, c.Version, p.unusedOf(c.Name))
			}
			return keeper.SetLife(c.Name, c.Version, life)
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "密钥 key %s 版本 version %d: %s\n一秒内生效 it holds within a second\n", c.Name, c.Version, lifeText(life))
		return err
	})
}

// localDay returns the beginning of that day here; the flag's has no place.
func localDay(day time.Time) time.Time {
	if day.IsZero() {
		return day
	}
	return time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, time.Local)
}

type keysRotateCommand struct {
	settings
	Name string    `arg:"" help:"Name of the key. 密钥名。"`
	From time.Time `format:"2006-01-02" placeholder:"DATE" help:"New cards get it from this day on; default at once. 起用日期。"`
}

// Run makes the next version of a key that is made here. Of the key INDEX it is
// not used before keys reindex.
func (c *keysRotateCommand) Run(ctx context.Context, out streams) error {
	if c.Name == keys.IndexKey && !c.From.IsZero() {
		return fmt.Errorf("--from: 盲索引密钥由 keys reindex 启用 keys reindex says when: %w", keys.ErrWrongUsage)
	}
	return c.withKeys(ctx, out, func(p *platform, keeper *keys.Keeper) error {
		life := keys.Life{From: localDay(c.From)}
		version := 0
		detail := map[string]string{"key": c.Name, "life": lifeText(life)}
		err := p.recorded(ctx, "keys.rotate", "key:"+c.Name, detail, func() (err error) {
			if version, err = keeper.Rotate(c.Name); err != nil || c.From.IsZero() {
				return err
			}
			return keeper.SetLife(c.Name, version, life)
		})
		if err != nil {
			return err
		}
		if c.Name == keys.IndexKey {
			_, err = fmt.Fprintf(out.Out, "密钥 key %s 版本 version %d：尚未使用，接着运行 not used yet, run: onecard keys reindex %d\n", c.Name, version, version)
			return err
		}
		_, err = fmt.Fprintf(out.Out, "密钥 key %s 版本 version %d: %s\n", c.Name, version, lifeText(life))
		return err
	})
}

// codesFlag names a file with the codes of key blocks.
type codesFlag struct {
	Codes string `type:"path" placeholder:"FILE" help:"Codes of key blocks agreed with the other side, YAML; default the assumed ones. 密钥块代码表。"`
}

func (f codesFlag) read() (keys.Codes, error) {
	if f.Codes == "" {
		return keys.AssumedCodes(), nil
	}
	file, err := os.Open(f.Codes)
	if err != nil {
		return keys.Codes{}, fmt.Errorf("codes: %w", err)
	}
	defer func() { _ = file.Close() }()
	return keys.ParseCodes(file)
}

// warnAssumed says that the codes were not agreed with anyone.
func warnAssumed(out streams, codes keys.Codes) {
	if codes.Assumed {
		fmt.Fprintln(out.Err, "密钥块代码为本程序假定，请与对方核对（--codes） the codes in the key block are assumed: agree on them with the other side")
	}
}

type keysExportCommand struct {
	settings
	codesFlag
	Name       string   `arg:"" help:"Name of the key; it must be exportable. 密钥名。"`
	Under      string   `required:"" placeholder:"KBPK" help:"Name of the key-exchange key. 密钥交换密钥名。"`
	Out        string   `required:"" type:"path" placeholder:"FILE" help:"New file for the key block. 输出文件。"`
	KeyVersion int      `placeholder:"N" help:"Version; default the current one. 版本。"`
	Factors    []string `name:"factor" placeholder:"F" help:"Export the key derived by this factor instead, for example 630100sx; may be repeated. 导出分散后的密钥。"`
}

// Run exports a key as a key block.
func (c *keysExportCommand) Run(ctx context.Context, out streams) error {
	codes, err := c.read()
	if err != nil {
		return err
	}
	key := keys.Key{Name: c.Name, Version: c.KeyVersion}
	for _, text := range c.Factors {
		factor, err := parseFactor(text)
		if err != nil {
			return err
		}
		key.Factors = append(key.Factors, factor)
	}
	return c.withKeys(ctx, out, func(p *platform, keeper *keys.Keeper) error {
		if key.Version == 0 {
			if key.Version, err = keeper.Current(key.Name); err != nil {
				return err
			}
		}
		kcv, method, err := keeper.CheckValue(ctx, key)
		if err != nil {
			return err
		}
		detail := map[string]string{
			"key": c.Name, "version": strconv.Itoa(key.Version), "under": c.Under, "factors": strings.Join(c.Factors, ","),
			"checkValue": hex.EncodeToString(kcv), "method": method,
		}
		err = p.recorded(ctx, "keys.export", "key:"+c.Name, detail, func() error {
			block, err := keeper.ExportBlock(ctx, keys.Key{Name: c.Under}, key, codes)
			if err != nil {
				return err
			}
			return writeOnce(c.Out, block+"\n")
		})
		if err != nil {
			return err
		}
		warnAssumed(out, codes)
		_, err = fmt.Fprintf(out.Out, "密钥块在 the key block is in %s\n校验值 check value %X (%s)\n", c.Out, kcv, method)
		return err
	})
}

// writeOnce writes a new file of mode 0600.
func writeOnce(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

type keysImportCommand struct {
	settings
	keyFlags
	codesFlag
	File  string `arg:"" type:"path" help:"File with the key block. 密钥块文件。"`
	Under string `required:"" placeholder:"KBPK" help:"Name of the key-exchange key. 密钥交换密钥名。"`
}

// Run imports a key block.
func (c *keysImportCommand) Run(ctx context.Context, out streams) error {
	codes, err := c.read()
	if err != nil {
		return err
	}
	block, err := readPublic(c.File)
	if err != nil {
		return err
	}
	return c.withKeys(ctx, out, func(p *platform, keeper *keys.Keeper) error {
		spec, version, err := c.spec(keeper)
		if err != nil {
			return err
		}
		detail := described(spec, version)
		detail["under"] = c.Under
		err = p.recorded(ctx, "keys.import", "key:"+spec.Name, detail, func() error {
			return keeper.ImportBlock(ctx, keys.Key{Name: c.Under}, spec, version, block, codes)
		})
		if err != nil {
			return err
		}
		kcv, method, err := keeper.CheckValue(ctx, keys.Key{Name: spec.Name, Version: version})
		if err != nil {
			return err
		}
		warnAssumed(out, codes)
		_, err = fmt.Fprintf(out.Out, "密钥已导入 key imported: %s 版本 version %d\n校验值 check value %X (%s)，请与发送方核对 compare it with the sender's\n", spec.Name, version, kcv, method)
		return err
	})
}
