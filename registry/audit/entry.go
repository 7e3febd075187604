// Package audit is the form of the audit log (审计日志): what an entry is, how a
// chain of entries holds together, how the end of a chain is signed, how a log
// is exported, and what is wrong with one that was tampered with. It needs no
// database and no key: whoever has an export and the province's certificate can
// verify it.
package audit

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/emmansun/gmsm/sm3"
)

// Entry is an entry as it is hashed. Chain is the place (GB/T 2260) whose chain
// it stands in, Seq its number there, from 1, At microseconds since 1970 in UTC.
type Entry struct {
	Seq                                                  int64
	At                                                   int64
	Chain, Operator, Workstation, Place, Action, Subject []byte
	Detail                                               []byte // JSON of text to text, keys sorted
	PrevHash, Hash                                       []byte // SM3, 32 bytes
}

// Zero is what stands for the hash of the entry before the first.
var Zero = make([]byte, sm3.Size)

// Digest returns the hash of an entry: SM3 over its predecessor's hash and its
// fields, each preceded by its length so that no two entries render the same.
func (e *Entry) Digest() [sm3.Size]byte {
	sum, _ := e.digest(nil, e.Seq)
	return sum
}

// digest is Digest with another number, and with a buffer to be used again.
func (e *Entry) digest(buffer []byte, seq int64) (sum [sm3.Size]byte, used []byte) {
	b := buffer[:0]
	field := func(value []byte) {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(value))), value...)
	}
	field(e.PrevHash)
	field(e.Chain)
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, 8), uint64(seq))
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, 8), uint64(e.At))
	for _, text := range [...][]byte{e.Operator, e.Workstation, e.Place, e.Action, e.Subject, e.Detail} {
		field(text)
	}
	return sm3.Sum(b), b
}

// Time returns the instant of the entry.
func (e *Entry) Time() time.Time { return time.UnixMicro(e.At).UTC() }

// clone returns an entry with memory of its own.
func (e *Entry) clone() Entry {
	c := *e
	for _, field := range []*[]byte{&c.Chain, &c.Operator, &c.Workstation, &c.Place, &c.Action, &c.Subject, &c.Detail, &c.PrevHash, &c.Hash} {
		*field = bytes.Clone(*field)
	}
	return c
}
