package apdu

import (
	"errors"
	"fmt"
	"slices"
)

// What may be wrong with an answer to reset, besides ErrMalformed.
var ErrCheckByte = errors.New("wrong check byte")

// ATR is an answer to reset, taken apart (卡复位信息, ISO/IEC 7816-3 clause 8.2).
type ATR struct {
	Direct     bool // direct convention (TS = 3B); otherwise inverse (3F)
	Interface  []Interface
	Protocols  []byte // T, in the order of the first offer of each; T=0 where nothing is said
	Historical []byte // 历史字节
	// Check is TCK, there unless T=0 alone is offered.
	Check    byte
	HasCheck bool
}

// Interface is a group of interface bytes; nil for one that is absent. TD is
// what introduces the next group.
type Interface struct{ TA, TB, TC, TD *byte }

// The conventions, and the protocol number that is none but global interface
// bytes.
const (
	tsDirect  = 0x3B
	tsInverse = 0x3F
	tGlobal   = 15
	// maxATR is the longest answer: TS and 32 characters (clause 8.2.1).
	maxATR = 33
)

// ParseATR takes an answer to reset apart. Bytes that are missing or left over
// are ErrMalformed. Of one whose TCK does not fit, what it says is returned with
// ErrCheckByte.
func ParseATR(b []byte) (ATR, error) {
	if len(b) < 2 || len(b) > maxATR || b[0] != tsDirect && b[0] != tsInverse {
		return ATR{}, fmt.Errorf("answer to reset of %d bytes: %w: 3B or 3F, T0, and at most %d", len(b), ErrMalformed, maxATR)
	}
	a := ATR{Direct: b[0] == tsDirect}
	rest, follows := b[2:], b[1]>>4
	for follows != 0 {
		var group Interface
		for i, at := range []**byte{&group.TA, &group.TB, &group.TC, &group.TD} {
			if follows>>i&1 == 0 {
				continue
			}
			if len(rest) == 0 {
				return ATR{}, fmt.Errorf("answer to reset: %w: cut within its interface bytes", ErrMalformed)
			}
			value := rest[0]
			*at, rest = &value, rest[1:]
		}
		a.Interface = append(a.Interface, group)
		if follows = 0; group.TD != nil {
			follows = *group.TD >> 4
			a.offer(*group.TD & 0x0F)
		}
	}
	if len(a.Protocols) == 0 {
		a.Protocols = []byte{0}
	}
	return a.end(b, rest)
}

// offer takes a protocol from a TD. Any but T=0 has the answer end with TCK.
func (a *ATR) offer(t byte) {
	a.HasCheck = a.HasCheck || t != 0
	if t != tGlobal && !slices.Contains(a.Protocols, t) {
		a.Protocols = append(a.Protocols, t)
	}
}

// end takes the historical bytes and TCK.
func (a ATR) end(whole, rest []byte) (ATR, error) {
	n := int(whole[1] & 0x0F)
	size := n
	if a.HasCheck {
		size++
	}
	if len(rest) != size {
		return ATR{}, fmt.Errorf("answer to reset: %w: %d bytes follow the interface bytes, not %d", ErrMalformed, len(rest), size)
	}
	a.Historical = slices.Clone(rest[:n])
	if !a.HasCheck {
		return a, nil
	}
	a.Check = rest[n]
	var sum byte
	for _, b := range whole[1:] {
		sum ^= b
	}
	if sum != 0 {
		return a, fmt.Errorf("answer to reset: %w: TCK is %02X", ErrCheckByte, a.Check)
	}
	return a, nil
}
