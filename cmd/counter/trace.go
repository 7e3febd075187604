package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"onecard/apdu"
	"onecard/card/profile"
	"onecard/card/trace"
)

type traceCommand struct {
	File     string `arg:"" type:"path" help:"Transcript of what passed between reader and chip. 报文记录文件。"`
	JSON     bool   `help:"Print JSON. 以 JSON 输出。"`
	Reveal   bool   `help:"Show what is masked; needs --reason and is put on record beside the transcript. 显示遮蔽的内容，须说明理由并留痕。"`
	Reason   string `help:"Why it is revealed. 查看理由。"`
	Profiles string `type:"path" env:"COUNTER_PROFILES" placeholder:"DIR" help:"Directory of further card profiles. 卡规范文件目录。"`
}

var errReason = errors.New("须用 --reason 说明查看理由 --reveal needs --reason")

// Run decodes a transcript.
func (c *traceCommand) Run(out io.Writer) error {
	if c.Reveal && c.Reason == "" {
		return errReason
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("报文记录 transcript: %w", err)
	}
	conversations, err := apdu.ParseConversations(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	profiles, err := profile.LoadWith(c.Profiles)
	if err != nil {
		return err
	}
	if c.Reveal {
		if err := c.record(text); err != nil {
			return err
		}
	}
	report := trace.Decode(conversations, trace.Options{Profiles: profiles, Reveal: c.Reveal})
	if !c.JSON {
		_, err = io.WriteString(out, report.Text())
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(report)
}

// revealedFile is where it stands, beside a transcript, who has revealed what is
// masked in it: a line of JSON for each time.
const revealedFile = "revealed.jsonl"

// revealed is a line of it (查看留痕).
type revealed struct {
	At     time.Time `json:"at"`
	User   string    `json:"user"`
	File   string    `json:"file"`
	SHA256 string    `json:"sha256"` // of the transcript
	Reason string    `json:"reason"`
}

// record puts on record that the transcript is being revealed, before it is.
func (c *traceCommand) record(text []byte) error {
	who, err := user.Current()
	if err != nil {
		return fmt.Errorf("查看留痕 record of revealing: %w", err)
	}
	digest := sha256.Sum256(text)
	line, err := json.Marshal(revealed{At: time.Now(), User: who.Username, File: c.File, SHA256: hex.EncodeToString(digest[:]), Reason: c.Reason})
	if err != nil {
		return fmt.Errorf("查看留痕 record of revealing: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(filepath.Dir(c.File), revealedFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("不能留痕，故不显示 it cannot be put on record and is not revealed: %w", err)
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Sync(), file.Close())
}
