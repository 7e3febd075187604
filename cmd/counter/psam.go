package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"onecard/apdu"
	"onecard/card/profile"
	"onecard/card/psam"
	"onecard/terminal"
	"onecard/terminal/driver"
)

// psamCommands work the card in the reader with a terminal's security module in
// another slot: no province, no operator, no network.
type psamCommands struct {
	Info  psamInfoCommand  `cmd:"" help:"Find the module and print its numbers. 查找 PSAM 卡。"`
	Read  psamReadCommand  `cmd:"" help:"Prove the card and read the holder, or elements of files. 脱机读卡。"`
	Write psamWriteCommand `cmd:"" help:"Write elements of files. 脱机写卡。"`
}

type psamSettings struct {
	Config string `required:"" type:"path" help:"Configuration file. 配置文件。"`
	Reader string `help:"Part of the name of the card's reader, instead of that in the configuration. 读卡器名称的一部分。"`
	Module string `help:"Part of the name of the module's reader; any other than the card's unless given. PSAM 卡槽名称的一部分。"`
	Device string `placeholder:"NUMBER" help:"Number of the device in the line of a reading. 终端设备号。"`
}

// slot is a card in a reader.
type slot struct {
	terminal.Chip
	reader string
}

// module finds the security module. Whatever else lies in a reader is left
// alone once it has shown that it is none.
func (s psamSettings) module(ctx context.Context, from readers, cardReader string) (slot, *psam.Module, error) {
	seen := map[string]bool{}
	for {
		name, err := waitCard(ctx, from, func(name string) bool {
			if s.Module != "" {
				return !seen[name] && strings.Contains(name, s.Module)
			}
			return !seen[name] && (cardReader == "" || !strings.Contains(name, cardReader))
		})
		if errors.Is(err, terminal.ErrNoCard) {
			err = psam.ErrNone // whatever else lies in a reader
		}
		if err != nil {
			return slot{}, nil, err
		}
		chip, err := from.Connect(ctx, name)
		if err != nil {
			return slot{}, nil, err
		}
		m, err := psam.Open(ctx, apdu.NewChannel(chip))
		if err == nil {
			return slot{chip, name}, m, nil
		}
		seen[name] = true
		if err := errors.Join(chip.Close(), ctx.Err()); err != nil {
			return slot{}, nil, err
		}
	}
}

// with opens module and card for work and closes them after it.
func (s psamSettings) with(ctx context.Context, work func(*driver.Card, *psam.Module) error) error {
	config, err := loadConfig(s.Config)
	if err != nil {
		return err
	}
	profiles, err := profile.LoadWith(config.Profiles)
	if err != nil {
		return err
	}
	transcript, err := openTranscript(config.Transcript)
	if err != nil {
		return err
	}
	wanted := config.Reader
	if s.Reader != "" {
		wanted = s.Reader
	}
	from := readers{transcript, public(profiles)}
	at, m, err := s.module(ctx, from, wanted)
	if err != nil {
		return err
	}
	name, err := waitCard(ctx, from, func(name string) bool { return name != at.reader && strings.Contains(name, wanted) })
	if err != nil {
		return errors.Join(err, at.Close())
	}
	chip, err := from.Connect(ctx, name)
	if err != nil {
		return errors.Join(err, at.Close())
	}
	card := driver.New(driver.Config{Profiles: profiles, Terminal: m.Terminal, Device: s.Device}, apdu.NewChannel(chip), chip.ATR())
	return errors.Join(work(card, m), chip.Close(), at.Close())
}

type psamInfoCommand struct{ psamSettings }

// Run prints what the module says of itself.
func (c *psamInfoCommand) Run(ctx context.Context, out io.Writer) error {
	config, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	profiles, err := profile.LoadWith(config.Profiles)
	if err != nil {
		return err
	}
	at, m, err := c.module(ctx, readers{nil, public(profiles)}, "")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "PSAM 卡 module：%s\n  卡序列号 serial：%s\n  终端机编号 terminal：%s\n", at.reader, m.Serial, m.Terminal)
	return errors.Join(err, at.Close())
}

type psamReadCommand struct {
	psamSettings
	Files string `placeholder:"ADDRESSES" help:"Elements of files behind one key, such as DF01EF06|23|$ . 文件地址。"`
}

// Run prints the line of iReadCardBas, or the values of the elements.
func (c *psamReadCommand) Run(ctx context.Context, out io.Writer) error {
	return c.with(ctx, func(card *driver.Card, m *psam.Module) error {
		line, err := card.ReadCardBas(ctx, m)
		if err == nil && c.Files != "" {
			line, err = card.ReadCard(ctx, m, cardInfo(line), c.Files)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, line)
		return err
	})
}

type psamWriteCommand struct {
	psamSettings
	Files string `required:"" placeholder:"ADDRESSES" help:"Elements of files behind one key, such as DF01EF06|23|$ . 文件地址。"`
	Data  string `required:"" placeholder:"VALUES" help:"Their values in the same shape, such as DF01EF06|西宁市|$ . 写卡数据。"`
}

// Run writes.
func (c *psamWriteCommand) Run(ctx context.Context) error {
	return c.with(ctx, func(card *driver.Card, m *psam.Module) error {
		line, err := card.ReadCardBas(ctx, m)
		if err != nil {
			return err
		}
		return card.WriteCard(ctx, m, cardInfo(line), c.Files, c.Data)
	})
}
