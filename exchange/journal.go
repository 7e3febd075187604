package exchange

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
	"onecard/registry"
)

// Transaction is a card transaction as the journal has it (交易).
type Transaction struct {
	ID           uuid.UUID
	State        State
	Business     string
	Site         Site
	Terminal     string
	Date         gb.Date // zero when blocked
	SerialNumber int64   // 0 when blocked
	CardID       uuid.UUID
	CardNumber   string
	PersonID     uuid.UUID
	Insurance    Insurance
	Rule         string // the rule that decided
	Routes       string // version of the routes
	Backend      string
	Total        Fen
	Fund         Fen // 统筹基金支付
	Account      Fen // 个人账户支付
	Cash         Fen // 个人现金支付
	Balance      Fen // 个人账户余额 after it
	Items        []Item
	Lines        []Line
	Reason       *Refusal // when declined
	// ReversalReason is what was given when it was reversed.
	ReversalReason string
	CreatedAt      time.Time
	EndedAt        time.Time // zero while open
}

// row is one line of the table transactions.
type row struct {
	ID               uuid.UUID `gorm:"column:id;primaryKey"`
	State            State
	Institution      string
	InstitutionName  string
	InstitutionKind  string
	InstitutionLevel int
	PlaceOfTreatment string
	Terminal         string
	BusinessDate     sql.NullString
	SerialNumber     sql.NullInt64
	Business         string
	Fingerprint      []byte
	ProofID          uuid.NullUUID
	CardID           uuid.NullUUID
	CardNumber       string
	PersonID         uuid.NullUUID
	InsuranceKind    string
	PlaceInsured     string
	Rule             string
	RoutesVersion    string
	Backend          string
	TotalFen         Fen
	FundFen          Fen
	AccountFen       Fen
	CashFen          Fen
	BalanceFen       Fen
	Items            string
	Lines            string
	Refusal          string
	ReversalReason   string
	Operator         string
	CreatedAt        time.Time
	Deadline         time.Time
	EndedAt          sql.NullTime
}

// TableName implements gorm's Tabler.
func (row) TableName() string { return "transactions" }

func (r row) transaction() (Transaction, error) {
	t := Transaction{
		ID: r.ID, State: r.State, Business: r.Business, Terminal: r.Terminal,
		Site: Site{Institution: r.Institution, Name: r.InstitutionName, Kind: r.InstitutionKind,
			Level: r.InstitutionLevel, Place: r.PlaceOfTreatment},
		SerialNumber: r.SerialNumber.Int64, CardID: r.CardID.UUID, CardNumber: r.CardNumber, PersonID: r.PersonID.UUID,
		Insurance: Insurance{Kind: r.InsuranceKind, Place: r.PlaceInsured},
		Rule:      r.Rule, Routes: r.RoutesVersion, Backend: r.Backend,
		Total: r.TotalFen, Fund: r.FundFen, Account: r.AccountFen, Cash: r.CashFen, Balance: r.BalanceFen,
		ReversalReason: r.ReversalReason, CreatedAt: r.CreatedAt.UTC(), EndedAt: r.EndedAt.Time.UTC(),
	}
	if !r.EndedAt.Valid {
		t.EndedAt = time.Time{}
	}
	if r.BusinessDate.Valid {
		if err := t.Date.UnmarshalText([]byte(r.BusinessDate.String)); err != nil {
			return Transaction{}, fmt.Errorf("exchange: journal of %s: %w", r.ID, err)
		}
	}
	for text, value := range map[string]any{r.Items: &t.Items, r.Lines: &t.Lines, r.Refusal: &t.Reason} {
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), value); err != nil {
			return Transaction{}, fmt.Errorf("exchange: journal of %s: %w", r.ID, err)
		}
	}
	return t, nil
}

// message is what the back end is told of the transaction.
func (t Transaction) message() Message {
	return Message{ID: t.ID, Business: t.Business, PersonID: t.PersonID, Insurance: t.Insurance, Site: t.Site,
		Terminal: t.Terminal, SerialNumber: t.SerialNumber, Date: t.Date, Total: t.Total, Items: t.Items}
}

// subject names a transaction in the audit log.
func subject(id uuid.UUID) string { return "transaction:" + id.String() }

// encode writes v for a column of text.
func encode(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("exchange: journal: %w", err)
	}
	return string(text), nil
}

// find returns the row of a transaction, or ErrNotFound.
func find(db *gorm.DB, id uuid.UUID) (row, error) {
	var r row
	err := db.Where("id = ?", id).Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row{}, ErrNotFound
	}
	if err != nil {
		return row{}, fmt.Errorf("exchange: journal: %w", err)
	}
	return r, nil
}

// insert writes a new row. It reports false when the id, or the terminal's
// serial number, is there already: by then the other row is committed.
func insert(tx *registry.Tx, r *row) (bool, error) {
	done := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(r)
	if done.Error != nil {
		return false, fmt.Errorf("exchange: journal: %w", done.Error)
	}
	return done.RowsAffected == 1, nil
}

// errMoved means that the transaction is no longer in the state that a
// transition starts from: somebody else was faster, and theirs counts.
var errMoved = errors.New("exchange: the transaction has moved on")

// fire lets an event happen to the transaction, together with what else
// changes, and records it. It returns errMoved when the row has left r.State.
func fire(tx *registry.Tx, r row, e event, change map[string]any) error {
	to, applies := next(r.State, e)
	if !applies {
		return errMoved
	}
	columns := map[string]any{"state": to, "ended_at": nil}
	maps.Copy(columns, change)
	if !to.Open() {
		columns["ended_at"] = tx.Now()
	}
	done := tx.DB().Model(&row{}).Where("id = ? AND state = ?", r.ID, r.State).Updates(columns)
	if done.Error != nil {
		return fmt.Errorf("exchange: journal: %w", done.Error)
	}
	if done.RowsAffected == 0 {
		return errMoved
	}
	return tx.Audit("transaction."+string(e), subject(r.ID), map[string]string{
		"from": string(r.State), "to": string(to), "backend": r.Backend, "rule": r.Rule})
}
