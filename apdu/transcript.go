package apdu

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// What a Replayer refuses.
var (
	ErrTranscript = errors.New("not as in the transcript")
	ErrNoAnswer   = errors.New("no answer in the transcript")
)

// Octet is one byte of a transcript; the value of a masked one is not known.
type Octet struct {
	Value  byte
	Masked bool
}

// Octets are the bytes of one line.
type Octets []Octet

// String returns the bytes in hexadecimal as a transcript has them.
func (o Octets) String() string {
	var text strings.Builder
	for _, octet := range o {
		if octet.Masked {
			text.WriteString(maskedByte)
		} else {
			fmt.Fprintf(&text, "%02X", octet.Value)
		}
	}
	return text.String()
}

const maskedByte = ".."

// plain returns the bytes; a masked one is zero.
func (o Octets) plain() []byte {
	out := make([]byte, len(o))
	for i, octet := range o {
		out[i] = octet.Value
	}
	return out
}

// header names a command.
func (o Octets) header() string { return o[:min(len(o), 4)].String() }

// differs returns where b first differs, in a byte not masked or by its end;
// -1 where it does not.
func (o Octets) differs(b []byte) int {
	for i, octet := range o {
		if i == len(b) || !octet.Masked && octet.Value != b[i] {
			return i
		}
	}
	if len(b) > len(o) {
		return len(o)
	}
	return -1
}

// octets returns b with the bytes from..to masked, their values gone.
func octets(b []byte, from, to int) Octets {
	out := make(Octets, len(b))
	for i, value := range b {
		if i >= from && i < to {
			out[i] = Octet{Masked: true}
		} else {
			out[i] = Octet{Value: value}
		}
	}
	return out
}

// Exchange is a command and its response: at least a status word, or nothing
// where no answer came.
type Exchange struct {
	Command, Response Octets
	Took              time.Duration // from command to response; 0 where not recorded
	Line              int           // of the command in its transcript, from 1; 0 outside of one
}

// String returns the lines of the exchange.
func (e Exchange) String() string {
	answer := "# no answer"
	if len(e.Response) > 0 {
		answer = "< " + e.Response.String()
	}
	lines := "> " + e.Command.String() + "\n" + answer + "\n"
	if e.Took > 0 {
		lines += "= " + e.Took.String() + "\n"
	}
	return lines
}

// Conversation is what passed on one connection to a card (一次连接).
type Conversation struct {
	ATR       Octets    // 卡复位信息; none where the transcript does not say
	At        time.Time // zero where the transcript does not say
	Reader    string
	Exchanges []Exchange
}

// head returns the line with which the conversation begins.
func (c Conversation) head() string {
	line := "@ " + c.ATR.String()
	if !c.At.IsZero() {
		line += " " + c.At.Format(time.RFC3339) + " " + strings.Join(strings.Fields(c.Reader), " ")
	}
	return strings.TrimRight(line, " ") + "\n"
}

// String returns the lines of the conversation.
func (c Conversation) String() string {
	var lines strings.Builder
	if len(c.ATR) > 0 {
		lines.WriteString(c.head())
	}
	for _, e := range c.Exchanges {
		lines.WriteString(e.String())
	}
	return lines.String()
}

// ParseTranscript reads the exchanges of a transcript. Its errors name the
// line, never bytes.
func ParseTranscript(r io.Reader) ([]Exchange, error) {
	conversations, err := ParseConversations(r)
	var exchanges []Exchange
	for _, c := range conversations {
		exchanges = append(exchanges, c.Exchanges...)
	}
	return exchanges, err
}

// ParseConversations reads a transcript, connection by connection. What stands
// before the first connection line is a conversation by itself. Errors are as
// for [ParseTranscript].
func ParseConversations(r io.Reader) ([]Conversation, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var p transcriptParser
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if reason := p.take(line[0], strings.TrimSpace(line[1:]), number); reason != "" {
			return nil, fmt.Errorf("transcript line %d: %w: %s", number, ErrMalformed, reason)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("transcript: %w", err)
	}
	return p.conversations, nil
}

// maxLine is more than a line of the longest command or response with white
// space between its bytes.
const maxLine = 1 << 18

// transcriptParser takes the lines of a transcript, one by one.
type transcriptParser struct {
	conversations []Conversation
	open          bool // the latest command has no response yet
	timed         bool // the latest exchange has its time, or there is none
}

// take takes a line by its mark; reason says why it cannot.
func (p *transcriptParser) take(mark byte, text string, number int) (reason string) {
	switch mark {
	case '@':
		return p.begin(text)
	case '=':
		return p.time(text)
	case '>', '<':
	default:
		return "begins with >, <, =, @ or #"
	}
	bytes, ok := parseOctets(text)
	switch {
	case !ok:
		return "bytes in hexadecimal or " + maskedByte
	case mark == '>':
		if len(p.conversations) == 0 {
			p.conversations = append(p.conversations, Conversation{})
		}
		last := &p.conversations[len(p.conversations)-1]
		last.Exchanges = append(last.Exchanges, Exchange{Command: bytes, Line: number})
		p.open, p.timed = true, false
	case !p.open:
		return "a response without a command"
	case len(bytes) < 2 || bytes[len(bytes)-2].Masked || bytes[len(bytes)-1].Masked:
		return "a response has a status word, which is not masked"
	default:
		p.latest().Response = bytes
		p.open = false
	}
	return ""
}

// latest returns the exchange that was begun last.
func (p *transcriptParser) latest() *Exchange {
	exchanges := p.conversations[len(p.conversations)-1].Exchanges
	return &exchanges[len(exchanges)-1]
}

// begin takes the line of a connection: answer to reset, time, reader.
func (p *transcriptParser) begin(text string) (reason string) {
	parts := strings.SplitN(text, " ", 3)
	atr, ok := parseOctets(parts[0])
	if !ok || len(atr) < 2 {
		return "an answer to reset in hexadecimal"
	}
	c := Conversation{ATR: atr}
	if len(parts) > 1 {
		at, err := time.Parse(time.RFC3339, parts[1])
		if err != nil {
			return "a time such as 2026-11-23T09:30:00+08:00 after the answer to reset"
		}
		c.At = at
	}
	if len(parts) > 2 {
		c.Reader = strings.Join(strings.Fields(parts[2]), " ")
	}
	p.conversations = append(p.conversations, c)
	p.open, p.timed = false, true
	return ""
}

// time takes the line that says how long the latest exchange took.
func (p *transcriptParser) time(text string) (reason string) {
	if len(p.conversations) == 0 || p.timed {
		return "a time without an exchange"
	}
	took, err := time.ParseDuration(text)
	if err != nil || took < 0 {
		return "a time such as 1.5ms"
	}
	p.latest().Took = took
	p.open, p.timed = false, true
	return ""
}

func parseOctets(text string) (Octets, bool) {
	text = strings.Join(strings.Fields(text), "")
	if len(text)%2 != 0 {
		return nil, false
	}
	out := make(Octets, 0, len(text)/2)
	for ; len(text) > 0; text = text[2:] {
		if text[:2] == maskedByte {
			out = append(out, Octet{Masked: true})
			continue
		}
		b, err := hex.DecodeString(text[:2])
		if err != nil {
			return nil, false
		}
		out = append(out, Octet{Value: b[0]})
	}
	return out, true
}
