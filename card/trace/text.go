package trace

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Text writes the report for people.
func (r Report) Text() string {
	var b strings.Builder
	for i, c := range r.Conversations {
		c.text(&b, i+1)
	}
	fmt.Fprintf(&b, "合计 total: %s\n", r.Totals)
	if r.Totals.Masked > 0 {
		fmt.Fprintf(&b, "已遮蔽 %d 项，可用 --reveal --reason 查看 %d fields are masked; --reveal --reason shows them\n", r.Totals.Masked, r.Totals.Masked)
	}
	if r.Totals.Gone > 0 {
		fmt.Fprintf(&b, "记录时已遮蔽 %d 项，无法再显示 %d fields were masked when recorded and are gone\n", r.Totals.Gone, r.Totals.Gone)
	}
	return strings.Map(printable, b.String())
}

// printable replaces what would steer a terminal: a chip may say anything.
func printable(r rune) rune {
	if unicode.IsControl(r) && r != '\n' {
		return '\uFFFD'
	}
	return r
}

// String writes the totals in one line.
func (t Totals) String() string {
	line := fmt.Sprintf("%d APDU, %d 命令 commands, %d 脚本 scripts, 发 sent %d B, 收 received %d B", t.Exchanges, t.Commands, t.Scripts, t.Sent, t.Received)
	if t.Refused > 0 {
		line += fmt.Sprintf(", %d 未成功 refused", t.Refused)
	}
	if t.Silent > 0 {
		line += fmt.Sprintf(", %d 无应答 without answer", t.Silent)
	}
	if t.Micros > 0 {
		line += ", " + micros(t.Micros)
	}
	return line
}

func micros(n int64) string { return (time.Duration(n) * time.Microsecond).String() }

func (c Conversation) text(b *strings.Builder, number int) {
	fmt.Fprintf(b, "连接 connection %d", number)
	if c.At != nil {
		fmt.Fprintf(b, "  %s", c.At.Format(time.RFC3339))
	}
	if c.Reader != "" {
		fmt.Fprintf(b, "  %s", c.Reader)
	}
	b.WriteString("\n")
	if c.ATR != "" {
		fmt.Fprintf(b, "  卡复位信息 ATR   %s", c.ATR)
		if c.Card != nil {
			fmt.Fprintf(b, "  %s %s", c.Card.ZH, c.Card.EN)
		}
		b.WriteString("\n")
		if len(c.Protocols) > 0 {
			fmt.Fprintf(b, "  协议 protocol     %s，历史字节 %d 个 historical bytes\n", strings.Join(c.Protocols, ", "), c.Historical)
		}
	}
	switch {
	case c.Version != "":
		fmt.Fprintf(b, "  规范 specification  %s\n", c.Version)
	case len(c.Fitting) > 0:
		fmt.Fprintf(b, "  规范 specification  %s 均可能，记录中没有规范版本 any of them, the transcript does not say\n", strings.Join(c.Fitting, ", "))
	default:
		b.WriteString("  规范 specification  未知，仅按 ISO/IEC 7816 解析 unknown, decoded as ISO/IEC 7816\n")
	}
	for i, s := range c.Steps {
		s.text(b, i+1)
	}
	fmt.Fprintf(b, "  小计 subtotal: %s\n\n", c.Totals)
}

func (s Step) text(b *strings.Builder, number int) {
	fmt.Fprintf(b, "%4d  %s %s  %s · %s\n", number, s.Header, s.Name, s.Text.ZH, s.Text.EN)
	for _, f := range s.Sent {
		f.text(b, 6, ">")
	}
	for _, f := range s.Received {
		f.text(b, 6, "<")
	}
	fmt.Fprintf(b, "      = %s", strings.TrimSpace(s.SW+" "+s.Status.ZH+" "+s.Status.EN))
	if s.Exchanges > 1 {
		fmt.Fprintf(b, "（%d APDU）", s.Exchanges)
	}
	if s.Micros > 0 {
		fmt.Fprintf(b, "  %s", micros(s.Micros))
	}
	fmt.Fprintf(b, "  [%d]\n", s.Line)
}

func (f Field) text(b *strings.Builder, indent int, mark string) {
	value := f.Value
	switch f.State {
	case Masked:
		value = fmt.Sprintf("****（%d 字节 bytes）", f.Length)
	case Gone:
		value = fmt.Sprintf("记录时已遮蔽 masked when recorded（%d 字节 bytes）", f.Length)
	}
	words := f.Text.ZH
	if f.Text.EN != f.Text.ZH {
		words += " " + f.Text.EN
	}
	fmt.Fprintf(b, "%s%s %s", strings.Repeat(" ", indent), mark, strings.TrimSpace(f.Tag+" "+words))
	if value != "" {
		fmt.Fprintf(b, ": %s", strings.ReplaceAll(value, "\n", " "))
	}
	b.WriteString("\n")
	for _, part := range f.Parts {
		part.text(b, indent+2, mark)
	}
}
