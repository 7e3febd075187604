package stores

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"onecard/internal/signed"
	"onecard/registry"
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
	// Bodies makes the messages to a peer of topics that are about a person, when
	// they are handed over.
	Bodies map[string]func(ctx context.Context, peer string, m registry.Outgoing) ([]byte, error)
	Logger *slog.Logger
}

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
	for _, peer := range peers {
		var messages []Message
		for _, m := range waiting {
			if !peer.concerns(m.Topic, m.Place, f.Production.Today()) {
				continue
			}
			body, err := f.body(ctx, peer.Name, m)
			if errors.Is(err, registry.ErrNotFound) {
				continue // who it was about is gone
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
	return len(waiting), f.Production.HandedOver(ctx, waiting)
}

func (f *Flow) body(ctx context.Context, peer string, m registry.Outgoing) ([]byte, error) {
	if m.Body != "" {
		return []byte(m.Body), nil
	}
	if compose, ok := f.Bodies[m.Topic]; ok {
		return compose(ctx, peer, m)
	}
	return []byte("{}"), nil
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
	for _, letter := range letters {
		outcome := signed.ErrSealed.Error()
		if body, err := signed.Unseal(letter.Body, with); err == nil {
			outcome, err = f.Production.Take(ctx, f.Province, registry.Incoming{Peer: letter.Peer, ID: letter.ID, Topic: letter.Topic, Body: body})
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
