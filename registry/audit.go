package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/registry/audit"
)

// auditEntry is a row of audit_entries.
type auditEntry struct {
	Chain       string    `gorm:"column:chain"`
	Seq         int64     `gorm:"column:seq"`
	At          time.Time `gorm:"column:at"`
	Operator    string    `gorm:"column:operator"`
	Workstation string    `gorm:"column:workstation"`
	Place       string    `gorm:"column:place"`
	Action      string    `gorm:"column:action"`
	Subject     string    `gorm:"column:subject"`
	Detail      string    `gorm:"column:detail"`
	PrevSeq     *int64    `gorm:"column:prev_seq"`
	PrevHash    []byte    `gorm:"column:prev_hash"`
	Hash        []byte    `gorm:"column:hash"`
}

// TableName implements gorm's schema.Tabler.
func (auditEntry) TableName() string { return "audit_entries" }

// auditHead is a row of audit_heads: the end of a chain.
type auditHead struct {
	Chain string `gorm:"column:chain"`
	Seq   int64  `gorm:"column:seq"`
	Hash  []byte `gorm:"column:hash"`
	Proof []byte `gorm:"column:proof"`
	// IndexVersion is the version of the key INDEX under which transactions that
	// end here write.
	IndexVersion int `gorm:"column:index_version"`
}

// TableName implements gorm's schema.Tabler.
func (auditHead) TableName() string { return "audit_heads" }

// Audit records an action in the audit chain of the actor's place, in the same
// transaction. action is a fixed word such as "application.approved",
// subject names the thing, such as "application:018f…". Neither they nor detail
// may hold personal data: who is meant stands behind the id.
//
// The record is written at the end of the transaction, so that the chain is
// locked for a moment only.
func (tx *Tx) Audit(action, subject string, detail map[string]string) error {
	if action == "" || subject == "" {
		return &FieldError{Field: "audit", ZH: "须有动作和对象", EN: "an action and a subject"}
	}
	canonical, err := canonicalDetail(detail)
	if err != nil {
		return err
	}
	tx.pending = append(tx.pending, auditEntry{
		Chain:       tx.actor.Place,
		At:          tx.now,
		Operator:    tx.actor.Operator,
		Workstation: tx.actor.Workstation,
		Place:       tx.actor.Place,
		Action:      action,
		Subject:     subject,
		Detail:      canonical,
	})
	return nil
}

// canonicalDetail renders a map as JSON in one form only: keys sorted, nothing
// escaped that needs no escape.
func canonicalDetail(detail map[string]string) (string, error) {
	if detail == nil {
		detail = map[string]string{}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(detail); err != nil {
		return "", &FieldError{Field: "audit", ZH: "内容须能编码为 JSON", EN: "a detail that encodes as JSON"}
	}
	return string(bytes.TrimSuffix(out.Bytes(), []byte("\n"))), nil
}

// digest returns the hash of an entry.
func (e *auditEntry) digest() []byte {
	entry := audit.Entry{
		Seq: e.Seq, At: e.At.UnixMicro(), Chain: []byte(e.Chain), Operator: []byte(e.Operator), Workstation: []byte(e.Workstation),
		Place: []byte(e.Place), Action: []byte(e.Action), Subject: []byte(e.Subject), Detail: []byte(e.Detail), PrevHash: e.PrevHash,
	}
	sum := entry.Digest()
	return sum[:]
}

// writeAudit carries statements out, and with them locks the head of the chain
// until the transaction ends; it returns what then appends the pending records
// and moves the head.
func (tx *Tx) writeAudit(before []statement) (record []statement, err error) {
	head, err := tx.lockHead(tx.pending[0].Chain, before)
	if err != nil {
		return nil, err
	}
	for i := range tx.pending {
		entry := &tx.pending[i]
		entry.Seq, entry.PrevHash = head.Seq+1, head.Hash
		if head.Seq > 0 {
			previous := head.Seq
			entry.PrevSeq = &previous
		} else {
			entry.PrevHash = audit.Zero
		}
		entry.Hash = entry.digest()
		head.Seq, head.Hash = entry.Seq, entry.Hash
	}
	if head.Proof, err = tx.db.headProof(tx.ctx, head); err != nil {
		return nil, err
	}
	moved := tx.written(func(dry *gorm.DB) *gorm.DB {
		return dry.Exec("UPDATE audit_heads SET seq = ?, hash = ?, proof = ? WHERE chain = ?", head.Seq, head.Hash, head.Proof, head.Chain)
	})
	return append(tx.creates(reflect.ValueOf(tx.pending)), moved), nil
}

func (tx *Tx) lockHead(chain string, before []statement) (auditHead, error) {
	head := auditHead{Chain: chain}
	found := tx.asked(func(dry *gorm.DB) *gorm.DB {
		return dry.Clauses(forUpdate).Where("chain = ?", chain).Take(&head)
	})
	err := tx.together(append(before, found)...)
	if err == nil {
		err = tx.underVersion(head.IndexVersion)
	}
	if !errors.Is(err, ErrNotFound) {
		return head, err
	}
	// The first entry of a place: two at once make one head. A change of the key
	// that moves the heads does not see this one, but comes by its setting.
	if err := tx.underSetting(); err != nil {
		return head, err
	}
	created := tx.written(func(dry *gorm.DB) *gorm.DB {
		return dry.Clauses(clause.OnConflict{DoNothing: true}).Create(&auditHead{Chain: chain, IndexVersion: tx.indexes.write})
	})
	return head, tx.together(created, found)
}

// AuditRecord is an entry of the audit log as it is read.
type AuditRecord struct {
	Chain  string // place
	Seq    int64  // number in its chain, from 1
	At     time.Time
	Actor  Actor
	Action string
	Detail map[string]string
}

// maxTrail bounds the answer of AuditTrail.
const maxTrail = 500

// AuditTrail returns what is recorded of a subject, the newest first, at most
// 500 records. It does not verify: see [DB.VerifyAudit].
func (db *DB) AuditTrail(ctx context.Context, subject string) ([]AuditRecord, error) {
	var entries []auditEntry
	err := db.Read(ctx).Where("subject = ?", subject).Order("at DESC, chain, seq DESC").Limit(maxTrail).Find(&entries).Error
	if err != nil {
		return nil, err
	}
	records := make([]AuditRecord, len(entries))
	for i, entry := range entries {
		records[i] = AuditRecord{
			Chain: entry.Chain, Seq: entry.Seq, At: entry.At, Action: entry.Action,
			Actor: Actor{Operator: entry.Operator, Workstation: entry.Workstation, Place: entry.Place},
		}
		if err := json.Unmarshal([]byte(entry.Detail), &records[i].Detail); err != nil {
			return nil, &audit.Finding{Chain: entry.Chain, Seq: entry.Seq, Kind: audit.ErrAltered}
		}
	}
	return records, nil
}
