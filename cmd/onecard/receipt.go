package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/card"
	"onecard/internal/signed"
	"onecard/issuance"
)

type receiptCommand struct {
	settings
	Card  string   `arg:"" help:"Card number, or the card's id. 卡号，或卡的编号。"`
	Value []string `placeholder:"FILE/TAG=VALUE" help:"Was this written? Such as SSSE/EF06/09=扎西. 核对写入的值。"`
	JSON  bool     `help:"Print the receipt as it is stored, signed. 输出签名原文。"`
}

var (
	errValue     = errors.New("应为 文件/标签=值，如 SSSE/EF06/09=扎西 must be FILE/TAG=VALUE")
	errNotAttest = errors.New("回执中没有这样的值 the receipt is not of these values")
)

// Run prints what the province certified of a card when it was made, and
// checks the signature.
func (c *receiptCommand) Run(ctx context.Context, out streams) error {
	var values []card.Value
	for i, text := range c.Value {
		path, value, ok := strings.Cut(text, "=")
		at := strings.LastIndex(path, "/")
		if !ok || at < 0 {
			return fmt.Errorf("--value %d: %w", i+1, errValue)
		}
		values = append(values, card.Value{File: path[:at], Tag: path[at+1:], Value: value})
	}
	return c.withRecords(ctx, out, func(p *platform) error {
		if err := p.assemble(); err != nil {
			return err
		}
		token, err := p.receipt(ctx, c.Card)
		if err != nil {
			return err
		}
		receipt, err := readReceipt(token, p.authority.CA())
		if err != nil {
			return err
		}
		if c.JSON {
			_, err = fmt.Fprintln(out.Out, token)
		} else {
			err = printReceipt(out.Out, receipt)
		}
		if err != nil || len(values) == 0 {
			return err
		}
		different, err := p.issuance.Attests(ctx, receipt, values)
		if err != nil {
			return err
		}
		for _, value := range different {
			fmt.Fprintf(out.Err, "✘ %s/%s\n", value.File, value.Tag)
		}
		if len(different) > 0 {
			return errNotAttest
		}
		_, err = fmt.Fprintln(out.Out, "✔ 写入的就是这些值 these values were written")
		return err
	})
}

// receipt finds a card's by number or id.
func (p *platform) receipt(ctx context.Context, of string) (string, error) {
	id, err := uuid.Parse(of)
	if err != nil {
		found, err := p.issuance.CardByNumber(ctx, of)
		if err != nil {
			return "", fmt.Errorf("卡 card: %w", err)
		}
		id = found.ID
	}
	token, err := p.issuance.Receipt(ctx, id)
	if err != nil {
		return "", fmt.Errorf("回执 receipt: %w", err)
	}
	return token, nil
}

// readReceipt checks a receipt: the signer's certificate must have been good
// when the card was made.
func readReceipt(token string, authority []byte) (receipt issuance.Receipt, err error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	payload, err := signed.Open(token, roots, func(payload []byte) (time.Time, error) {
		var told issuance.Receipt
		err := json.Unmarshal(payload, &told)
		return told.At, err
	})
	if err != nil {
		return receipt, err
	}
	return receipt, json.Unmarshal(payload, &receipt)
}

func printReceipt(out io.Writer, r issuance.Receipt) error {
	var text strings.Builder
	fmt.Fprintf(&text, "制卡回执 receipt，签名有效 signature good\n")
	for _, line := range []struct{ name, value string }{
		{"卡 card", r.Card.String()}, {"卡识别码 chip", r.ChipID}, {"规范 specification", r.SpecVersion},
		{"密钥版本 key version", fmt.Sprint(r.KeyVersion)}, {"内部认证 genuine", fmt.Sprint(r.Genuine)},
		{"时间 at", r.At.Format(time.RFC3339)}, {"操作员 operator", r.Operator}, {"工作站 workstation", r.Workstation}, {"地点 place", r.Place},
		{"会话 session", r.Session.String()},
	} {
		fmt.Fprintf(&text, "  %s：%s\n", line.name, line.value)
	}
	for _, d := range r.Elements {
		fmt.Fprintf(&text, "  %s/%s  %s\n", d.File, d.Tag, d.Digest)
	}
	_, err := io.WriteString(out, text.String())
	return err
}
