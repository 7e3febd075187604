package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
)

// AddressKinds are the further addresses that a person may have (地址类别), one
// of each: 户籍地址, 居住地址, 单位地址, 收件地址.
var AddressKinds = []string{"registered", "residence", "work", "delivery"}

// Address is one of a person's further addresses (地址). It holds personal data.
type Address struct {
	Kind     string // one of AddressKinds
	Place    string // division, may be empty
	Locality string // township (9 digits) or community (12), may be empty
	Text     string
	Postcode string  // may be empty
	Until    gb.Date // the last day on which it holds; zero: it holds
	Stamp    Stamp
}

type addressRow struct {
	ID            uuid.UUID `gorm:"column:id"`
	Kind          string    `gorm:"column:kind"`
	Place         *string   `gorm:"column:place"`
	Locality      *string   `gorm:"column:locality"`
	AddressSealed []byte    `gorm:"column:address_sealed"`
	Postcode      *string   `gorm:"column:postcode"`
	Until         *string   `gorm:"column:until"`
	Stamp         `gorm:"embedded"`
}

// TableName implements gorm's schema.Tabler.
func (addressRow) TableName() string { return "addresses" }

const columnFurtherAddress = "addresses.address"

// PutAddress records a person's address of a kind; the one before becomes
// history. Errors: ErrInvalid, ErrNotFound, ErrConflict for a file that was
// merged into another.
func (tx *Tx) PutAddress(person uuid.UUID, address Address, reason string) error {
	if err := errors.Join(checkReason(reason), tx.checkAddress(address)); err != nil {
		return err
	}
	if _, _, err := tx.lockFile(person); err != nil {
		return err
	}
	id, err := tx.idOfAddress(person, address.Kind)
	if err != nil {
		return err
	}
	sealed, err := tx.db.Seal(tx.ctx, columnFurtherAddress, id.String(), []byte(address.Text))
	if err != nil {
		return err
	}
	err = tx.put("addresses", map[string]any{"id": id}, map[string]any{
		"person_id": person, "kind": address.Kind, "place": optional(address.Place), "locality": optional(address.Locality),
		"address_sealed": sealed, "postcode": optional(address.Postcode), "until": day(address.Until),
	}, reason)
	if err != nil {
		return err
	}
	return tx.Audit("person.address", "person:"+person.String(), map[string]string{"kind": address.Kind})
}

func (tx *Tx) idOfAddress(person uuid.UUID, kind string) (uuid.UUID, error) {
	var row addressRow
	err := tx.gorm.Where("person_id = ? AND kind = ?", person, kind).Take(&row).Error
	if errors.Is(err, ErrNotFound) {
		return tx.NewID()
	}
	return row.ID, err
}

func (tx *Tx) checkAddress(a Address) error {
	if !slices.Contains(AddressKinds, a.Kind) {
		return &FieldError{Field: "kind", ZH: "应为 " + strings.Join(AddressKinds, "、"), EN: "one of " + strings.Join(AddressKinds, ", ")}
	}
	if strings.TrimSpace(a.Text) == "" {
		return &FieldError{Field: "address", ZH: "必填", EN: "required"}
	}
	if a.Place != "" {
		if err := tx.placeToday(a.Place); err != nil {
			return err
		}
	}
	return checkTexts(NewPerson{Address: a.Text, Postcode: a.Postcode, Locality: a.Locality})
}

// AddressesAt returns the further addresses of a person as the record had them
// at an instant, by kind.
func (db *DB) AddressesAt(ctx context.Context, person uuid.UUID, at time.Time) ([]Address, error) {
	rows, err := rowsAt[addressRow](ctx, db, "addresses", "person_id", person, at, func(q *gorm.DB) *gorm.DB { return q.Omit("person_id") })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b addressRow) int { return strings.Compare(a.Kind, b.Kind) })
	addresses := make([]Address, len(rows))
	work := newOpening(len(rows))
	for i, row := range rows {
		until, _ := gb.ParseDate(deref(row.Until)) // written by us; empty is the zero date
		addresses[i] = Address{
			Kind: row.Kind, Place: deref(row.Place), Locality: deref(row.Locality), Postcode: deref(row.Postcode), Until: until, Stamp: row.Stamp,
		}
		work.open(columnFurtherAddress, row.ID.String(), row.AddressSealed, &addresses[i].Text)
	}
	return addresses, work.run(ctx, db)
}
