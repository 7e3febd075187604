package insurance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/exchange"
	"onecard/internal/gb"
	"onecard/registry"
)

// Backend settles medical insurance on its own tables. It implements
// exchange.Backend and exchange.Insurances and is safe for concurrent use.
type Backend struct {
	db       exchange.Store
	policies *Policies
	place    string
}

// New returns a back end on the database. place is the division of the
// province's agency, six digits, whose audit chain takes what has no place of
// its own.
func New(db exchange.Store, policies *Policies, place string) (*Backend, error) {
	if db == nil || policies == nil || len(place) != 6 {
		return nil, errors.New("insurance: database, policies and place are needed")
	}
	return &Backend{db: db, policies: policies, place: place}, nil
}

// Insurance implements exchange.Insurances.
func (b *Backend) Insurance(ctx context.Context, personID uuid.UUID, on gb.Date) (exchange.Insurance, error) {
	r, err := insuredIn(b.db.Read(ctx), personID)
	if err != nil {
		return exchange.Insurance{}, err
	}
	return r.insurance(on)
}

// The businesses that this back end does, by their codes in the routes.
const (
	businessPurchase   = "pharmacy.purchase"
	businessOutpatient = "outpatient.settle"
)

// The states of a settlement.
const (
	stateConfirmed = "confirmed"
	stateDeclined  = "declined"
	stateReversed  = "reversed"
	stateBlocked   = "blocked"
)

// settlementRow is one line of the table insurance_settlements.
type settlementRow struct {
	ID            uuid.UUID `gorm:"column:id;primaryKey"`
	State         string
	Fingerprint   []byte
	PersonID      uuid.NullUUID
	Year          int
	Kind          string
	TotalFen      exchange.Fen
	FundFen       exchange.Fen
	AccountFen    exchange.Fen
	CashFen       exchange.Fen
	DeductibleFen exchange.Fen
	Outcome       string
	SettledAt     time.Time
	ReversedAt    sql.NullTime
}

// TableName implements gorm's Tabler.
func (settlementRow) TableName() string { return "insurance_settlements" }

// answer is what is said of a stored settlement.
func (r settlementRow) answer() (exchange.Outcome, error) {
	switch r.State {
	case stateReversed:
		return exchange.Outcome{Result: exchange.Reversed}, nil
	case stateBlocked:
		return exchange.Outcome{Result: exchange.Declined, Reason: exchange.ErrBlocked}, nil
	}
	var o exchange.Outcome
	if err := json.Unmarshal([]byte(r.Outcome), &o); err != nil {
		return exchange.Outcome{}, fmt.Errorf("insurance: settlement %s: %w", r.ID, err)
	}
	return o, nil
}

func (b *Backend) find(ctx context.Context, id uuid.UUID) (settlementRow, bool, error) {
	var r settlementRow
	err := b.db.Read(ctx).Where("id = ?", id).Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return settlementRow{}, false, nil
	}
	if err != nil {
		return settlementRow{}, false, fmt.Errorf("insurance: settlement: %w", err)
	}
	return r, true, nil
}

// Query implements exchange.Backend.
func (b *Backend) Query(ctx context.Context, id uuid.UUID) (exchange.Outcome, error) {
	r, known, err := b.find(ctx, id)
	if err != nil {
		return exchange.Outcome{}, err
	}
	if !known {
		return exchange.Outcome{Result: exchange.Absent}, nil
	}
	return r.answer()
}

// errRaced leaves a transaction whose id was settled or blocked at the same
// time by another; the id is then read again.
var errRaced = errors.New("insurance: the same id at the same time")

// attempts bounds the repetitions after errRaced. A row, once there, stays, so
// that the second attempt finds it; the third is for its state changing then.
const attempts = 3

// Submit implements exchange.Backend: it settles the bill and moves the money,
// or declines, once for every id.
func (b *Backend) Submit(ctx context.Context, m exchange.Message) (exchange.Outcome, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return exchange.Outcome{}, fmt.Errorf("insurance: message: %w", err)
	}
	print := sha256.Sum256(text)
	for range attempts {
		r, known, err := b.find(ctx, m.ID)
		if err != nil {
			return exchange.Outcome{}, err
		}
		if known && r.State != stateBlocked && !bytes.Equal(r.Fingerprint, print[:]) {
			return exchange.Outcome{Result: exchange.Declined, Reason: exchange.ErrIDReused}, nil
		}
		if known {
			return r.answer()
		}
		o, err := b.settle(ctx, m, print[:])
		if !errors.Is(err, errRaced) {
			return o, err
		}
	}
	return exchange.Outcome{}, errRaced
}

func (b *Backend) actor(m exchange.Message) registry.Actor {
	return registry.Actor{Operator: "system:insurance", Workstation: m.Terminal, Place: m.Insurance.Place}
}

// settle decides and books in one transaction. The person's enrolment is locked
// first, then the accounts, so that a person's settlements follow one another.
func (b *Backend) settle(ctx context.Context, m exchange.Message, print []byte) (o exchange.Outcome, err error) {
	err = b.db.InTx(ctx, b.actor(m), func(tx *registry.Tx) error {
		before, s, err := b.decide(tx, m)
		r := settlementRow{ID: m.ID, State: stateConfirmed, Fingerprint: print, PersonID: uuid.NullUUID{UUID: m.PersonID, Valid: true},
			Year: m.Date.Year(), Kind: m.Insurance.Kind, TotalFen: m.Total, SettledAt: tx.Now()}
		var refusal *exchange.Refusal
		switch {
		case errors.As(err, &refusal):
			r.State = stateDeclined
			o = exchange.Outcome{Result: exchange.Declined, Reason: refusal}
		case err != nil:
			return err
		default:
			r.FundFen, r.AccountFen, r.CashFen, r.DeductibleFen = s.fund, s.account, s.cash, s.deductible
			o = s.outcome(before)
			if err := o.Check(m.Total); err != nil {
				return err
			}
			if err := book(tx, m, s); err != nil {
				return err
			}
		}
		return record(tx, r, o)
	})
	return o, err
}

// record writes the settlement and its answer.
func record(tx *registry.Tx, r settlementRow, o exchange.Outcome) error {
	text, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("insurance: outcome: %w", err)
	}
	r.Outcome = string(text)
	if err := insert(tx, &r); err != nil {
		return err
	}
	return tx.Audit("insurance."+r.State, "settlement:"+r.ID.String(), map[string]string{
		"fundFen": fmt.Sprint(int64(r.FundFen)), "accountFen": fmt.Sprint(int64(r.AccountFen)), "cashFen": fmt.Sprint(int64(r.CashFen))})
}

// insert writes a settlement row, or returns errRaced when the id is there.
func insert(tx *registry.Tx, r *settlementRow) error {
	done := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(r)
	if done.Error != nil {
		return fmt.Errorf("insurance: settlement: %w", done.Error)
	}
	if done.RowsAffected == 0 {
		return errRaced
	}
	return nil
}

// decide works out how the bill is borne, or why it is refused.
func (b *Backend) decide(tx *registry.Tx, m exchange.Message) (standing, settlement, error) {
	enrolled, err := insuredIn(tx.ForUpdate(), m.PersonID)
	if err != nil {
		return standing{}, settlement{}, err
	}
	insured, err := enrolled.insurance(m.Date)
	if err != nil {
		return standing{}, settlement{}, err
	}
	if insured != m.Insurance {
		return standing{}, settlement{}, ErrMoved
	}
	policy, known := b.policies.find(insured, m.Date.Year())
	if !known {
		return standing{}, settlement{}, ErrNoPolicy
	}
	used, err := accumulated(tx, m.PersonID, m.Date.Year(), insured.Kind)
	if err != nil {
		return standing{}, settlement{}, err
	}
	before := standing{deductible: used.DeductibleFen, fund: used.FundFen}
	if before.balance, err = balance(tx, personal(m.PersonID)); err != nil {
		return standing{}, settlement{}, err
	}
	var s settlement
	var refusal *exchange.Refusal
	switch m.Business {
	case businessPurchase:
		s, refusal = purchase(policy, m.Items, before)
	case businessOutpatient:
		s, refusal = outpatient(policy, m.Site.Level, m.Items, before)
	default:
		refusal = ErrNoBusiness
	}
	if refusal != nil {
		return standing{}, settlement{}, refusal
	}
	if s.fund > 0 {
		held, err := balance(tx, pool(insured))
		if err != nil {
			return standing{}, settlement{}, err
		}
		if held < s.fund {
			return standing{}, settlement{}, ErrFundShort
		}
	}
	return before, s, nil
}

// book moves the money and counts it towards the year.
func book(tx *registry.Tx, m exchange.Message, s settlement) error {
	institution := m.Site.Institution
	err := post(tx, m.ID, 1, []movement{
		{debit: personal(m.PersonID), credit: receivable(institution), amount: s.account},
		{debit: pool(m.Insurance), credit: receivable(institution), amount: s.fund},
		{debit: patients(institution), credit: drawer(institution), amount: s.cash},
	})
	if err != nil {
		return err
	}
	return accumulate(tx, m.PersonID, m.Date.Year(), m.Insurance.Kind, s.deductible, s.fund)
}

// Reverse implements exchange.Backend: counter-transfers restore every balance,
// and the year's accumulators go back. What never arrived is blocked.
func (b *Backend) Reverse(ctx context.Context, id uuid.UUID) error {
	for range attempts {
		r, known, err := b.find(ctx, id)
		if err != nil {
			return err
		}
		if known && r.State != stateConfirmed {
			return nil
		}
		if known {
			err = b.undo(ctx, r)
		} else {
			err = b.block(ctx, id)
		}
		if !errors.Is(err, errRaced) {
			return err
		}
	}
	return errRaced
}

func (b *Backend) block(ctx context.Context, id uuid.UUID) error {
	actor := registry.Actor{Operator: "system:insurance", Place: b.place}
	return b.db.InTx(ctx, actor, func(tx *registry.Tx) error {
		return record(tx, settlementRow{ID: id, State: stateBlocked, Fingerprint: []byte{}, SettledAt: tx.Now()}, exchange.Outcome{})
	})
}

func (b *Backend) undo(ctx context.Context, r settlementRow) error {
	actor := registry.Actor{Operator: "system:insurance", Place: b.place}
	return b.db.InTx(ctx, actor, func(tx *registry.Tx) error {
		// The same order of locks as in settle: the person first.
		_, err := insuredIn(tx.ForUpdate(), r.PersonID.UUID)
		if err != nil && !errors.Is(err, exchange.ErrNotInsured) {
			return err
		}
		done := tx.DB().Model(&settlementRow{}).Where("id = ? AND state = ?", r.ID, stateConfirmed).
			Updates(map[string]any{"state": stateReversed, "reversed_at": tx.Now()})
		if done.Error != nil {
			return fmt.Errorf("insurance: reverse: %w", done.Error)
		}
		if done.RowsAffected == 0 {
			return errRaced
		}
		back, next, err := counter(tx, r.ID)
		if err != nil {
			return err
		}
		if err := post(tx, r.ID, next, back); err != nil {
			return err
		}
		if err := accumulate(tx, r.PersonID.UUID, r.Year, r.Kind, -r.DeductibleFen, -r.FundFen); err != nil {
			return err
		}
		return tx.Audit("insurance.reverse", "settlement:"+r.ID.String(), nil)
	})
}
