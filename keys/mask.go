package keys

import (
	"fmt"
	"io"
	"log/slog"
)

// maskText is all that ever shows of a value which holds key bytes.
const maskText = "密钥已隐去 (key)"

// secret holds key bytes inside a function, where neither fmt, which looks
// through the unexported fields and pointers of a structure around it, nor any
// other walk by reflection finds them.
type secret func() []byte

// hide keeps value itself, not a copy.
func hide(value []byte) secret { return func() []byte { return value } }

// masked, embedded, keeps the value around it out of every format: fmt with
// any verb, JSON, text and slog.
type masked struct{}

// String returns the mask.
func (masked) String() string { return maskText }

// GoString returns the mask.
func (masked) GoString() string { return maskText }

// Format writes the mask whatever the verb.
func (masked) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, maskText) }

// MarshalText returns the mask.
func (masked) MarshalText() ([]byte, error) { return []byte(maskText), nil }

// MarshalJSON returns the mask as a JSON string.
func (masked) MarshalJSON() ([]byte, error) { return []byte(`"` + maskText + `"`), nil }

// LogValue returns the mask.
func (masked) LogValue() slog.Value { return slog.StringValue(maskText) }
