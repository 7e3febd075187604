package bank

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"onecard/api/pki"
	"onecard/internal/signed"
)

const protocol = "onecard-bank/1"

// message is a request's signed payload.
type message struct {
	Protocol  string    `json:"protocol"`
	ID        uuid.UUID `json:"id"`
	SentAt    time.Time `json:"sentAt"`
	Bank      string    `json:"bank"`
	Operation string    `json:"operation"`
	Body      string    `json:"body"`
}

// response is a reply's.
type response struct {
	Protocol   string    `json:"protocol"`
	ID         uuid.UUID `json:"id"`
	AnsweredAt time.Time `json:"answeredAt"`
	Bank       string    `json:"bank"`
	Result     string    `json:"result"`
	Code       string    `json:"code"`
	Text       string    `json:"text"`
	Body       string    `json:"body"`
}

// maxMessage bounds a request, in bytes.
const maxMessage = 64 << 10

// Server returns the HTTPS server of the bank. config is its own side of TLS,
// which asks for a certificate of the province.
func (b *Bank) Server(config *tls.Config, logger *slog.Logger) *http.Server {
	config = config.Clone()
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, b.config.ProvinceRoots
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", b.serve)
	return &http.Server{Handler: mux, TLSConfig: config, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug)}
}

func (b *Bank) serve(w http.ResponseWriter, r *http.Request) {
	if !pki.Platform(r.TLS.PeerCertificates[0]) {
		http.Error(w, "not the platform", http.StatusForbidden)
		return
	}
	faults := b.draw()
	switch {
	case faults.Down == 1:
		panic(http.ErrAbortHandler)
	case faults.Hang == 1:
		<-r.Context().Done()
		return
	}
	token, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		http.Error(w, "too long", http.StatusRequestEntityTooLarge)
		return
	}
	if faults.LateSuccess == 1 {
		b.late.Go(func() {
			time.Sleep(faults.Delay)
			_, _ = b.answer(string(token)) // nobody waits for it
		})
		<-r.Context().Done()
		return
	}
	if faults.Slow == 1 {
		time.Sleep(faults.Delay)
	}
	reply, err := b.answer(string(token))
	if err != nil {
		http.Error(w, "the message cannot be read", http.StatusBadRequest)
		return
	}
	if faults.Garbage == 1 {
		reply = reply[:len(reply)/2]
	}
	w.Header().Set("Content-Type", "application/jose")
	_, _ = io.WriteString(w, reply) // the caller has gone
}

var errMessage = errors.New("sim/bank: not a message of the province to this bank")

// answer reads a message, carries it out and signs what is to be said.
func (b *Bank) answer(token string) (string, error) {
	now := b.config.Now()
	payload, err := signed.Open(token, b.config.ProvinceRoots, func([]byte) (time.Time, error) { return now, nil })
	if err != nil {
		return "", err
	}
	var m message
	if err := json.Unmarshal(payload, &m); err != nil || m.Protocol != protocol || m.Bank != b.config.Code {
		return "", errMessage
	}
	if now.Sub(m.SentAt).Abs() > 10*time.Minute {
		return b.sign(m.ID, refuse("9003", "发送时间与本行时间相差过大"))
	}
	open, err := b.config.Open()
	if err != nil {
		return "", err
	}
	body, err := signed.Unseal(m.Body, open)
	if err != nil {
		return b.sign(m.ID, refuse("9002", "报文不能解密"))
	}
	outcome, err := b.work(m.ID, m.Operation, body)
	if err != nil {
		return "", err
	}
	return b.sign(m.ID, outcome)
}

func (b *Bank) sign(id uuid.UUID, o outcome) (string, error) {
	told, err := json.Marshal(o.Told)
	if err != nil {
		return "", err
	}
	sealed, err := signed.Seal(told, b.config.ProvinceSeal)
	if err != nil {
		return "", err
	}
	with, err := b.config.Sign()
	if err != nil {
		return "", err
	}
	return signed.Sign(response{Protocol: protocol, ID: id, AnsweredAt: b.config.Now(), Bank: b.config.Code, Result: o.Result, Code: o.Code, Text: o.Text, Body: sealed}, with)
}

// Wait returns when everything that is late has been carried out.
func (b *Bank) Wait() { b.late.Wait() }

// Inbox is the province's interface for peers (exchange store).
type Inbox struct {
	URL  string
	HTTP *http.Client // with the bank's certificate as a peer
	Seal *x509.Certificate
}

// Tell changes an account as a branch of the bank would and tells the province,
// twice when that is the fault.
func (b *Bank) Tell(ctx context.Context, inbox Inbox, number, change string) error {
	notice, err := b.Notice(number, change)
	if err != nil {
		return err
	}
	b.mu.Lock()
	times := 1
	if b.strikes(b.faults.Repeat) {
		times = 2
	}
	b.mu.Unlock()
	sealed, err := signed.Seal([]byte(notice), inbox.Seal)
	if err != nil {
		return err
	}
	for id := uuid.New(); times > 0; times-- {
		if err := inbox.send(ctx, id, sealed); err != nil {
			return err
		}
	}
	return nil
}
