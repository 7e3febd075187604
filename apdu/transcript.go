package apdu

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
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
type Exchange struct{ Command, Response Octets }

// String returns the lines of the exchange.
func (e Exchange) String() string {
	answer := "# no answer"
	if len(e.Response) > 0 {
		answer = "< " + e.Response.String()
	}
	return "> " + e.Command.String() + "\n" + answer + "\n"
}

// maxLine is more than a line of the longest command or response with white
// space between its bytes.
const maxLine = 1 << 18

// ParseTranscript reads a transcript. Its errors name the line, never bytes.
func ParseTranscript(r io.Reader) ([]Exchange, error) {
	var exchanges []Exchange
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	open := false // the latest command has no response yet
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		bytes, ok := parseOctets(line[1:])
		switch {
		case !ok:
			return nil, fmt.Errorf("transcript line %d: %w: bytes in hexadecimal or %s", number, ErrMalformed, maskedByte)
		case line[0] == '>':
			exchanges = append(exchanges, Exchange{Command: bytes})
			open = true
		case line[0] != '<':
			return nil, fmt.Errorf("transcript line %d: %w: begins with >, < or #", number, ErrMalformed)
		case !open:
			return nil, fmt.Errorf("transcript line %d: %w: a response without a command", number, ErrMalformed)
		case len(bytes) < 2 || bytes[len(bytes)-2].Masked || bytes[len(bytes)-1].Masked:
			return nil, fmt.Errorf("transcript line %d: %w: a response has a status word, which is not masked", number, ErrMalformed)
		default:
			exchanges[len(exchanges)-1].Response = bytes
			open = false
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("transcript: %w", err)
	}
	return exchanges, nil
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
