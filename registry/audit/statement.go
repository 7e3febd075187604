package audit

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"onecard/internal/signed"
)

// StatementKind marks what is signed here, so that nothing else that the
// province signs is taken for it.
const StatementKind = "onecard-audit-heads/1"

// Statement is what is signed of chains at an instant (链尾签名): their ends.
type Statement struct {
	Kind  string    `json:"kind"`
	At    time.Time `json:"at"`
	Heads []Head    `json:"heads"`
}

// Head is the end of a chain: number and hash (hexadecimal) of the last entry.
type Head struct {
	Chain string `json:"chain"`
	Seq   int64  `json:"seq"`
	Hash  string `json:"hash"`
}

// NewStatement states the ends of chains.
func NewStatement(at time.Time, heads map[string]Point) Statement {
	s := Statement{Kind: StatementKind, At: at.UTC(), Heads: make([]Head, 0, len(heads))}
	for _, chain := range sorted(heads) {
		s.Heads = append(s.Heads, Head{Chain: chain, Seq: heads[chain].Seq, Hash: hex.EncodeToString(heads[chain].Hash)})
	}
	return s
}

// ErrStatement: what was signed is no statement of the ends of audit chains.
var ErrStatement = errors.New("不是审计链尾签名 not a signed statement of audit heads")

// OpenStatement returns what was signed, by a key that the province vouched for
// at that time.
func OpenStatement(token string, roots *x509.CertPool) (Statement, error) {
	var s Statement
	payload, err := signed.Open(token, roots, func(payload []byte) (time.Time, error) {
		var claimed Statement
		err := json.Unmarshal(payload, &claimed)
		return claimed.At, err
	})
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(payload, &s); err != nil || s.Kind != StatementKind {
		return s, ErrStatement
	}
	return s, nil
}

// Points are the entries vouched for, by chain.
type Points map[string][]Point

// Add takes what a statement says.
func (p Points) Add(s Statement) error {
	for _, head := range s.Heads {
		hash, err := hex.DecodeString(head.Hash)
		if err != nil || head.Seq < 1 {
			return fmt.Errorf("%w: %s", ErrStatement, head.Chain)
		}
		p[head.Chain] = append(p[head.Chain], Point{Seq: head.Seq, Hash: hash})
	}
	return nil
}
