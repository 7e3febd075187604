package bank

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"onecard/internal/signed"
)

// Notice changes an account as a branch would and returns the signed notice of
// it, not yet sealed.
func (b *Bank) Notice(number, change string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	done := b.change(ask{Account: number, Change: change})
	if done.Result != "done" {
		return "", fmt.Errorf("sim/bank: %s %s", done.Code, done.Text)
	}
	if err := b.save(); err != nil {
		return "", err
	}
	with, err := b.config.Sign()
	if err != nil {
		return "", err
	}
	return signed.Sign(map[string]any{"protocol": protocol, "bank": b.config.Code, "account": number, "state": done.Told.State, "seq": done.Told.Seq}, with)
}

func (i Inbox) send(ctx context.Context, id uuid.UUID, sealed string) error {
	letter, err := json.Marshal(map[string]string{"id": id.String(), "topic": "bank.account", "body": sealed})
	if err != nil {
		return err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, i.URL+"/v1/messages", bytes.NewReader(letter))
	if err != nil {
		return err
	}
	post.Header.Set("Content-Type", "application/json")
	response, err := i.HTTP.Do(post)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	_ = response.Body.Close() // read to its end
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("sim/bank: the inbox says %d %s", response.StatusCode, text)
	}
	return nil
}

// Accounts returns a copy of the accounts, in the order in which they were opened.
func (b *Bank) Accounts() []Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Account, 0, len(b.books.Accounts))
	for _, a := range b.books.Accounts {
		all = append(all, *a)
	}
	slices.SortFunc(all, func(a, b Account) int { return strings.Compare(a.Number, b.Number) })
	return all
}

// Bookings returns a copy of the bank's books.
func (b *Bank) Bookings() []Booking {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Booking, 0, len(b.books.Bookings))
	for _, booking := range b.books.Bookings {
		all = append(all, *booking)
	}
	return all
}

// Plant alters the books behind everybody's back: for trials of the
// reconciliation.
func (b *Bank) Plant(alter func(accounts map[string]*Account, bookings map[string]*Booking)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	alter(b.books.Accounts, b.books.Bookings)
}
