package ministry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Line is the way to the ministry: HTTPS with both sides' certificates.
type Line struct {
	Schema *Schema
	URL    string       // https://host:port
	Client *http.Client // with the province's certificate, trusting the ministry's authority
	// Sign signs a message in the province's name (JWS).
	Sign func(payload any) (string, error)
	Now  func() time.Time
}

// envelope is a message as it is signed.
type envelope struct {
	Version string              `json:"version"`
	Sender  string              `json:"sender"`
	ID      uuid.UUID           `json:"id"`
	Message string              `json:"message"`
	At      time.Time           `json:"at"`
	Items   map[string]string   `json:"items,omitempty"`
	Rows    []map[string]string `json:"rows,omitempty"`
}

// reply is what the ministry answers.
type reply struct {
	ID       uuid.UUID `json:"id"`       // of the message that it answers
	Code     string    `json:"code"`     // of the schema's answers
	Text     string    `json:"text"`     // in words
	Province string    `json:"province"` // where else there is a card
	Version  int64     `json:"version"`  // of the card, where ours is older
	Cards    []copied  `json:"cards"`    // to a list
}

// copied is a card as the ministry has it.
type copied struct {
	Card    string `json:"card"`
	Status  string `json:"status"`
	Version int64  `json:"version"`
}

// ErrNoAnswer: whether the ministry has the message is not known; it is sent
// again under the same id.
var ErrNoAnswer = errors.New("部级系统没有有效应答 no valid answer of the ministry")

// maxReply bounds an answer, in bytes.
const maxReply = 8 << 20

// send sends a message and returns its answer.
func (l *Line) send(ctx context.Context, kind string, id uuid.UUID, items map[string]string, rows []map[string]string) (reply, error) {
	message := envelope{Version: l.Schema.Version, Sender: l.Schema.Sender, ID: id, Message: l.Schema.Messages[kind].Code, At: l.Now(), Items: items, Rows: rows}
	token, err := l.Sign(message)
	if err != nil {
		return reply{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URL+l.Schema.Path, bytes.NewReader([]byte(token)))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Content-Type", "application/jose")
	answer, err := l.Client.Do(request)
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReply))
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	if answer.StatusCode != http.StatusOK {
		return reply{}, fmt.Errorf("%w: HTTP %d", ErrNoAnswer, answer.StatusCode)
	}
	return l.read(text, id)
}

// read reads an answer. One that is not to this message is none.
func (l *Line) read(text []byte, id uuid.UUID) (reply, error) {
	var r reply
	if json.Unmarshal(text, &r) != nil || r.ID != id {
		return reply{}, fmt.Errorf("%w: unreadable, or to another message", ErrNoAnswer)
	}
	if _, known := l.Schema.Answers[r.Code]; !known || r.Version < 0 {
		return reply{}, fmt.Errorf("%w: a code that the schema does not have", ErrNoAnswer)
	}
	return r, nil
}

// beyond is after every card number.
const beyond = "ZZZZZZZZZ"

// Ping asks the ministry for the cards after the last, to see that it answers.
func (l *Line) Ping(ctx context.Context) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	items, err := l.Schema.encode("list", map[string]string{"after": beyond})
	if err != nil {
		return err
	}
	_, err = l.send(ctx, "list", id, items, nil)
	return err
}
