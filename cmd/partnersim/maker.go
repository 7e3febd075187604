package main

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"onecard/card/profile"
	"onecard/internal/sim/maker"
)

type makerCommands struct {
	Init  makerInitCommand  `cmd:"" help:"Make the maker's certificate and key. 生成卡商证书。"`
	Chips makerChipsCommand `cmd:"" help:"Buy blanks and write the signed list of them. 进空白芯片，出芯片清单。"`
	Make  makerMakeCommand  `cmd:"" help:"Make the cards of a production file and write the return. 制卡并回盘。"`
}

// plant is where a maker works.
type plant struct {
	Dir      string `required:"" type:"path" help:"The plant's directory: certificate, blanks, cards. 工厂目录。"`
	Supplier string `required:"" help:"Name of the approval at the province. 获批卡商编号。"`
}

func (p plant) maker() (*maker.Maker, error) {
	pair, err := maker.NewPair(p.Dir, p.Supplier, time.Now())
	if err != nil {
		return nil, err
	}
	profiles, err := profile.Load()
	return &maker.Maker{Supplier: p.Supplier, Dir: p.Dir, Pair: pair, Profiles: profiles, Now: time.Now}, err
}

type makerInitCommand struct{ plant }

// Run makes the certificate.
func (c *makerInitCommand) Run() error {
	if _, err := c.maker(); err != nil {
		return err
	}
	fmt.Println(filepath.Join(c.Dir, "maker.pem"))
	return nil
}

// readKey reads a key of a length: hexadecimal, with lines of comment.
func readKey(path string, size int) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if key, err := hex.DecodeString(line); err == nil && len(key) == size {
			return key, nil
		}
		break
	}
	return nil, fmt.Errorf("%s: %d hexadecimal digits", path, 2*size)
}

// blanks are the maker's own.
type blanks struct {
	Transport string `required:"" type:"existingfile" help:"Transport key of the blanks, 32 hexadecimal digits. 空白卡传输密钥。"`
}

func (b blanks) key() (key [16]byte, err error) {
	text, err := readKey(b.Transport, len(key))
	if err == nil {
		key = [16]byte(text)
	}
	return key, err
}

type makerChipsCommand struct {
	plant
	blanks
	Version string `default:"3.00" help:"Specification version. 规范版本。"`
	First   uint32 `default:"1" help:"First serial number. 起始序列号。"`
	Count   int    `required:"" help:"How many. 数量。"`
	Out     string `required:"" type:"path" help:"Where the list goes. 清单文件。"`
}

// Run buys blanks.
func (c *makerChipsCommand) Run() error {
	m, err := c.maker()
	if err != nil {
		return err
	}
	if m.Transport, err = c.key(); err != nil {
		return err
	}
	list, err := m.Blanks(c.Version, c.First, c.Count)
	if err != nil {
		return err
	}
	return os.WriteFile(c.Out, []byte(list), 0o600)
}

type makerMakeCommand struct {
	plant
	blanks
	File      string `arg:"" type:"existingfile" help:"The production file; its .jws lies beside it. 制卡文件。"`
	Delivery  string `required:"" type:"existingfile" help:"Key of delivery, 64 hexadecimal digits. 制卡传输密钥。"`
	CA        string `required:"" type:"existingfile" help:"The province's authority (ca.pem). 省级根证书。"`
	Province  string `required:"" type:"existingfile" help:"The province's certificate for exchange (exchange.pem). 省平台交换证书。"`
	SpoilOne  int    `default:"200" help:"Spoil one card in so many; 0: none. 每多少张坏一张。"`
	Seed      uint64 `default:"63" help:"The same seed spoils the same cards. 种子。"`
	Half      bool   `help:"Fault: cut the return off. 半个文件。"`
	Duplicate bool   `help:"Fault: a row twice. 重复行。"`
	Counts    bool   `help:"Fault: wrong counts. 数量不符。"`
	StopAfter int    `help:"Fault: stop after so many cards; the same command goes on. 断电。"`
}

// Run makes the cards.
func (c *makerMakeCommand) Run(ctx context.Context) error {
	m, err := c.maker()
	if err != nil {
		return err
	}
	if m.Transport, err = c.key(); err != nil {
		return err
	}
	if m.Delivery, err = readKey(c.Delivery, 32); err != nil {
		return err
	}
	authority, err := os.ReadFile(c.CA)
	if err != nil {
		return err
	}
	if m.Roots = x509.NewCertPool(); !m.Roots.AppendCertsFromPEM(authority) {
		return errors.New("--ca: no certificate")
	}
	if m.Province, err = readCertificate(c.Province); err != nil {
		return err
	}
	m.Faults = maker.Faults{SpoilOneIn: c.SpoilOne, Seed: c.Seed, Half: c.Half, Duplicate: c.Duplicate, Counts: c.Counts, StopAfter: c.StopAfter}
	path, err := m.Make(ctx, c.File)
	if err == nil {
		fmt.Println(path)
	}
	return err
}

func readCertificate(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: no certificate", path)
	}
	return x509.ParseCertificate(block.Bytes)
}
