package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"onecard/api/client"
	"onecard/card/profile"
	"onecard/terminal"
)

type diffCommand struct {
	Config       string        `required:"" type:"path" help:"Configuration file. 配置文件。"`
	Login        string        `required:"" help:"Operator who compares. 操作员登录名。"`
	PasswordFile string        `type:"path" placeholder:"FILE" help:"File with the operator's password; default standard input. 密码文件，缺省为标准输入。"`
	Reader       string        `help:"Part of the reader's name, instead of that in the configuration. 读卡器名称的一部分。"`
	Wait         time.Duration `default:"20s" help:"How long to wait for a card. 等待插卡的时间。"`
	JSON         bool          `help:"Print JSON. 以 JSON 输出。"`
}

// differs is the end of a comparison that found something (比对不一致).
type differs int

func (n differs) Error() string {
	return fmt.Sprintf("芯片与省库有 %d 项不一致 the chip and the records differ in %d things", int(n), int(n))
}

// ExitCode tells a program that calls this one what was found.
func (n differs) ExitCode() int { return exitDiffers }

const exitDiffers = 3

// Run compares the card in the reader with what the province holds.
func (c *diffCommand) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	config, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	password, err := c.password(in)
	if err != nil {
		return err
	}
	profiles, err := profile.Load()
	if err != nil {
		return err
	}
	api, err := client.Dial(client.Config{URL: config.Platform, CA: config.CA, Cert: config.Cert, Key: config.Key})
	if err != nil {
		return err
	}
	signed, err := terminal.SignIn(ctx, api, client.SignIn{Login: c.Login, Password: password})
	if err != nil {
		return err
	}
	platform := terminal.Platform{API: api, Token: signed.Token}
	transcript, err := openTranscript(config.Transcript)
	if err != nil {
		return err
	}
	station := terminal.NewStation(terminal.StationConfig{
		Readers: readers{transcript, public(profiles)}, Profiles: profiles, Reader: cmp.Or(c.Reader, config.Reader), Kind: config.Kind,
		Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	})
	result, err := c.compare(ctx, station, platform)
	err = errors.Join(err, platform.SignOut(context.WithoutCancel(ctx)))
	if err != nil {
		return err
	}
	return c.print(out, result)
}

// password reads the first line; it never stands in the command line, where
// others see it.
func (c *diffCommand) password(in io.Reader) (string, error) {
	if c.PasswordFile != "" {
		file, err := os.Open(c.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		defer file.Close()
		in = file
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// sharedPause is how long the counter's own program may take for a look at a
// new card.
const sharedPause = 300 * time.Millisecond

// compare waits for a card and compares it.
func (c *diffCommand) compare(ctx context.Context, station *terminal.Station, platform terminal.Platform) (client.ChipResult, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	watched := make(chan error, 1)
	go func() { watched <- station.Run(ctx) }()
	defer func() {
		cancel()
		<-watched
	}()
	if err := awaitCard(ctx, station); err != nil {
		return client.ChipResult{}, err
	}
	for {
		reading, err := station.Perform(ctx, platform, terminal.Job{Operation: string(client.Compare)})
		if !errors.Is(err, terminal.ErrShared) {
			return reading.Result, err
		}
		select {
		case <-ctx.Done():
			return client.ChipResult{}, err
		case <-time.After(sharedPause):
		}
	}
}

// awaitCard waits until there is a card; where none comes, it says what is
// missing.
func awaitCard(ctx context.Context, station *terminal.Station) error {
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

// findingWords are the findings in words.
var findingWords = map[client.ChipFindingFinding]string{
	client.Same: "一致 same", client.Stale: "芯片较旧 stale", client.Newer: "芯片较新 newer",
	client.Foreign: "属于他卡 foreign", client.Altered: "被改动 altered", client.Suspicious: "可疑 suspicious",
}

// print shows what was found; anything but the same ends with differs.
func (c *diffCommand) print(out io.Writer, result client.ChipResult) error {
	var findings []client.ChipFinding
	if result.Findings != nil {
		findings = *result.Findings
	}
	different := 0
	for _, f := range findings {
		if f.Finding != client.Same {
			different++
		}
	}
	if err := c.write(out, findings); err != nil {
		return err
	}
	if different > 0 {
		return differs(different)
	}
	return nil
}

func (c *diffCommand) write(out io.Writer, findings []client.ChipFinding) error {
	if c.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(findings)
	}
	var lines strings.Builder
	for _, f := range findings {
		mark, why := "✔", ""
		if f.Finding != client.Same {
			mark, why = "✘", "，"+f.WhyZh+" "+f.WhyEn
			if chip, record := text(f.Chip), text(f.Record); chip+record != "" {
				why += fmt.Sprintf("（芯片 chip %s / 记录 record %s）", cmp.Or(chip, "–"), cmp.Or(record, "–"))
			}
		}
		place := strings.TrimSpace(text(f.File) + " " + text(f.Tag))
		fmt.Fprintf(&lines, "%s %-14s %s %s：%s%s\n", mark, place, f.Zh, f.En, findingWords[f.Finding], why)
	}
	_, err := io.WriteString(out, lines.String())
	return err
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
