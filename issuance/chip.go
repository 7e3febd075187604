package issuance

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/profile"
	"onecard/issuance/session"
	"onecard/registry"
)

// operationRead is the chip operation that changes nothing.
const operationRead = "read"

// OpenSession is the request for work on the chip in a reader.
type OpenSession struct {
	Operation     string         // read, personalise, activate, lock, unlock, or a line of Works
	Items         []card.Item    // what is read and written by access
	Movement      *card.Movement // of debit and credit; without direction and time
	ApplicationID *uuid.UUID
	CardID        *uuid.UUID
	Reader        string
	ATR           []byte
	Opening       []apdu.Response // answers to the opening script
	Roles         []string        // of the operator
}

// Result is the end of work on a chip. Status is that of the record, live: a
// card that was reported lost reads well and says so here.
type Result struct {
	Operation  string       `json:"operation"`
	Genuine    bool         `json:"genuine"`
	CardID     uuid.UUID    `json:"cardId"`
	PersonID   uuid.UUID    `json:"personId"`
	CardNumber string       `json:"cardNumber"`
	ChipID     string       `json:"chipId"`
	Status     string       `json:"status"`
	Fields     []card.Value `json:"fields"`
	// Account is what a debit or a credit has come to.
	Account  *Moved    `json:"account,omitempty"`
	Findings []Finding `json:"findings,omitempty"` // of a comparison
}

// Moved is a movement of the account on a card with what it has come to.
type Moved struct {
	card.Movement
	card.Moved
}

// StatusText returns the words for the card's status.
func (r Result) StatusText() Text { return Cards.State(r.Status).Text }

// job is work that is about to begin.
type job struct {
	work    session.Work
	kind    string // of operation, as card.Restore knows it
	subject uuid.UUID
	prepare func(tx *registry.Tx) error
}

// OpenSession begins work on a chip and returns the first script.
func (s *Service) OpenSession(ctx context.Context, actor registry.Actor, o OpenSession) (session.Turn, error) {
	p, err := s.profileOf(ctx, o)
	if err != nil {
		return session.Turn{}, err
	}
	id, err := card.Identify(p, o.ATR, o.Opening)
	if err != nil && (id == nil || o.Operation != operationCompare) {
		return session.Turn{}, err
	}
	policy, err := s.policy(actor.Place, s.db.Now())
	if err != nil {
		return session.Turn{}, err
	}
	var j job
	beside, isWork := workNamed(o.Operation)
	switch {
	case isWork && o.CardID != nil:
		j, err = s.beside(ctx, beside, beginning{profile: p, id: id, policy: policy}, o)
	case o.Operation == operationRead:
		j, err = s.read(ctx, p, id)
	case o.Operation == operationCompare:
		j, err = s.compare(ctx, p, id, o.Roles)
	case o.Operation == EventPersonalise && o.ApplicationID != nil:
		j, err = s.personalise(ctx, actor, p, id, o)
	case Cards.hasChip(o.Operation) && o.CardID != nil:
		j, err = s.change(ctx, p, id, o)
	default:
		err = ErrNoOperation
	}
	if err != nil {
		return session.Turn{}, err
	}
	turn, err := s.sessions.Open(ctx, actor, session.Beginning{
		Operation: o.Operation, Subject: j.subject.String(), Reader: o.Reader, ATR: id.ATR, Opening: o.Opening,
		Work: j.work, Kind: j.kind, Age: policy.sessionAge(), Attempts: policy.Attempts, Prepare: j.prepare,
	})
	return turn, attemptsError(err)
}

// profileOf finds the profile of the chip in a reader. One whose application is
// blocked does not tell its version; then the record does.
func (s *Service) profileOf(ctx context.Context, o OpenSession) (*profile.Profile, error) {
	p, err := card.Choose(s.profiles, o.ATR, o.Opening)
	if errors.Is(err, card.ErrUnknownVersion) && o.Operation == operationCompare {
		return s.closest(&card.Identity{ATR: o.ATR})
	}
	if err != nil || o.Opening[0].SW == apdu.OK {
		return p, err
	}
	c, err := takeCard(s.db.Read(ctx).Where("atr = ?", upperHex(p.Contact(o.ATR))))
	if errors.Is(err, registry.ErrNotFound) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	return profile.Of(s.profiles, c.SpecVersion, c.ChipID[:6])
}

// closest returns the profile of a card, or the likeliest where its version is
// not known.
func (s *Service) closest(id *card.Identity) (*profile.Profile, error) {
	candidates, err := profile.Candidates(s.profiles, id.ATR)
	if err != nil {
		return nil, card.ErrUnknownATR
	}
	if p, err := profile.Of(candidates, id.Version, id.Area()); err == nil {
		return p, nil
	}
	return candidates[0], nil
}

// hasChip says whether an event of the machine waits for this chip operation.
func (m *Machine) hasChip(operation string) bool {
	for _, r := range m.Rules {
		if r.Chip == operation && operation != "" {
			return true
		}
	}
	return false
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// is says whether the chip in a reader is the one of record. An application
// that is blocked does not tell the identification; then the answer to reset
// decides.
func (c Card) is(id *card.Identity) bool {
	return c.ATR == upperHex(id.ATR) && (id.Blocked || c.ChipID == upperHex(id.CardID))
}

func (s *Service) read(ctx context.Context, p *profile.Profile, id *card.Identity) (job, error) {
	c, err := takeCard(s.db.Read(ctx).Where("atr = ?", upperHex(id.ATR)))
	if errors.Is(err, registry.ErrNotFound) && !id.Blank() || err == nil && !c.is(id) {
		return job{}, ErrUnknownCard
	}
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return job{}, err
	}
	id.KeyVersion = c.KeyVersion
	work, err := card.NewRead(p, id)
	if err != nil {
		return job{}, err
	}
	return job{work: work, kind: operationRead, subject: c.ID, prepare: func(tx *registry.Tx) error {
		// What is read is personal: it is on record before the reading begins.
		return tx.Audit("person.read", "person:"+c.PersonID.String(), map[string]string{"purpose": "read card"})
	}}, nil
}

// change prepares an activation, a lock or an unlock of a card of record.
func (s *Service) change(ctx context.Context, p *profile.Profile, id *card.Identity, o OpenSession) (job, error) {
	c, err := s.Card(ctx, *o.CardID)
	if err != nil {
		return job{}, err
	}
	if !c.is(id) {
		return job{}, ErrOtherCard
	}
	id.KeyVersion = c.KeyVersion
	ask := Asked{Event: o.Operation, Roles: o.Roles, chip: true}
	if _, _, err := Cards.find(c.Status, ask); err != nil {
		return job{}, err
	}
	j := job{kind: o.Operation, subject: c.ID, prepare: func(tx *registry.Tx) error {
		row, about, err := lockForEvent(tx, c.ID, ask.Event)
		if err != nil {
			return err
		}
		_, _, err = s.permitted(&Cards, tx, row.Status, about, ask)
		return err
	}}
	switch {
	case o.Operation == EventActivate:
		j.work, err = card.NewActivate(p, id)
	case o.Operation == EventLock && id.Blocked:
		// An earlier lock was cut off after the chip had carried it out.
		j.work = settled{}
	case o.Operation == EventUnlock && !id.Blocked:
		// As above; that it is the true chip, it proves by a reading.
		j.kind = operationRead
		j.work, err = card.NewRead(p, id)
	default:
		j.work, err = newLock(p, id, c, o.Operation == EventUnlock)
	}
	return j, err
}

func newLock(p *profile.Profile, id *card.Identity, c Card, unlock bool) (session.Work, error) {
	chipID, err := hex.DecodeString(c.ChipID)
	if err != nil {
		return nil, fmt.Errorf("card %s: identification: %w", c.ID, err)
	}
	return card.NewLock(p, id, chipID, unlock)
}

// settled is work that the chip has carried out already.
type settled struct{}

func (settled) Next(context.Context, card.Keeper, card.Input) (*card.Script, error) { return nil, nil }
func (settled) Genuine() bool                                                       { return false }
func (settled) Values() []card.Value                                                { return nil }
func (settled) NeedsPIN() bool                                                      { return false }
func (settled) Progress() (done, total int, label string)                           { return 1, 1, "芯片已处于该状态" }

// Step hands the chip's answers in and returns the next script or the end.
func (s *Service) Step(ctx context.Context, actor registry.Actor, id uuid.UUID, seq int, responses []apdu.Response, pin string) (session.Turn, error) {
	turn, err := s.sessions.Step(ctx, actor, id, seq, responses, pin)
	return turn, attemptsError(err)
}

// attemptsError says what a person is to do about a chip at the floor.
func attemptsError(err error) error {
	if errors.Is(err, session.ErrAttempts) {
		return ErrAttempts
	}
	return err
}

// finish is what follows from the end of an operation, in the transaction
// that closes its session.
func (s *Service) finish(tx *registry.Tx, about session.Session, work session.Work) (any, error) {
	subject, err := uuid.Parse(about.Subject)
	if err != nil {
		return nil, fmt.Errorf("session subject: %w", err)
	}
	var row cardRow
	switch about.Operation {
	case operationCompare:
		return s.compared(tx, subject, work)
	case operationRead:
		row, err = wasRead(tx, subject, work)
	case EventPersonalise:
		if row, err = s.made(tx, subject, work); err == nil {
			err = s.certify(tx, about, row, work)
		}
	default:
		if _, isWork := workNamed(about.Operation); isWork {
			row, err = worked(tx, subject, work)
		} else {
			row, err = s.changed(tx, subject, about.Operation)
		}
	}
	if err != nil {
		return nil, err
	}
	result := Result{
		Operation: about.Operation, Genuine: work.Genuine(), CardID: row.ID, PersonID: row.PersonID, CardNumber: row.Number,
		ChipID: row.ChipID, Status: row.Status, Fields: work.Values(),
	}
	if account, ok := work.(*card.Account); ok {
		result.Account = &Moved{account.Movement, account.Moved}
	}
	return result, nil
}

// wasRead compares what the chip says with the record.
func wasRead(tx *registry.Tx, cardID uuid.UUID, work session.Work) (cardRow, error) {
	row, err := lockCard(tx, cardID)
	if err != nil {
		return cardRow{}, err
	}
	for _, value := range work.Values() {
		if value.Name == "cardNumber" && value.Value != row.Number {
			return cardRow{}, &session.Refused{Code: ErrRecordDiffers.Code, Err: ErrRecordDiffers}
		}
	}
	return row, nil
}

// worked draws the consequences of chip work beside the workflow.
func worked(tx *registry.Tx, cardID uuid.UUID, work session.Work) (cardRow, error) {
	row, err := lockCard(tx, cardID)
	if err != nil {
		return cardRow{}, err
	}
	if account, ok := work.(*card.Account); ok {
		return row, moved(tx, row.ID, account)
	}
	if rekey, ok := work.(*card.Rekey); ok && rekey.Genuine() {
		result := tx.DB().Model(&cardRow{}).Where("id = ?", row.ID).Updates(tx.Change(map[string]any{"key_version": rekey.KeyVersion}, "密钥更新 keys replaced"))
		if result.Error != nil {
			return cardRow{}, fmt.Errorf("key version: %w", result.Error)
		}
		row.KeyVersion = rekey.KeyVersion
	}
	return row, nil
}

// changed lets the event of a finished chip operation happen to its card.
func (s *Service) changed(tx *registry.Tx, cardID uuid.UUID, event string) (cardRow, error) {
	row, about, err := lockForEvent(tx, cardID, event)
	if err != nil {
		return cardRow{}, err
	}
	rule, ok := Cards.Rule(row.Status, event)
	if !ok {
		return cardRow{}, ErrNotAllowed
	}
	// What was asked when the work began may hold no more.
	if err := s.guarded(tx, rule, about); err != nil {
		return cardRow{}, err
	}
	err = s.moveCard(tx, &row, rule, Reason{}, Asked{Event: event})
	return row, err
}
