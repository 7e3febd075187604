// Package stores is what stands beside the production store (生产库): the
// exchange store (交换库), in which messages to and from other authorities,
// banks and back ends lie, and the decision store (决策库) of de-identified
// daily facts. No peer reaches production: the platform hands messages over to
// the exchange store and fetches from it what peers have sent.
package stores

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
	"onecard/registry"
)

//go:embed migrations
var migrations embed.FS

func open(ctx context.Context, dsn, name string, now func() time.Time) (*registry.Store, error) {
	files, err := fs.Sub(migrations, "migrations/"+name)
	if err != nil {
		return nil, err
	}
	return registry.OpenStore(ctx, dsn, files, now)
}

// Exchange is the exchange store (交换库).
type Exchange struct{ store *registry.Store }

// OpenExchange opens the exchange store.
func OpenExchange(ctx context.Context, dsn string, now func() time.Time) (*Exchange, error) {
	store, err := open(ctx, dsn, "exchange", now)
	if err != nil {
		return nil, fmt.Errorf("exchange store: %w", err)
	}
	return &Exchange{store}, nil
}

// Columns returns every column of every table.
func (x *Exchange) Columns(ctx context.Context) ([]registry.Column, error) {
	return x.store.Columns(ctx)
}

// Close closes all connections.
func (x *Exchange) Close() error { return x.store.Close() }

// Peer is who may fetch and send (外部单位).
type Peer struct {
	Name        string
	Certificate *x509.Certificate
	Topics      []string // what it is told
	Sends       []string // what it may send
	Places      []string // of which places, each with all below it; none: all
	Mapping     string   // its mapping table; empty: the one of its name
}

// peerRow is a row of peers.
type peerRow struct {
	Name        string    `gorm:"column:name;primaryKey"`
	Fingerprint string    `gorm:"column:fingerprint"`
	Certificate []byte    `gorm:"column:certificate"`
	Topics      string    `gorm:"column:topics"`
	Sends       string    `gorm:"column:sends"`
	Places      string    `gorm:"column:places"`
	Mapping     string    `gorm:"column:mapping"`
	ChangedAt   time.Time `gorm:"column:changed_at"`
}

func (peerRow) TableName() string { return "peers" }

func (r peerRow) domain() (Peer, error) {
	certificate, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		return Peer{}, fmt.Errorf("exchange store: peer %s: %w", r.Name, err)
	}
	return Peer{
		Name: r.Name, Certificate: certificate, Topics: strings.Fields(r.Topics), Sends: strings.Fields(r.Sends), Places: whole(r.Places),
		Mapping: r.Mapping,
	}, nil
}

// whole completes the codes of places: they could once be entered without the
// zeros at their end.
func whole(places string) []string {
	codes := strings.Fields(places)
	for i, code := range codes {
		codes[i] = code + strings.Repeat("0", max(6-len(code), 0))
	}
	return codes
}

// concerns says whether a peer is told of a topic in a place.
func (p Peer) concerns(topic, place string, day gb.Date) bool {
	return slices.Contains(p.Topics, topic) &&
		(len(p.Places) == 0 || slices.ContainsFunc(p.Places, func(within string) bool { return gb.Divisions().Lies(place, within, day) }))
}

func fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// PutPeer enters a peer, or changes what it may do and its certificate.
func (x *Exchange) PutPeer(ctx context.Context, p Peer) error {
	for _, place := range p.Places {
		if len(place) != 6 || len(gb.Divisions().Path(place, gb.DateOf(x.store.Now()))) == 0 {
			return &registry.FieldError{Field: "places", ZH: "应为 6 位行政区划代码", EN: "division codes of 6 digits"}
		}
	}
	row := peerRow{
		Name: p.Name, Fingerprint: fingerprint(p.Certificate), Certificate: p.Certificate.Raw, ChangedAt: x.store.Now(),
		Topics: strings.Join(p.Topics, " "), Sends: strings.Join(p.Sends, " "), Places: strings.Join(p.Places, " "), Mapping: p.Mapping,
	}
	return x.store.Change(ctx, func(tx *gorm.DB) error {
		return tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "name"}},
			DoUpdates: clause.AssignmentColumns([]string{"fingerprint", "certificate", "topics", "sends", "places", "mapping", "changed_at"}),
		}).Create(&row).Error
	})
}

// Peers returns all peers by name.
func (x *Exchange) Peers(ctx context.Context) ([]Peer, error) {
	var rows []peerRow
	if err := x.store.Read(ctx).Order("name").Find(&rows).Error; err != nil {
		return nil, err
	}
	peers := make([]Peer, len(rows))
	for i, row := range rows {
		var err error
		if peers[i], err = row.domain(); err != nil {
			return nil, err
		}
	}
	return peers, nil
}

// ErrPeer: nobody with this certificate may fetch or send.
var ErrPeer = errors.New("证书未登记为外部单位 no peer has this certificate")

// PeerOf returns the peer who shows a certificate.
func (x *Exchange) PeerOf(ctx context.Context, certificate *x509.Certificate) (Peer, error) {
	var row peerRow
	err := x.store.Read(ctx).Where("fingerprint = ?", fingerprint(certificate)).Take(&row).Error
	if errors.Is(err, registry.ErrNotFound) {
		return Peer{}, ErrPeer
	}
	if err != nil {
		return Peer{}, err
	}
	return row.domain()
}

// Message is a message for a peer. Body is a JWE that only the peer can open.
type Message struct {
	Peer      string     `gorm:"column:peer;primaryKey" json:"-"`
	Seq       int64      `gorm:"column:seq;primaryKey" json:"seq"`
	ID        uuid.UUID  `gorm:"column:id" json:"id"`
	Topic     string     `gorm:"column:topic" json:"topic"`
	Body      string     `gorm:"column:body" json:"body"`
	At        time.Time  `gorm:"column:at" json:"at"`
	StoredAt  time.Time  `gorm:"column:stored_at" json:"-"`
	FetchedAt *time.Time `gorm:"column:fetched_at" json:"-"`
}

// TableName implements gorm's schema.Tabler.
func (Message) TableName() string { return "messages" }

// store puts messages for peers, each once however often it is handed over, and
// numbers them without gaps.
func (x *Exchange) put(ctx context.Context, peer string, messages []Message) error {
	return x.store.Change(ctx, func(tx *gorm.DB) error {
		var last int64
		held := tx.Table("peers").Clauses(clause.Locking{Strength: "UPDATE"}).Where("name = ?", peer).Select("last").Take(&last)
		if held.Error != nil {
			return held.Error
		}
		ids := make([]uuid.UUID, len(messages))
		for i, m := range messages {
			ids[i] = m.ID
		}
		var there []uuid.UUID
		if err := tx.Model(&Message{}).Where("peer = ? AND id IN ?", peer, ids).Pluck("id", &there).Error; err != nil {
			return err
		}
		fresh := make([]Message, 0, len(messages))
		for _, m := range messages {
			if !slices.Contains(there, m.ID) {
				last++
				m.Peer, m.Seq, m.StoredAt = peer, last, x.store.Now()
				fresh = append(fresh, m)
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		if err := tx.CreateInBatches(fresh, batch).Error; err != nil {
			return err
		}
		return tx.Table("peers").Where("name = ?", peer).Update("last", last).Error
	})
}

// Fetch returns a peer's messages after a number, at most as many as asked for,
// and notes that they were fetched.
func (x *Exchange) Fetch(ctx context.Context, peer string, after int64, most int) (messages []Message, err error) {
	err = x.store.Change(ctx, func(tx *gorm.DB) error {
		messages = nil
		if err := tx.Where("peer = ? AND seq > ?", peer, after).Order("seq").Limit(most).Find(&messages).Error; err != nil || len(messages) == 0 {
			return err
		}
		return tx.Model(&Message{}).Where("peer = ? AND seq BETWEEN ? AND ? AND fetched_at IS NULL", peer, messages[0].Seq, messages[len(messages)-1].Seq).
			Update("fetched_at", x.store.Now()).Error
	})
	return messages, err
}

// Letter is what a peer sent. Body is a JWE that only the province can open.
type Letter struct {
	Peer       string     `gorm:"column:peer;primaryKey" json:"-"`
	ID         uuid.UUID  `gorm:"column:id;primaryKey" json:"id"`
	Topic      string     `gorm:"column:topic" json:"topic"`
	Body       string     `gorm:"column:body" json:"body,omitempty"`
	ReceivedAt time.Time  `gorm:"column:received_at" json:"receivedAt"`
	TakenAt    *time.Time `gorm:"column:taken_at" json:"takenAt,omitempty"`
	Outcome    string     `gorm:"column:outcome" json:"outcome,omitempty"`
}

// TableName implements gorm's schema.Tabler.
func (Letter) TableName() string { return "inbox" }

// What a peer may be told about what it sends.
var (
	ErrTopic  = errors.New("外部单位无权发送此主题 the peer may not send this topic")
	ErrReused = errors.New("消息编号已用于另一内容 the id belongs to another message")
)

// Receive keeps what a peer sends until the platform takes it. The same message
// again is the same.
func (x *Exchange) Receive(ctx context.Context, peer Peer, letter Letter) (Letter, error) {
	if !slices.Contains(peer.Sends, letter.Topic) {
		return Letter{}, ErrTopic
	}
	letter.Peer, letter.ReceivedAt = peer.Name, x.store.Now()
	err := x.store.Change(ctx, func(tx *gorm.DB) error {
		created := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&letter)
		if created.Error != nil || created.RowsAffected == 1 {
			return created.Error
		}
		sent := letter
		if err := tx.Where("peer = ? AND id = ?", letter.Peer, letter.ID).Take(&letter).Error; err != nil {
			return err
		}
		if letter.Topic != sent.Topic || letter.Body != sent.Body {
			return ErrReused
		}
		return nil
	})
	letter.Body = ""
	return letter, err
}

// Sent returns what became of a message of a peer's.
func (x *Exchange) Sent(ctx context.Context, peer string, id uuid.UUID) (letter Letter, err error) {
	return letter, x.store.Read(ctx).Omit("body").Where("peer = ? AND id = ?", peer, id).Take(&letter).Error
}

func (x *Exchange) waiting(ctx context.Context, most int) (letters []Letter, err error) {
	return letters, x.store.Read(ctx).Where("taken_at IS NULL").Order("received_at, id").Limit(most).Find(&letters).Error
}

func (x *Exchange) taken(ctx context.Context, letter Letter, outcome string) error {
	return x.store.Change(ctx, func(tx *gorm.DB) error {
		return tx.Model(&Letter{}).Where("peer = ? AND id = ?", letter.Peer, letter.ID).
			Updates(map[string]any{"taken_at": x.store.Now(), "outcome": outcome}).Error
	})
}
