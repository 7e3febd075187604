package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"onecard/api/client"
	"onecard/card/order"
	"onecard/card/profile"
	"onecard/terminal"
)

// atReader are the flags of commands at this workstation's reader.
type atReader struct {
	Config       string        `required:"" type:"path" help:"Configuration file. 配置文件。"`
	Login        string        `help:"Operator who does it. 操作员登录名。"`
	PasswordFile string        `type:"path" placeholder:"FILE" help:"File with the operator's password; default standard input. 密码文件，缺省为标准输入。"`
	Reader       string        `help:"Part of the reader's name, instead of that in the configuration. 读卡器名称的一部分。"`
	Wait         time.Duration `default:"20s" help:"How long to wait for a card. 等待插卡的时间。"`
}

// post is an operator at this workstation with a card in its reader.
type post struct {
	station  *terminal.Station
	platform terminal.Platform
	operator client.Operator
	secrets  *secrets
}

var errNoLogin = errors.New("缺少 --login：此命令须登录 --login is missing: the command needs an operator")

// signedIn signs the operator in, waits for a card and does something with it.
func (c *atReader) signedIn(ctx context.Context, in io.Reader, do func(ctx context.Context, p post) error) error {
	if c.Login == "" {
		return errNoLogin
	}
	config, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	p := post{secrets: newSecrets(in)}
	password, err := c.password(p.secrets)
	if err != nil {
		return err
	}
	api, err := client.Dial(config.connection())
	if err != nil {
		return err
	}
	signed, err := terminal.SignIn(ctx, api, client.SignIn{Login: c.Login, Password: password})
	if err != nil {
		return err
	}
	p.platform, p.operator = terminal.Platform{API: api, Token: signed.Token}, signed.Operator
	err = c.withCard(ctx, config, func(ctx context.Context, station *terminal.Station) error {
		p.station = station
		return do(ctx, p)
	})
	return errors.Join(err, p.platform.SignOut(context.WithoutCancel(ctx)))
}

// withCard waits for a card in the reader and does something with it.
func (c *atReader) withCard(ctx context.Context, config config, do func(ctx context.Context, station *terminal.Station) error) error {
	profiles, err := profile.LoadWith(config.Profiles)
	if err != nil {
		return err
	}
	transcript, err := openTranscript(config.Transcript)
	if err != nil {
		return err
	}
	roots, err := config.connection().Roots()
	if err != nil {
		return err
	}
	station := terminal.NewStation(terminal.StationConfig{
		Readers: readers{transcript, public(profiles)}, Profiles: profiles, Reader: cmp.Or(c.Reader, config.Reader), Kind: config.Kind,
		Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)), Orders: order.Reader{Roots: roots, Now: time.Now},
	})
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- station.Run(ctx) }()
	defer func() {
		cancel()
		<-watched
	}()
	if err := awaitCard(ctx, station, c.Wait); err != nil {
		return err
	}
	return do(ctx, station)
}

// password reads the operator's; it never stands in the command line, where
// others see it.
func (c *atReader) password(from *secrets) (string, error) {
	if c.PasswordFile != "" {
		file, err := os.Open(c.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		defer file.Close()
		from = newSecrets(file)
	}
	password, err := from.ask("密码 password")
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	return password, nil
}

// sharedPause is how long the counter's own program may take for a look at a
// new card.
const sharedPause = 300 * time.Millisecond

// sharedLimit is how long a command waits for other programs at the card.
const sharedLimit = 10 * time.Second

// perform does a job on the chip.
func (p post) perform(ctx context.Context, job terminal.Job) (reading terminal.Reading, err error) {
	err = alone(ctx, func() error {
		reading, err = p.station.Perform(ctx, p.platform, job)
		return err
	})
	return reading, err
}

// alone does something with the card again while another program holds it.
func alone(ctx context.Context, do func() error) error {
	limit := time.After(sharedLimit)
	for {
		err := do()
		if !errors.Is(err, terminal.ErrShared) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-limit:
			return err
		case <-time.After(sharedPause):
		}
	}
}

// areas returns what the card in the reader holds by its version.
func areas(ctx context.Context, station *terminal.Station) (found []terminal.Area, err error) {
	err = alone(ctx, func() error {
		found, err = station.Areas(ctx)
		return err
	})
	return found, err
}

// awaitCard waits until there is a card; where none comes, it says what is
// missing.
func awaitCard(ctx context.Context, station *terminal.Station, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	last := terminal.State{}
	for last = range station.Subscribe(ctx) {
		if last.Card.Kind != terminal.CardNone && last.Card.Kind != terminal.CardReading {
			return nil
		}
	}
	switch {
	case last.Service != nil:
		return last.Service
	case last.Reader == "":
		return terminal.ErrNoReader
	}
	return terminal.ErrNoCard
}

// secrets asks for what nobody should see: at a terminal without echo, and
// otherwise line by line.
type secrets struct {
	terminal *os.File // nil for none
	lines    *bufio.Reader
}

func newSecrets(in io.Reader) *secrets {
	s := &secrets{lines: bufio.NewReader(in)}
	if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		s.terminal = file
	}
	return s
}

func (s *secrets) ask(what string) (string, error) {
	if s.terminal != nil {
		fmt.Fprint(os.Stderr, what+": ")
		line, err := term.ReadPassword(int(s.terminal.Fd()))
		fmt.Fprintln(os.Stderr)
		return string(line), err
	}
	line, err := s.lines.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
