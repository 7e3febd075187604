package keyblock

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Header says what the key of a block is for. The codes are those of the
// standard; Open returns them as they stand in the block.
type Header struct {
	// Version is A, B, C or D.
	Version byte
	// Usage is the purpose of the key (two characters), for example K0.
	Usage string
	// Algorithm is the cipher the key is for: T 3DES, A AES, …
	Algorithm byte
	// Mode is how the key may be used: E, D, B, G, V, C, X, N, …
	Mode byte
	// KeyVersion is the key's version (two characters); 00 is none.
	KeyVersion string
	// Exportability is E, N or S.
	Exportability byte
	// Context is 0, or under which kind of key the block may be stored (1, 2).
	Context byte
	// Optional are the optional blocks in their order, without the padding.
	Optional []Optional
}

// Optional is an optional block, for example LB, the label of the key.
type Optional struct{ ID, Data string }

// Get returns the data of the optional block with that id.
func (h Header) Get(id string) (data string, ok bool) {
	for _, o := range h.Optional {
		if o.ID == id {
			return o.Data, true
		}
	}
	return "", false
}

const (
	fixedLength   = 16
	maxBlock      = 9999
	paddingID     = "PB"
	shortOptional = 4   // id and length
	longOptional  = 10  // id, 00, length of the length, length
	longest       = 255 // of a short optional block
)

var (
	fixedForm    = regexp.MustCompile(`^[A-D][0-9]{4}[0-9A-Z]{2}[0-9A-Z][0-9A-Z](?:[0-9A-Z]{2}|c[0-9A-Z])[ENS][0-9]{2}[0-2]0$`)
	optionalID   = regexp.MustCompile(`^[0-9A-Z]{2}$`)
	optionalData = regexp.MustCompile(`^[\x20-\x7E]*$`)
	hexadecimal  = regexp.MustCompile(`^[0-9A-F]+$`)
)

// blockSize is what the length of a block and of its header is a multiple of.
func blockSize(version byte) int {
	if version == 'D' {
		return 16
	}
	return 8
}

// parseHeader reads the header and the optional blocks and returns their
// length.
func parseHeader(block string) (Header, int, error) {
	if len(block) < fixedLength || len(block) > maxBlock {
		return Header{}, 0, fmt.Errorf("长度 length: %w", ErrFormat)
	}
	if !strings.Contains("ABCD", block[:1]) {
		return Header{}, 0, fmt.Errorf("%.1q: %w", block[0], ErrVersion)
	}
	if !fixedForm.MatchString(block[:fixedLength]) {
		return Header{}, 0, fmt.Errorf("头 header: %w", ErrFormat)
	}
	h := Header{
		Version: block[0], Usage: block[5:7], Algorithm: block[7], Mode: block[8],
		KeyVersion: block[9:11], Exportability: block[11], Context: block[14],
	}
	if total, _ := strconv.Atoi(block[1:5]); total != len(block) || total%blockSize(h.Version) != 0 {
		return Header{}, 0, fmt.Errorf("长度 length: %w", ErrFormat)
	}
	count, _ := strconv.Atoi(block[12:14])
	length := fixedLength
	for i := range count {
		optional, size, err := parseOptional(block[length:])
		if err != nil {
			return Header{}, 0, err
		}
		length += size
		if optional.ID != paddingID {
			h.Optional = append(h.Optional, optional)
		} else if i != count-1 || i == 0 {
			return Header{}, 0, fmt.Errorf("填充块 padding block: %w", ErrFormat)
		}
	}
	if length%blockSize(h.Version) != 0 || h.repeats() {
		return Header{}, 0, fmt.Errorf("可选块 optional blocks: %w", ErrFormat)
	}
	return h, length, nil
}

// repeats tells whether an optional block occurs twice.
func (h Header) repeats() bool {
	for i, o := range h.Optional {
		if slices.ContainsFunc(h.Optional[:i], func(earlier Optional) bool { return earlier.ID == o.ID }) {
			return true
		}
	}
	return false
}

// parseOptional reads one optional block at the beginning of text and returns
// how many characters it takes.
func parseOptional(text string) (Optional, int, error) {
	malformed := fmt.Errorf("可选块 optional block: %w", ErrFormat)
	if len(text) < shortOptional || !optionalID.MatchString(text[:2]) || !hexadecimal.MatchString(text[2:4]) {
		return Optional{}, 0, malformed
	}
	start, digits := shortOptional, text[2:4]
	if digits == "00" {
		// Of the long form there is only the one with four digits.
		if len(text) < longOptional || text[4:6] != "04" || !hexadecimal.MatchString(text[6:longOptional]) {
			return Optional{}, 0, malformed
		}
		start, digits = longOptional, text[6:longOptional]
	}
	size, err := strconv.ParseUint(digits, 16, 16)
	if err != nil || int(size) < start || int(size) > len(text) || (start == longOptional && size <= longest) {
		return Optional{}, 0, malformed
	}
	o := Optional{ID: text[:2], Data: text[start:size]}
	if !optionalData.MatchString(o.Data) {
		return Optional{}, 0, malformed
	}
	return o, int(size), nil
}

// encode writes the header for a block whose key and MAC take rest characters.
// What it writes, parseHeader reads.
func (h Header) encode(rest int) (string, error) {
	var optional strings.Builder
	count := len(h.Optional)
	for _, o := range h.Optional {
		if o.ID == paddingID || len(o.Data) > maxBlock {
			return "", fmt.Errorf("可选块 optional block: %w", ErrFormat)
		}
		if size := shortOptional + len(o.Data); size <= longest {
			fmt.Fprintf(&optional, "%s%02X%s", o.ID, size, o.Data)
		} else {
			fmt.Fprintf(&optional, "%s0004%04X%s", o.ID, longOptional+len(o.Data), o.Data)
		}
	}
	size := blockSize(h.Version)
	if over := optional.Len() % size; over != 0 {
		padding := size - over
		if padding < shortOptional {
			padding += size
		}
		fmt.Fprintf(&optional, "%s%02X%s", paddingID, padding, strings.Repeat("0", padding-shortOptional))
		count++
	}
	total := fixedLength + optional.Len() + rest
	if total > maxBlock || count > 99 {
		return "", fmt.Errorf("过长 too long: %w", ErrFormat)
	}
	head := fmt.Sprintf("%c%04d%s%c%c%s%c%02d%c0%s", h.Version, total, h.Usage, h.Algorithm, h.Mode,
		h.KeyVersion, h.Exportability, count, h.Context, optional.String())
	back, length, err := parseHeader(head + strings.Repeat("0", rest))
	if err != nil {
		return "", err
	}
	if length != len(head) || !slices.Equal(back.Optional, h.Optional) || back.Usage != h.Usage {
		return "", fmt.Errorf("头 header: %w", ErrFormat)
	}
	return head, nil
}
