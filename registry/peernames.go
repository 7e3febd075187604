package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// PeerName is how a peer knows a person's name (各方收到的姓名字节): the very
// bytes that it was sent. It holds personal data.
type PeerName struct {
	Peer     string
	Encoding string // UTF-8, GBK or GB 18030
	Bytes    []byte
	Cut      bool // the peer's field was too short
	Stamp    Stamp
}

type peerNameRow struct {
	PersonID    uuid.UUID `gorm:"column:person_id"`
	Peer        string    `gorm:"column:peer"`
	Encoding    string    `gorm:"column:encoding"`
	BytesSealed []byte    `gorm:"column:bytes_sealed"`
	Cut         bool      `gorm:"column:cut"`
	Stamp       `gorm:"embedded"`
}

// TableName implements gorm's schema.Tabler.
func (peerNameRow) TableName() string { return "peer_names" }

const columnPeerName = "peer_names.bytes"

// TellName records under which bytes a peer is told of a person, in the
// transaction that records the telling. The same again is no new version.
func (tx *Tx) TellName(person uuid.UUID, name PeerName, reason string) error {
	row := person.String() + "/" + name.Peer
	// Two messages to one peer may be made at once; the file's lock orders them.
	held := tx.ForUpdate().Model(&personRow{}).Select("id").Where("id = ?", person).Take(&struct{ ID uuid.UUID }{})
	if held.Error != nil {
		return held.Error
	}
	var known peerNameRow
	err := tx.gorm.Where("person_id = ? AND peer = ?", person, name.Peer).Take(&known).Error
	switch {
	case err == nil:
		before, err := tx.db.Unseal(tx.ctx, columnPeerName, row, known.BytesSealed)
		if err != nil || (string(before) == string(name.Bytes) && known.Encoding == name.Encoding && known.Cut == name.Cut) {
			return err
		}
	case !errors.Is(err, ErrNotFound):
		return err
	}
	sealed, err := tx.db.Seal(tx.ctx, columnPeerName, row, name.Bytes)
	if err != nil {
		return err
	}
	return tx.put("peer_names", map[string]any{"person_id": person, "peer": name.Peer},
		map[string]any{"encoding": name.Encoding, "bytes_sealed": sealed, "cut": name.Cut}, reason)
}

// PeerNamesAt returns how peers knew a person at an instant, by peer.
func (db *DB) PeerNamesAt(ctx context.Context, person uuid.UUID, at time.Time) ([]PeerName, error) {
	rows, err := rowsAt[peerNameRow](ctx, db, "peer_names", "person_id", person, at, func(q *gorm.DB) *gorm.DB { return q })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b peerNameRow) int { return strings.Compare(a.Peer, b.Peer) })
	names := make([]PeerName, len(rows))
	for i, row := range rows {
		plain, err := db.Unseal(ctx, columnPeerName, row.PersonID.String()+"/"+row.Peer, row.BytesSealed)
		if err != nil {
			return nil, err
		}
		names[i] = PeerName{Peer: row.Peer, Encoding: row.Encoding, Bytes: plain, Cut: row.Cut, Stamp: row.Stamp}
	}
	return names, nil
}
