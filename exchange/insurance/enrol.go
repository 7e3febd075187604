package insurance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/exchange"
	"onecard/internal/gb"
	"onecard/registry"
)

// Insured is one person's enrolment (参保登记). Place is the place that pools the
// risk (统筹区), as a rule a prefecture such as "630100".
type Insured struct {
	PersonID uuid.UUID
	Kind     string  // exchange.KindEmployee or exchange.KindResident
	Place    string  // 参保地, six digits of GB/T 2260
	From     gb.Date // first day
	Until    gb.Date // last day; zero while it goes on
}

// insuredRow is one line of the table insurance_insured.
type insuredRow struct {
	PersonID  uuid.UUID `gorm:"column:person_id;primaryKey"`
	Kind      string
	Place     string
	FromDate  string
	UntilDate sql.NullString
}

// TableName implements gorm's Tabler.
func (insuredRow) TableName() string { return "insurance_insured" }

// insurance tells how the person is insured on a date, or refuses.
func (r insuredRow) insurance(on gb.Date) (exchange.Insurance, error) {
	day := on.String()
	if day < r.FromDate || (r.UntilDate.Valid && day > r.UntilDate.String) {
		return exchange.Insurance{}, exchange.ErrInsuranceStopped
	}
	return exchange.Insurance{Kind: r.Kind, Place: r.Place}, nil
}

// insuredIn reads a person's enrolment; exchange.ErrNotInsured when there is none.
func insuredIn(db *gorm.DB, person uuid.UUID) (insuredRow, error) {
	var r insuredRow
	err := db.Where("person_id = ?", person).Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return insuredRow{}, exchange.ErrNotInsured
	}
	if err != nil {
		return insuredRow{}, fmt.Errorf("insurance: enrolment: %w", err)
	}
	return r, nil
}

// ErrEnrolment means that an enrolment is wrongly written.
var ErrEnrolment = errors.New("insurance: an enrolment needs a person, a kind, a place of six digits and a first day not after the last")

// Enrol writes a person's enrolment, or replaces it.
func Enrol(tx *registry.Tx, insured Insured) error {
	if insured.PersonID == uuid.Nil || len(insured.Place) != 6 || insured.From.IsZero() ||
		(insured.Kind != exchange.KindEmployee && insured.Kind != exchange.KindResident) ||
		(!insured.Until.IsZero() && insured.Until.Before(insured.From)) {
		return ErrEnrolment
	}
	r := insuredRow{PersonID: insured.PersonID, Kind: insured.Kind, Place: insured.Place, FromDate: insured.From.String(),
		UntilDate: sql.NullString{String: insured.Until.String(), Valid: !insured.Until.IsZero()}}
	if err := tx.DB().Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "person_id"}}, UpdateAll: true}).Create(&r).Error; err != nil {
		return fmt.Errorf("insurance: enrol: %w", err)
	}
	return tx.Audit("insurance.enrol", "person:"+insured.PersonID.String(), map[string]string{"kind": insured.Kind, "place": insured.Place})
}

// Contribution is money paid in for a person (缴费).
type Contribution struct {
	ID       uuid.UUID // made by the payer; the same again changes nothing
	PersonID uuid.UUID
	Personal exchange.Fen // 划入个人账户
	Pooled   exchange.Fen // 划入统筹基金
}

// ErrContribution means that a contribution has no id or no amount.
var ErrContribution = errors.New("insurance: a contribution needs an id and amounts that are not below zero, one above")

// Contribute credits a contribution to the person's account and to the fund of
// the place where the person is insured. A contribution that has been credited
// is left as it is.
func Contribute(tx *registry.Tx, c Contribution) error {
	if c.ID == uuid.Nil || c.Personal < 0 || c.Pooled < 0 || c.Personal+c.Pooled == 0 ||
		c.Personal > exchange.MaxFen || c.Pooled > exchange.MaxFen {
		return ErrContribution
	}
	r, err := insuredIn(tx.ForUpdate(), c.PersonID)
	if err != nil {
		return err
	}
	if err := tx.Audit("insurance.contribute", "contribution:"+c.ID.String(), map[string]string{"place": r.Place}); err != nil {
		return err
	}
	var known int64
	if err := tx.DB().Model(&transfer{}).Where("cause = ?", c.ID).Count(&known).Error; err != nil {
		return fmt.Errorf("insurance: contribution: %w", err)
	}
	if known > 0 {
		return nil
	}
	from := payers(r.Place)
	return post(tx, c.ID, 1, []movement{
		{debit: from, credit: personal(c.PersonID), amount: c.Personal},
		{debit: from, credit: pool(exchange.Insurance{Kind: r.Kind, Place: r.Place}), amount: c.Pooled},
	})
}

// What every person of the sample gets: 2,000 yuan in the personal account of
// employees, 50,000 yuan in the fund.
const (
	samplePersonal exchange.Fen = 200_000
	samplePooled   exchange.Fen = 5_000_000
)

// sampleSpace makes the ids of the sample's contributions from the persons', so
// that loading again credits nothing twice.
var sampleSpace = uuid.MustParse("5b0c1d3e-7f5a-4c1b-9d66-0f2f4d3c8a11")

// LoadSample enrols the persons of the sample province and credits each a first
// contribution. Loading again changes nothing.
func LoadSample(ctx context.Context, db exchange.Store, actor registry.Actor, persons ...Insured) error {
	for _, person := range persons {
		err := db.InTx(ctx, actor, func(tx *registry.Tx) error {
			if err := Enrol(tx, person); err != nil {
				return err
			}
			c := Contribution{ID: uuid.NewSHA1(sampleSpace, person.PersonID[:]), PersonID: person.PersonID, Pooled: samplePooled}
			if person.Kind == exchange.KindEmployee {
				c.Personal = samplePersonal
			}
			return Contribute(tx, c)
		})
		if err != nil {
			return fmt.Errorf("insurance: sample: %w", err)
		}
	}
	return nil
}
