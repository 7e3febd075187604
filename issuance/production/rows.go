package production

import (
	"time"

	"github.com/google/uuid"

	"onecard/registry"
)

// Supplier is what the ministry has approved (获批卡商与产品): a maker, a product, a
// number of cards, a period.
type Supplier struct {
	ID          string `gorm:"column:id"`
	Institution string `gorm:"column:institution"` // of kind maker
	Product     string `gorm:"column:product"`
	Approval    string `gorm:"column:approval"` // 批准文号
	SpecVersion string `gorm:"column:spec_version"`
	Quota       int64  `gorm:"column:quota"`
	Ordered     int64  `gorm:"column:ordered"`
	ValidFrom   string `gorm:"column:valid_from"`
	ValidTo     string `gorm:"column:valid_to"`
	State       string `gorm:"column:state"` // approved, suspended
	// DeliveryKey is the keeper's name of the key of delivery agreed with the
	// maker; Certificate, PEM, signs what the maker sends and opens what it gets.
	DeliveryKey    string `gorm:"column:delivery_key"`
	Certificate    string `gorm:"column:certificate"`
	registry.Stamp `gorm:"embedded"`
}

// TableName implements gorm's schema.Tabler.
func (Supplier) TableName() string { return "suppliers" }

// Batch is a batch (制卡批次).
type Batch struct {
	ID             uuid.UUID `gorm:"column:id"`
	Number         string    `gorm:"column:number"`
	Kind           string    `gorm:"column:kind"`
	Supplier       string    `gorm:"column:supplier"`
	Bank           *string   `gorm:"column:bank"`
	CardType       string    `gorm:"column:card_type"`
	Place          string    `gorm:"column:place"`
	Most           int64     `gorm:"column:most"`
	State          string    `gorm:"column:state"`
	Size           int64     `gorm:"column:size"`
	OrderedBy      string    `gorm:"column:ordered_by"`
	KeyVersion     *int      `gorm:"column:key_version"`
	Unmade         *int64    `gorm:"column:unmade"`
	Made           *int64    `gorm:"column:made"`
	Scrapped       *int64    `gorm:"column:scrapped"`
	LeaseOwner     string    `gorm:"column:lease_owner"`
	LeaseUntil     time.Time `gorm:"column:lease_until"`
	CreatedAt      time.Time `gorm:"column:created_at"`
	registry.Stamp `gorm:"embedded"`
}

// TableName implements gorm's schema.Tabler.
func (Batch) TableName() string { return "batches" }

// Item is a row of a batch: one order for one card.
type Item struct {
	BatchID       uuid.UUID  `gorm:"column:batch_id"`
	Seq           int64      `gorm:"column:seq"`
	Kind          string     `gorm:"column:kind"`
	ApplicationID *uuid.UUID `gorm:"column:application_id"`
	PersonID      *uuid.UUID `gorm:"column:person_id"`
	CardNumber    string     `gorm:"column:card_number"`
	State         string     `gorm:"column:state"`
	Reason        string     `gorm:"column:reason"`
	BankAccount   *uuid.UUID `gorm:"column:bank_account"`
	ATR           *string    `gorm:"column:atr"`
	ChipID        *string    `gorm:"column:chip_id"`
	Intention     []byte     `gorm:"column:intention"` // sealed card.Contents
	CardID        *uuid.UUID `gorm:"column:card_id"`
	ChangedAt     time.Time  `gorm:"column:changed_at"`
}

// TableName implements gorm's schema.Tabler.
func (Item) TableName() string { return "batch_items" }

// row names the row of an item for what is sealed in it.
func (i Item) row() string { return sealedRow(i.BatchID, i.Seq) }

// chipRow is a row of production_chips.
type chipRow struct {
	ATR       string    `gorm:"column:atr"`
	Supplier  string    `gorm:"column:supplier"`
	Prefix    string    `gorm:"column:chip_prefix"`
	List      string    `gorm:"column:list_digest"`
	State     string    `gorm:"column:state"`
	ChangedAt time.Time `gorm:"column:changed_at"`
}

// TableName implements gorm's schema.Tabler.
func (chipRow) TableName() string { return "production_chips" }

// File is a file that went to the maker or came from it.
type File struct {
	Digest   string    `gorm:"column:digest"`
	BatchID  uuid.UUID `gorm:"column:batch_id"`
	Kind     string    `gorm:"column:kind"` // production, return, outcome
	Name     string    `gorm:"column:name"`
	Size     int64     `gorm:"column:size"`
	Records  int64     `gorm:"column:records"`
	Taken    int64     `gorm:"column:taken"` // rows of a return that are dealt with
	Accepted int64     `gorm:"column:accepted"`
	Repeated int64     `gorm:"column:repeated"`
	Refused  int64     `gorm:"column:refused"`
	At       time.Time `gorm:"column:at"`
	Operator string    `gorm:"column:operator"`
}

// TableName implements gorm's schema.Tabler.
func (File) TableName() string { return "batch_files" }

// inspectionRow is a row of inspections.
type inspectionRow struct {
	BatchID   uuid.UUID  `gorm:"column:batch_id"`
	Seq       int64      `gorm:"column:seq"`
	At        time.Time  `gorm:"column:at"`
	Inspector string     `gorm:"column:inspector"`
	OrderedBy string     `gorm:"column:ordered_by"`
	Passed    bool       `gorm:"column:passed"`
	Session   *uuid.UUID `gorm:"column:session"`
	Reason    string     `gorm:"column:reason"`
}

// TableName implements gorm's schema.Tabler.
func (inspectionRow) TableName() string { return "inspections" }

// Destruction is the record of a destruction (销毁记录): a row of destructions.
type Destruction struct {
	BatchID  uuid.UUID  `gorm:"column:batch_id"`
	Seq      int64      `gorm:"column:seq"`
	Method   string     `gorm:"column:method"`
	Reason   string     `gorm:"column:reason"`
	FirstBy  string     `gorm:"column:first_by"`
	FirstAt  time.Time  `gorm:"column:first_at"`
	SecondBy *string    `gorm:"column:second_by"`
	SecondAt *time.Time `gorm:"column:second_at"`
}

// TableName implements gorm's schema.Tabler.
func (Destruction) TableName() string { return "destructions" }
