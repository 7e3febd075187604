package collective

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"onecard/internal/sheet"
	"onecard/issuance"
	"onecard/registry"
)

// What became of a row.
const (
	Applied = "applied" // 已申请
	Draft   = "draft"   // 存为草稿: entered, something is missing
	Refused = "refused" // 未受理
	// Withdrawn: it was a draft that somebody has withdrawn since (草稿已撤销).
	Withdrawn = "withdrawn"
)

// States of an order.
const (
	Open = "open"
	Done = "done"
)

// Limits of a list.
const (
	MaxSize = 4 << 20 // bytes
	MaxRows = 10_000
)

// Channel is the channel of what comes by a list (渠道).
const Channel = "unit"

// Service takes lists. It may be used by several goroutines.
type Service struct {
	DB       *registry.DB
	Issuance *issuance.Service
}

// List is a list as it was handed in.
type List struct {
	Institution string
	Kind        string // empty: first
	Method      string // empty: batch
	Content     []byte // CSV or Excel
	Sheet       string // of Excel; empty: the only one
	Most        int    // rows to decide now; 0: all
	Report      func(Order)
}

// Order is a list with how far it has come (集体申领单).
type Order struct {
	ID                                 uuid.UUID
	Institution, Kind                  string
	Method, State                      string
	Applied, Draft, Refused, Withdrawn int
	EnteredBy                          string
	CreatedAt                          time.Time
}

// Row is what became of one row of a list.
type Row struct {
	Number      int64
	Outcome     string
	Application *uuid.UUID
	Code        string // of what is wrong or missing; else empty
	ZH, EN      string
}

type orderRow struct {
	ID          uuid.UUID `gorm:"column:id"`
	Institution string    `gorm:"column:institution"`
	Digest      []byte    `gorm:"column:digest"`
	Kind        string    `gorm:"column:kind"`
	Method      string    `gorm:"column:method"`
	Place       string    `gorm:"column:place"`
	State       string    `gorm:"column:state"`
	Pass        int       `gorm:"column:pass"`
	EnteredBy   string    `gorm:"column:entered_by"`
	CreatedAt   time.Time `gorm:"column:created_at"`
	ChangedAt   time.Time `gorm:"column:changed_at"`
}

// TableName implements gorm's schema.Tabler.
func (orderRow) TableName() string { return "collective_orders" }

func (o orderRow) subject() string { return "collective:" + o.ID.String() }

type outcomeRow struct {
	OrderID       uuid.UUID  `gorm:"column:order_id"`
	RowNumber     int64      `gorm:"column:row_number"`
	Pass          int        `gorm:"column:pass"`
	Outcome       string     `gorm:"column:outcome"`
	ApplicationID *uuid.UUID `gorm:"column:application_id"`
	Code          string     `gorm:"column:code"`
	Reason        string     `gorm:"column:reason"`
	ReasonEN      string     `gorm:"column:reason_en"`
}

// TableName implements gorm's schema.Tabler.
func (outcomeRow) TableName() string { return "collective_rows" }

// Run takes a list, or goes on with it where it was stopped. A list that was
// gone through is gone through again for the rows that were refused or are
// drafts. When ctx ends it stops between two chunks. Errors: a
// *registry.FieldError for what is no list, and for an institution outside the actor's place or that brings no lists.
func (s *Service) Run(ctx context.Context, actor registry.Actor, list List) (Order, error) {
	list.Kind, list.Method = cmp.Or(list.Kind, issuance.KindFirst), cmp.Or(list.Method, issuance.MethodBatch)
	institution, err := s.institution(ctx, actor, list.Institution)
	if err != nil {
		return Order{}, err
	}
	if err := issuance.CheckKind(list.Kind, list.Method); err != nil {
		return Order{}, err
	}
	rows, digest, done, err := list.open()
	if err != nil {
		return Order{}, err
	}
	defer done()
	columns, err := layoutOf(rows.Header())
	if err != nil {
		return Order{}, err
	}
	order, err := s.open(ctx, actor, list, digest)
	if err != nil {
		return Order{}, err
	}
	work := run{Service: s, actor: actor, order: order, institution: institution, columns: columns, most: list.Most}
	if err := work.through(ctx, rows, list.Report); err != nil {
		return Order{}, err
	}
	return s.Order(ctx, order.ID)
}

// institution returns who brings the list.
func (s *Service) institution(ctx context.Context, actor registry.Actor, id string) (registry.Institution, error) {
	bad := wrong("institution", "应为本辖区内的单位、学校、村社或银行", "an employer, school, village or bank of one's own place")
	institution, err := s.DB.Institution(ctx, id)
	if errors.Is(err, registry.ErrNotFound) {
		return institution, bad
	}
	if err != nil {
		return institution, err
	}
	scope, err := s.DB.Scope(ctx, cmp.Or(actor.Locality, actor.Place))
	if err != nil {
		return institution, err
	}
	if !slices.Contains(bringers, institution.Kind) || !scope.Covers(institution.Place, institution.Locality) {
		return institution, bad
	}
	return institution, nil
}

func fileProblem(err error) error {
	var file *sheet.FileError
	if errors.As(err, &file) {
		return wrong("content", file.ZH, file.EN)
	}
	return err
}

// open finds the order of a list, or enters it.
func (s *Service) open(ctx context.Context, actor registry.Actor, list List, digest []byte) (order orderRow, err error) {
	err = s.DB.InTx(ctx, actor, func(tx *registry.Tx) error {
		id, err := tx.NewID()
		if err != nil {
			return err
		}
		order = orderRow{
			ID: id, Institution: list.Institution, Digest: digest, Kind: list.Kind, Method: list.Method, Place: actor.Place, State: Open, Pass: 1,
			EnteredBy: actor.Operator, CreatedAt: tx.Now(), ChangedAt: tx.Now(),
		}
		entered := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(&order)
		if entered.Error != nil {
			return entered.Error
		}
		if entered.RowsAffected == 1 {
			return tx.Audit("collective.begun", order.subject(), map[string]string{"institution": list.Institution, "kind": list.Kind})
		}
		order = orderRow{}
		if err := tx.ForUpdate().Where("institution = ? AND digest = ? AND kind = ?", list.Institution, digest, list.Kind).Take(&order).Error; err != nil {
			return err
		}
		if order.State == Done {
			order.State, order.Pass = Open, order.Pass+1
		}
		changed := map[string]any{"state": order.State, "pass": order.Pass, "changed_at": tx.Now()}
		if err := tx.DB().Model(&orderRow{}).Where("id = ?", order.ID).Updates(changed).Error; err != nil {
			return err
		}
		return tx.Audit("collective.resumed", order.subject(), nil)
	})
	return order, err
}
