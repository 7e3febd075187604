package desk

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"onecard/api/client"
	"onecard/card"
	"onecard/terminal"
)

// events streams the state of reader, card and work as it changes
// (server-sent events). It shows nothing personal and needs no sign-in.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	for state := range s.config.Desk.Station.Subscribe(r.Context()) {
		line, err := json.Marshal(state)
		if err != nil {
			s.config.Logger.ErrorContext(r.Context(), "encode state", "error", err)
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", line); err != nil {
			return
		}
		if err := control.Flush(); err != nil {
			return
		}
	}
}

// operations is what can be done with a chip, for the words of an error.
var operations = strings.Join([]string{
	string(client.Read), string(client.Compare), string(client.Personalise), string(client.Activate), string(client.Lock), string(client.Unlock),
	string(client.Access), string(client.Refresh), string(client.ResetPIN), string(client.UnblockPIN), string(client.Rekey), string(client.BlockCard),
}, ", ")

// setsPIN are the operations that give the holder a number.
var setsPIN = []string{string(client.Activate), string(client.ResetPIN)}

// element is what the page asks to read, or to write if it gives a value.
type element struct {
	Path  string            `json:"path"`
	Text  *string           `json:"text"`
	Parts map[string]string `json:"parts"`
}

func items(elements []element) []card.Item {
	var all []card.Item
	for _, e := range elements {
		item := card.Item{Path: e.Path}
		switch {
		case e.Parts != nil:
			item.Write = &card.Data{Parts: e.Parts}
		case e.Text != nil:
			item.Write = &card.Data{Text: *e.Text}
		}
		all = append(all, item)
	}
	return all
}

// chip does work on the chip in the reader and answers when it has ended;
// progress is in the events meanwhile.
func (s *Server) chip(w http.ResponseWriter, r *http.Request, who session) {
	var job struct {
		Operation     string    `json:"operation"`
		ApplicationID string    `json:"applicationId"`
		CardID        string    `json:"cardId"`
		PIN           string    `json:"pin"`
		Items         []element `json:"items"`
		Everything    bool      `json:"everything"`
	}
	if !s.decode(w, r, &job) {
		return
	}
	if !client.NewChipSessionOperation(job.Operation).Valid() {
		s.fail(w, r, badField("operation", "应为 "+operations, "one of "+operations))
		return
	}
	problem := cmp.Or(badID("applicationId", job.ApplicationID), badID("cardId", job.CardID))
	if problem == nil && (slices.Contains(setsPIN, job.Operation) || job.PIN != "") {
		problem = badPIN("pin", job.PIN)
	}
	if problem != nil {
		s.fail(w, r, problem)
		return
	}
	reading, err := s.config.Desk.Station.Perform(r.Context(), s.platform(who), terminal.Job{
		Operation: job.Operation, ApplicationID: id(job.ApplicationID), CardID: id(job.CardID), PIN: job.PIN,
		Items: items(job.Items), Everything: job.Everything,
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, r, reading.Result)
}

// id reads an id that is in order; nil for none.
func id(text string) *uuid.UUID {
	if text == "" {
		return nil
	}
	return new(uuid.MustParse(text))
}

func (s *Server) visit(w http.ResponseWriter, r *http.Request, who session) {
	var visit terminal.Visit
	if !s.decode(w, r, &visit) {
		return
	}
	var err error
	if visit.ID, err = uuid.Parse(r.Header.Get("Idempotency-Key")); err != nil {
		s.fail(w, r, badField("Idempotency-Key", "请求头应为 UUID，每笔结算一个，重发时不变", "the header must be a UUID, one for each visit, kept when it is sent again"))
		return
	}
	if problem := badPIN("pin", visit.PIN); problem != nil {
		s.fail(w, r, problem)
		return
	}
	transaction, err := s.config.Desk.Settle(r.Context(), s.platform(who), visit)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, r, transaction)
}

// changePIN changes the holder's number in the chip.
func (s *Server) changePIN(w http.ResponseWriter, r *http.Request, _ session) {
	var body struct {
		Old   string `json:"old"`
		Fresh string `json:"fresh"`
	}
	if !s.decode(w, r, &body) {
		return
	}
	if problem := cmp.Or(badPIN("old", body.Old), badPIN("fresh", body.Fresh)); problem != nil {
		s.fail(w, r, problem)
		return
	}
	if err := s.config.Desk.Station.ChangePIN(r.Context(), body.Old, body.Fresh); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// areas answers what the card in the reader holds by its version, for the page
// to offer and to name it. It shows nothing of the card's own.
func (s *Server) areas(w http.ResponseWriter, r *http.Request, _ session) {
	areas, err := s.config.Desk.Station.Areas(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, r, areas)
}

// bankNumber reads the number of the bank account, masked.
func (s *Server) bankNumber(w http.ResponseWriter, r *http.Request, who session) {
	number, err := s.config.Desk.Station.BankNumber(r.Context(), who.operator.Roles)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, r, map[string]string{"number": number})
}

func (s *Server) stop(w http.ResponseWriter, _ *http.Request, _ session) {
	s.config.Desk.Station.Stop()
	w.WriteHeader(http.StatusNoContent)
}

// passedOn lists the resources of the platform that the page uses as they are.
var passedOn = []string{
	"persons", "applications", "queues", "cards", "transactions", "stock", "batches", "batch-outlook", "collective-orders", "collective-institutions",
}

// maxPassed bounds what is passed on: an attachment of 4 MiB in Base64.
const maxPassed = 6 << 20

// passOn sends a request on to the platform as this operator and the answer
// back.
func (s *Server) passOn(w http.ResponseWriter, r *http.Request, who session) {
	path := strings.TrimPrefix(r.URL.Path, "/platform")
	resource, _, _ := strings.Cut(strings.TrimPrefix(path, "/v1/"), "/")
	platform, ok := s.config.API.ClientInterface.(*client.Client)
	if !ok || !slices.Contains(passedOn, resource) {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPassed))
	if err != nil {
		s.fail(w, r, badBody(err))
		return
	}
	target := strings.TrimSuffix(platform.Server, "/") + path + "?" + r.URL.RawQuery
	request, err := http.NewRequestWithContext(r.Context(), r.Method, target, bytes.NewReader(body))
	if err != nil {
		s.fail(w, r, badField("path", "不是平台的资源地址", "not an address of the platform's resources"))
		return
	}
	for _, name := range []string{"Content-Type", "Idempotency-Key"} {
		if value := r.Header.Get(name); value != "" {
			request.Header.Set(name, value)
		}
	}
	request.Header.Set("Authorization", "Bearer "+who.token)
	answer, err := platform.Client.Do(request)
	if err != nil {
		s.fail(w, r, terminal.ErrOffline.Because(err))
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusUnauthorized {
		s.forget(who.token)
	}
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	w.WriteHeader(answer.StatusCode)
	if _, err := io.Copy(w, answer.Body); err != nil {
		s.config.Logger.InfoContext(r.Context(), "answer not delivered", "error", err)
	}
}
