package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/apdu"
	"onecard/api/client"
	"onecard/card/profile"
	"onecard/terminal"
	"onecard/terminal/driver"
)

// hsmCommands work the card in the reader as the national driver does, with
// the province's authentication service in place of a security module.
type hsmCommands struct {
	Read      hsmReadCommand   `cmd:"" help:"Read the holder, or elements of files. 读卡。"`
	Write     hsmWriteCommand  `cmd:"" help:"Write elements of files. 写卡。"`
	ReloadPIN hsmReloadCommand `cmd:"" name:"reload-pin" help:"Set a new PIN, or give the attempts back. 密码重装、解锁。"`
}

// hsmSettings are the flags that all of them have. A password never stands in
// the command line, where other users of the machine could read it.
type hsmSettings struct {
	Config       string            `required:"" type:"path" help:"Configuration file. 配置文件。"`
	Login        string            `placeholder:"LOGIN" help:"Operator, where the province asks for one. 经办人。"`
	PasswordFile string            `type:"path" placeholder:"FILE" help:"File with the operator's password. 密码文件。"`
	Terminal     string            `placeholder:"NUMBER" help:"Number of the terminal in the line of a reading. 终端机编号。"`
	Device       string            `placeholder:"NUMBER" help:"Number of the device in it. 终端设备号。"`
	Addresses    map[string]string `placeholder:"NAME=ADDRESS" help:"Addresses of keys that no profile gives one. 密钥地址。"`
}

// hsm is a card in the reader and the province.
type hsm struct {
	card     *driver.Card
	platform terminal.Platform
}

// readerWait is how long a command waits for a card.
const readerWait = 15 * time.Second

// with opens card and province for work and closes the card after it.
func (s hsmSettings) with(ctx context.Context, work func(hsm) error, pinPad func(context.Context) (string, error)) error {
	config, err := loadConfig(s.Config)
	if err != nil {
		return err
	}
	profiles, err := profile.LoadWith(config.Profiles)
	if err != nil {
		return err
	}
	platform, err := s.platform(ctx, config)
	if err != nil {
		return err
	}
	transcript, err := openTranscript(config.Transcript)
	if err != nil {
		return err
	}
	from := readers{transcript, public(profiles)}
	name, err := waitCard(ctx, from, func(name string) bool { return strings.Contains(name, config.Reader) })
	if err != nil {
		return err
	}
	chip, err := from.Connect(ctx, name)
	if err != nil {
		return err
	}
	card := driver.New(driver.Config{Profiles: profiles, Addresses: s.Addresses, Terminal: s.Terminal, Device: s.Device, PINPad: pinPad}, apdu.NewChannel(chip), chip.ATR())
	err = errors.Join(work(hsm{card, platform}), chip.Close())
	if platform.Token != "" {
		err = errors.Join(err, platform.SignOut(context.WithoutCancel(ctx)))
	}
	return err
}

// platform reaches the province, with an operator where one is named.
func (s hsmSettings) platform(ctx context.Context, config config) (terminal.Platform, error) {
	api, err := client.Dial(config.connection())
	if err != nil || s.Login == "" {
		return terminal.Platform{API: api}, err
	}
	password, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return terminal.Platform{}, fmt.Errorf("密码文件 password file: %w", err)
	}
	signed, err := terminal.SignIn(ctx, api, client.SignIn{Login: s.Login, Password: strings.TrimRight(string(password), "\r\n")})
	return terminal.Platform{API: api, Token: signed.Token}, err
}

// waitCard returns the first reader, of those wanted, that has a card.
func waitCard(ctx context.Context, from terminal.Readers, wanted func(name string) bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readerWait)
	defer cancel()
	found := ""
	fault := terminal.ErrNoCard
	err := from.Watch(ctx, func(change terminal.Change) {
		switch {
		case change.Service != nil:
			fault = change.Service
			cancel()
		case found == "" && len(change.ATR) > 0 && wanted(change.Reader):
			found = change.Reader
			cancel()
		}
	})
	switch {
	case found != "":
		return found, nil
	case err == nil || ctx.Err() != nil:
		return "", fault
	}
	return "", err
}

// exchange hands a step's string to the province and returns its answer.
func (h hsm) exchange(ctx context.Context, service, step string) (string, error) {
	message, err := h.card.Message(service, step)
	if err != nil {
		return "", err
	}
	return h.platform.Authenticate(ctx, uuid.NewString(), message)
}

// base reads the holder: the line of iReadCardBas.
func (h hsm) base(ctx context.Context) (string, error) {
	step, err := h.card.ReadCardBasStep1(ctx)
	if err != nil {
		return "", err
	}
	answer, err := h.exchange(ctx, "01", step)
	if err != nil {
		return "", err
	}
	return h.card.ReadCardBasStep2(ctx, answer)
}

// cardInfo makes the card information of further steps from that line.
func cardInfo(line string) string {
	parts := strings.Split(line, "|")
	return parts[3] + "|" + parts[2] + "|"
}

type hsmReadCommand struct {
	hsmSettings
	Files string `placeholder:"ADDRESSES" help:"Elements of files behind one key, such as DF01EF06|23|$ . 文件地址。"`
}

// Run prints the line of iReadCardBas, or the values of the elements.
func (c *hsmReadCommand) Run(ctx context.Context) error {
	return c.with(ctx, func(h hsm) error {
		line, err := h.base(ctx)
		if err != nil {
			return err
		}
		if c.Files != "" {
			step, err := h.card.ReadCardStep1(ctx, cardInfo(line), c.Files)
			if err != nil {
				return err
			}
			answer, err := h.exchange(ctx, "02", step)
			if err != nil {
				return err
			}
			if line, err = h.card.ReadCardStep2(ctx, answer); err != nil {
				return err
			}
		}
		_, err = fmt.Println(line)
		return err
	}, nil)
}

type hsmWriteCommand struct {
	hsmSettings
	Files string `required:"" placeholder:"ADDRESSES" help:"Elements of files behind one key, such as DF01EF06|23|$ . 文件地址。"`
	Data  string `required:"" placeholder:"VALUES" help:"Their values in the same shape, such as DF01EF06|西宁市|$ . 写卡数据。"`
}

// Run writes.
func (c *hsmWriteCommand) Run(ctx context.Context) error {
	return c.with(ctx, func(h hsm) error {
		line, err := h.base(ctx)
		if err != nil {
			return err
		}
		step, err := h.card.WriteCardStep1(ctx, cardInfo(line), c.Files)
		if err != nil {
			return err
		}
		answer, err := h.exchange(ctx, "02", step)
		if err != nil {
			return err
		}
		return h.card.WriteCardStep2(ctx, answer, c.Data)
	}, nil)
}

type hsmReloadCommand struct {
	hsmSettings
	Unblock bool `help:"Give the attempts back and keep the number. 只解锁，不改密码。"`
}

// Run sets the new number, which it reads from standard input, or unblocks.
func (c *hsmReloadCommand) Run(ctx context.Context) error {
	return c.with(ctx, func(h hsm) error {
		line, err := h.base(ctx)
		if err != nil {
			return err
		}
		one, two, three := h.card.ReloadPINStep1, h.card.ReloadPINStep2, h.card.ReloadPINStep3
		if c.Unblock {
			one, two, three = h.card.UnblockPINStep1, h.card.UnblockPINStep2, h.card.UnblockPINStep3
		}
		step, err := one(ctx, cardInfo(line))
		if err != nil {
			return err
		}
		answer, err := h.exchange(ctx, "03", step)
		if err != nil {
			return err
		}
		if step, err = two(ctx, answer); err != nil {
			return err
		}
		if answer, err = h.exchange(ctx, "03", step); err != nil {
			return err
		}
		return three(ctx, answer)
	}, func(context.Context) (string, error) { return readPIN(os.Stdin) })
}

// readPIN reads the new number, one line.
func readPIN(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("密码 PIN: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
