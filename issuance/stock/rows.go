package stock

import (
	"time"

	"github.com/google/uuid"

	"onecard/registry"
)

// Movement is a line of the ledger (库存流水): a row of stock_movements.
type Movement struct {
	Kind        string    `gorm:"column:kind"`
	Item        string    `gorm:"column:item"`
	Seq         int64     `gorm:"column:seq"`
	PrevSeq     *int64    `gorm:"column:prev_seq"`
	Event       string    `gorm:"column:event"`
	FromPlace   string    `gorm:"column:from_place"`
	FromState   string    `gorm:"column:from_state"`
	FromDay     string    `gorm:"column:from_day"` // in whose book it counts on which day
	ToPlace     string    `gorm:"column:to_place"`
	ToState     string    `gorm:"column:to_state"`
	ToDay       string    `gorm:"column:to_day"`
	Document    string    `gorm:"column:document"` // the paper that it stands on, such as consignment:018f…
	Reason      string    `gorm:"column:reason"`
	At          time.Time `gorm:"column:at"`
	Operator    string    `gorm:"column:operator"`
	Workstation string    `gorm:"column:workstation"`
}

// TableName implements gorm's schema.Tabler.
func (Movement) TableName() string { return "stock_movements" }

// item is a card in stock and where it is: the head of its movements.
type item struct {
	Kind   string     `gorm:"column:kind"`
	Item   string     `gorm:"column:item"`
	Holder string     `gorm:"column:holder"`
	State  string     `gorm:"column:state"`
	Seq    int64      `gorm:"column:seq"`
	Lease  *uuid.UUID `gorm:"column:lease"`
}

// blankRow is a row of blank_cards.
type blankRow struct {
	Serial         string `gorm:"column:serial"`
	Maker          string `gorm:"column:maker"`
	Product        string `gorm:"column:product"`
	Box            string `gorm:"column:box"`
	Holder         string `gorm:"column:holder"`
	State          string `gorm:"column:state"`
	Seq            int64  `gorm:"column:seq"`
	registry.Stamp `gorm:"embedded"`
}

// TableName implements gorm's schema.Tabler.
func (blankRow) TableName() string { return "blank_cards" }

// cardRow is a row of stock_cards.
type cardRow struct {
	Number string `gorm:"column:number"`
	Holder string `gorm:"column:holder"`
	State  string `gorm:"column:state"`
	Seq    int64  `gorm:"column:seq"`
}

// TableName implements gorm's schema.Tabler.
func (cardRow) TableName() string { return "stock_cards" }

// Box is a sealed box (箱): a row of stock_boxes.
type Box struct {
	ID          uuid.UUID `gorm:"column:id"`
	Label       string    `gorm:"column:label"` // batch-box-carton, such as 29211-5-3
	Kind        string    `gorm:"column:kind"`
	Place       string    `gorm:"column:place"` // where it was packed or last received
	State       string    `gorm:"column:state"`
	Seal        *string   `gorm:"column:seal"`
	Maker       bool      `gorm:"column:maker"` // sealed by the maker
	SealedBy    *string   `gorm:"column:sealed_by"`
	WitnessedBy *string   `gorm:"column:witnessed_by"`
	SealedAt    time.Time `gorm:"column:sealed_at"`
	OpenedBy    *string   `gorm:"column:opened_by"`
	OpenedWith  *string   `gorm:"column:opened_with"`
}

// TableName implements gorm's schema.Tabler.
func (Box) TableName() string { return "stock_boxes" }

// content is a row of stock_contents.
type content struct {
	Box    uuid.UUID `gorm:"column:box"`
	Slot   int       `gorm:"column:slot"`
	Kind   string    `gorm:"column:kind"`
	Item   string    `gorm:"column:item"`
	Inside bool      `gorm:"column:inside"`
}

// TableName implements gorm's schema.Tabler.
func (content) TableName() string { return "stock_contents" }

// Consignment is boxes on their way (发运): a row of stock_consignments.
type Consignment struct {
	ID          uuid.UUID  `gorm:"column:id"`
	From        string     `gorm:"column:from_place"`
	To          string     `gorm:"column:to_place"`
	State       string     `gorm:"column:state"`
	List        *string    `gorm:"column:list"` // SHA-256 of the maker's list
	SentBy      string     `gorm:"column:sent_by"`
	SentAt      time.Time  `gorm:"column:sent_at"`
	AcceptedBy  *string    `gorm:"column:accepted_by"`
	WitnessedBy *string    `gorm:"column:witnessed_by"`
	AcceptedAt  *time.Time `gorm:"column:accepted_at"`
}

// TableName implements gorm's schema.Tabler.
func (Consignment) TableName() string { return "stock_consignments" }

// load is a row of stock_loads.
type load struct {
	Consignment uuid.UUID `gorm:"column:consignment"`
	Box         uuid.UUID `gorm:"column:box"`
	Underway    bool      `gorm:"column:underway"`
}

// TableName implements gorm's schema.Tabler.
func (load) TableName() string { return "stock_loads" }

// Lease is blanks that a counter holds (领用): a row of stock_leases.
type Lease struct {
	ID          uuid.UUID  `gorm:"column:id"`
	Place       string     `gorm:"column:place"`
	Workstation string     `gorm:"column:workstation"`
	Holder      string     `gorm:"column:holder"`
	LentBy      string     `gorm:"column:lent_by"`
	LentAt      time.Time  `gorm:"column:lent_at"`
	ExpiresAt   time.Time  `gorm:"column:expires_at"`
	ReturnedAt  *time.Time `gorm:"column:returned_at"`
	ReturnedBy  *string    `gorm:"column:returned_by"`
}

// TableName implements gorm's schema.Tabler.
func (Lease) TableName() string { return "stock_leases" }

// Destruction is a record of destruction (销毁记录): a row of stock_destructions.
type Destruction struct {
	ID       uuid.UUID `gorm:"column:id"`
	Place    string    `gorm:"column:place"`
	FirstBy  string    `gorm:"column:first_by"`
	SecondBy string    `gorm:"column:second_by"`
	Method   string    `gorm:"column:method"`
	Cards    int       `gorm:"column:cards"`
	At       time.Time `gorm:"column:at"`
}

// TableName implements gorm's schema.Tabler.
func (Destruction) TableName() string { return "stock_destructions" }

// Incident is what was found that should not be (异常): a row of stock_incidents.
type Incident struct {
	ID       uuid.UUID  `gorm:"column:id"`
	Place    string     `gorm:"column:place"`
	Finding  string     `gorm:"column:finding"` // missing, extra, damaged, seal, difference
	Kind     *string    `gorm:"column:kind"`
	Item     *string    `gorm:"column:item"`
	Document string     `gorm:"column:document"`
	Note     string     `gorm:"column:note"`
	Owner    string     `gorm:"column:owner"` // who has to clear it
	OpenedBy string     `gorm:"column:opened_by"`
	OpenedAt time.Time  `gorm:"column:opened_at"`
	ClosedBy *string    `gorm:"column:closed_by"`
	ClosedAt *time.Time `gorm:"column:closed_at"`
	Outcome  *string    `gorm:"column:outcome"`
}

// TableName implements gorm's schema.Tabler.
func (Incident) TableName() string { return "stock_incidents" }

// Day is a closed day of a place's book (日结): a row of stock_days.
type Day struct {
	Place       string    `gorm:"column:place"`
	Kind        string    `gorm:"column:kind"`
	Bin         string    `gorm:"column:bin"` // good or waste
	Day         string    `gorm:"column:day"`
	PrevDay     *string   `gorm:"column:prev_day"`
	Opening     int64     `gorm:"column:opening"`
	Received    int64     `gorm:"column:received"`
	Sent        int64     `gorm:"column:sent"`
	Used        int64     `gorm:"column:used"`
	Spoiled     int64     `gorm:"column:spoiled"`
	Missing     int64     `gorm:"column:missing"`
	Destroyed   int64     `gorm:"column:destroyed"`
	Closing     int64     `gorm:"column:closing"`
	Counted     int64     `gorm:"column:counted"`
	Difference  int64     `gorm:"column:difference"`
	CountedBy   string    `gorm:"column:counted_by"`
	WitnessedBy string    `gorm:"column:witnessed_by"`
	ClosedAt    time.Time `gorm:"column:closed_at"`
}

// TableName implements gorm's schema.Tabler.
func (Day) TableName() string { return "stock_days" }

// placeRow is a row of stock_places.
type placeRow struct {
	Place string `gorm:"column:place"`
}

// TableName implements gorm's schema.Tabler.
func (placeRow) TableName() string { return "stock_places" }
