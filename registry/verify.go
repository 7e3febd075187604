package registry

import (
	"bytes"
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/emmansun/gmsm/sm3"
	"gorm.io/gorm"
)

// What is wrong with an audit chain.
var (
	// ErrAuditAltered: the entry's fields do not give its hash.
	ErrAuditAltered = errors.New("审计记录被改动 audit entry altered")
	// ErrAuditMissing: the entry of this number is gone.
	ErrAuditMissing = errors.New("审计记录缺失 audit entry missing")
	// ErrAuditLink: the entry does not follow from the one before it: it was
	// inserted or moved, or the one before it was replaced.
	ErrAuditLink = errors.New("审计记录与前一条不衔接 audit entry does not follow from the one before it")
	// ErrAuditSurplus: the entry lies beyond the end that the head of the chain states.
	ErrAuditSurplus = errors.New("审计记录超出链尾 audit entry beyond the end of the chain")
	// ErrAuditHead: the head does not match the last entry, or its keyed digest is wrong.
	ErrAuditHead = errors.New("审计链尾不符 the head of the audit chain does not match")
)

// AuditError says where an audit chain is broken: the first entry of the chain
// that fails.
type AuditError struct {
	Chain string // prefecture
	Seq   int64  // number of the entry in its chain, from 1
	Kind  error  // one of the ErrAudit…
}

func (e *AuditError) Error() string { return fmt.Sprintf("%v (%s/%d)", e.Kind, e.Chain, e.Seq) }

// Unwrap returns the kind.
func (e *AuditError) Unwrap() error { return e.Kind }

// headProof is the keyed digest that the head of a chain carries. Who can write
// the tables can compute hashes anew, but not this.
func (db *DB) headProof(ctx context.Context, head auditHead) ([]byte, error) {
	value := binary.BigEndian.AppendUint64([]byte(head.Chain), uint64(head.Seq))
	return db.vault.Index(ctx, "audit-head", append(value, head.Hash...))
}

// VerifyAudit reads every chain from its first entry to its head and returns
// nil or the breaks found, one [AuditError] for each chain that is broken.
// It works on one snapshot and does not hold up changes.
func (db *DB) VerifyAudit(ctx context.Context) error {
	snapshot := db.Read(ctx).Begin(&sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if snapshot.Error != nil {
		return fmt.Errorf("registry: verify audit: %w", snapshot.Error)
	}
	defer snapshot.Rollback()
	var chains []string
	err := snapshot.Raw("SELECT chain FROM audit_heads UNION SELECT DISTINCT chain FROM audit_entries").Scan(&chains).Error
	if err != nil {
		return fmt.Errorf("registry: verify audit: %w", err)
	}
	slices.Sort(chains)
	var broken []error
	for _, chain := range chains {
		err := db.verifyChain(ctx, snapshot, chain)
		var finding *AuditError
		if errors.As(err, &finding) {
			broken = append(broken, err)
		} else if err != nil {
			return fmt.Errorf("registry: verify audit: %w", err)
		}
	}
	return errors.Join(broken...)
}

func (db *DB) verifyChain(ctx context.Context, snapshot *gorm.DB, chain string) error {
	var head auditHead
	if err := snapshot.Where("chain = ?", chain).Limit(1).Find(&head).Error; err != nil {
		return err
	}
	rows, err := snapshot.Model(&auditEntry{}).Where("chain = ?", chain).Order("seq").Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	last := auditHead{Chain: chain}
	previous := make([]byte, sm3.Size)
	for rows.Next() {
		var entry auditEntry
		if err := snapshot.ScanRows(rows, &entry); err != nil {
			return err
		}
		if kind := entry.follows(last.Seq, previous, head.Seq); kind != nil {
			return &AuditError{Chain: chain, Seq: last.Seq + 1, Kind: kind}
		}
		last.Seq, last.Hash, previous = entry.Seq, entry.Hash, entry.Hash
	}
	if err := rows.Err(); err != nil {
		return translate(err)
	}
	if last.Seq < head.Seq {
		return &AuditError{Chain: chain, Seq: last.Seq + 1, Kind: ErrAuditMissing}
	}
	if head.Seq == 0 {
		return nil
	}
	proof, err := db.headProof(ctx, last)
	if err != nil {
		return err
	}
	if !bytes.Equal(head.Hash, last.Hash) || !hmac.Equal(head.Proof, proof) {
		return &AuditError{Chain: chain, Seq: last.Seq, Kind: ErrAuditHead}
	}
	return nil
}

// follows says what is wrong with an entry that comes after number and hash
// previous in a chain that ends with number end.
func (e *auditEntry) follows(number int64, previous []byte, end int64) error {
	switch {
	case e.Seq > end:
		return ErrAuditSurplus
	case e.Seq != number+1:
		return ErrAuditMissing
	case !bytes.Equal(e.digest(), e.Hash):
		return ErrAuditAltered
	case !bytes.Equal(e.PrevHash, previous):
		return ErrAuditLink
	default:
		return nil
	}
}
