package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"onecard/api/client"
	"onecard/terminal"
)

type diffCommand struct {
	atReader
	JSON bool `help:"Print JSON. 以 JSON 输出。"`
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
	var result client.ChipResult
	err := c.signedIn(ctx, in, func(ctx context.Context, p post) error {
		reading, err := p.perform(ctx, terminal.Job{Operation: string(client.Compare)})
		result = reading.Result
		return err
	})
	if err != nil {
		return err
	}
	return c.print(out, result)
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
