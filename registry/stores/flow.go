package stores

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"onecard/internal/signed"
	"onecard/registry"
	"onecard/registry/indicator"
)

// batch is how many messages go over in one transaction.
const batch = 200

// Flow carries messages between production and the exchange store (数据交换).
// What is interrupted is done again and has one effect.
type Flow struct {
	Production *registry.DB
	Exchange   *Exchange
	// Province is the place in whose name messages are taken.
	Province string
	// Certificate is the one to which peers seal what they send.
	Certificate func() (*tls.Certificate, error)
	// Tables are the mapping tables of the peers.
	Tables indicator.Tables
	// Bodies makes the messages to a peer of topics that are about a person, when
	// they are handed over.
	Bodies map[string]Compose
	// Takers do what messages of other topics than the registry's own say.
	Takers map[string]registry.Taker
	Logger *slog.Logger
}

// Compose makes a message to a peer about a person by the peer's table, and puts
// on record what the peer was told of. What the table cannot say is not told and
// not on record: the error is a registry.ErrInvalid.
type Compose func(ctx context.Context, peer string, table *indicator.Table, m registry.Outgoing) ([]byte, error)

// Run carries messages until ctx ends, at once when there are more and else
// every pause.
func (f *Flow) Run(ctx context.Context, pause time.Duration) {
	for ctx.Err() == nil {
		out, err := f.HandOver(ctx)
		in, errIn := f.Fetch(ctx)
		if err := errors.Join(err, errIn); err != nil && ctx.Err() == nil {
			f.Logger.ErrorContext(ctx, "数据交换未能进行 messages could not be carried", "error", err)
		} else if out == batch || in == batch {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// HandOver puts the next messages of the outbox into the exchange store, for
// each peer that they concern, and returns how many they were.
func (f *Flow) HandOver(ctx context.Context) (int, error) {
	waiting, err := f.Production.Waiting(ctx, batch)
	if err != nil || len(waiting) == 0 {
		return 0, err
	}
	peers, err := f.Exchange.Peers(ctx)
	if err != nil {
		return 0, err
	}
	var withheld []registry.Undelivered
	for _, peer := range peers {
		table, err := f.table(peer)
		if err != nil {
			return 0, err
		}
		var messages []Message
		for _, m := range waiting {
			if !peer.concerns(m.Topic, m.Place, f.Production.Today()) {
				continue
			}
			body, err := f.body(ctx, peer, table, m)
			if errors.Is(err, registry.ErrNotFound) {
				continue // who it was about is gone
			}
			if errors.Is(err, registry.ErrInvalid) {
				withheld = append(withheld, registry.Undelivered{Message: m.ID, Peer: peer.Name, Topic: m.Topic, Subject: m.Subject, Why: err.Error()})
				continue
			}
			if err != nil {
				return 0, err
			}
			sealed, err := signed.Seal(body, peer.Certificate)
			if err != nil {
				return 0, err
			}
			messages = append(messages, Message{ID: m.ID, Topic: m.Topic, Body: sealed, At: m.At})
		}
		if len(messages) > 0 {
			if err := f.Exchange.put(ctx, peer.Name, messages); err != nil {
				return 0, err
			}
		}
	}
	if err := f.Production.Withhold(ctx, f.Province, withheld); err != nil {
		return 0, err
	}
	return len(waiting), f.Production.HandedOver(ctx, waiting)
}

// ErrMapping: a peer without a mapping table can be told nothing.
var ErrMapping = errors.New("外部单位没有对照表 the peer has no mapping table")

// table returns the mapping table of a peer.
func (f *Flow) table(peer Peer) (*indicator.Table, error) {
	name := cmp.Or(peer.Mapping, peer.Name)
	if table := f.Tables[name]; table != nil {
		return table, nil
	}
	return nil, fmt.Errorf("%w: %s: %s", ErrMapping, peer.Name, name)
}

// body returns a message as the peer's table has it.
func (f *Flow) body(ctx context.Context, peer Peer, table *indicator.Table, m registry.Outgoing) ([]byte, error) {
	if compose, ok := f.Bodies[m.Topic]; ok && m.Body == "" {
		return compose(ctx, peer.Name, table, m)
	}
	var record indicator.Record
	if m.Body != "" {
		if err := json.Unmarshal([]byte(m.Body), &record); err != nil {
			return nil, fmt.Errorf("message %s: %w", m.ID, err)
		}
	}
	return table.Encode(m.Topic, record)
}

// Fetch takes what peers have sent and says what became of it. A message that
// cannot be opened or taken is told to its sender and changes nothing.
func (f *Flow) Fetch(ctx context.Context) (int, error) {
	letters, err := f.Exchange.waiting(ctx, batch)
	if err != nil || len(letters) == 0 {
		return 0, err
	}
	with, err := f.Certificate()
	if err != nil {
		return 0, err
	}
	peers, err := f.Exchange.Peers(ctx)
	if err != nil {
		return 0, err
	}
	tables := map[string]*indicator.Table{}
	for _, peer := range peers {
		if tables[peer.Name], err = f.table(peer); err != nil {
			return 0, err
		}
	}
	for _, letter := range letters {
		outcome := signed.ErrSealed.Error()
		if body, err := signed.Unseal(letter.Body, with); err == nil {
			message := registry.Incoming{Peer: letter.Peer, ID: letter.ID, Topic: letter.Topic, Body: body}
			if f.Takers[letter.Topic] == nil {
				message.Record, message.Unread = tables[letter.Peer].Decode(letter.Topic, body)
			}
			outcome, err = f.Production.Take(ctx, f.Province, message, f.Takers)
			if err != nil {
				return 0, err
			}
		}
		if err := f.Exchange.taken(ctx, letter, outcome); err != nil {
			return 0, err
		}
	}
	return len(letters), nil
}
