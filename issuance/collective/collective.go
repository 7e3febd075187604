package collective

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
	"onecard/internal/sheet"
	"onecard/issuance"
	"onecard/registry"
)

// What became of a row.
const (
	Applied = "applied" // 已申请
	Draft   = "draft"   // 存为草稿: entered, something is missing
	Refused = "refused" // 未受理
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
	ID                      uuid.UUID
	Institution, Kind       string
	Method, State           string
	Applied, Draft, Refused int
	EnteredBy               string
	CreatedAt               time.Time
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
// gone through is gone through again for the rows that were refused. When ctx
// ends it stops between two rows. Errors: a *registry.FieldError for what is no
// list, and for an institution outside the actor's place or that brings no lists.
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
	order, err := s.begin(ctx, actor, list, digest)
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

// begin finds the order of a list, or enters it.
func (s *Service) begin(ctx context.Context, actor registry.Actor, list List, digest []byte) (order orderRow, err error) {
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

// run is one way through a list.
type run struct {
	*Service
	actor       registry.Actor
	order       orderRow
	institution registry.Institution
	columns     layout
	most        int
}

func (r run) through(ctx context.Context, rows sheet.Reader, report func(Order)) error {
	known, err := r.known(ctx)
	if err != nil {
		return err
	}
	for read, decided := 1, 0; ; read++ {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return r.finish(ctx)
		}
		if err != nil {
			return fileProblem(err)
		}
		if read > MaxRows {
			return wrong("content", fmt.Sprintf("名册最多 %d 行", MaxRows), fmt.Sprintf("a list of at most %d rows", MaxRows))
		}
		if before, ok := known[row.Number]; ok && (before.Outcome != Refused || before.Pass == r.order.Pass) {
			continue
		}
		if r.most > 0 && decided == r.most {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.decide(ctx, row); err != nil {
			return err
		}
		if decided++; report != nil {
			order, err := r.Order(ctx, r.order.ID)
			if err != nil {
				return err
			}
			report(order)
		}
	}
}

func (r run) known(ctx context.Context) (map[int64]outcomeRow, error) {
	var rows []outcomeRow
	if err := r.DB.Read(ctx).Where("order_id = ?", r.order.ID).Find(&rows).Error; err != nil {
		return nil, err
	}
	known := make(map[int64]outcomeRow, len(rows))
	for _, row := range rows {
		known[row.RowNumber] = row
	}
	return known, nil
}

func (r run) finish(ctx context.Context) error {
	return r.DB.InTx(ctx, r.actor, func(tx *registry.Tx) error {
		done := tx.DB().Model(&orderRow{}).Where("id = ? AND pass = ?", r.order.ID, r.order.Pass)
		if err := done.Updates(map[string]any{"state": Done, "changed_at": tx.Now()}).Error; err != nil {
			return err
		}
		return tx.Audit("collective.done", r.order.subject(), nil)
	})
}

// decide applies for the holder of a row and notes it in one transaction; what
// is refused is noted in another, for the first has left nothing.
func (r run) decide(ctx context.Context, row sheet.Row) error {
	outcome := outcomeRow{OrderID: r.order.ID, RowNumber: row.Number, Pass: r.order.Pass}
	err := r.DB.InTx(ctx, r.actor, func(tx *registry.Tx) error {
		application, lacks, err := r.apply(tx, row)
		if err != nil {
			return err
		}
		outcome.Outcome, outcome.ApplicationID = Applied, &application.ID
		if lacks != nil {
			outcome.Outcome = Draft
			outcome.Code, outcome.Reason, outcome.ReasonEN, _ = words(lacks)
		}
		return note(tx, outcome)
	})
	if err == nil || errors.Is(err, errDecided) {
		return nil
	}
	var known bool
	outcome.Outcome, outcome.ApplicationID = Refused, nil
	if outcome.Code, outcome.Reason, outcome.ReasonEN, known = words(err); !known {
		return err
	}
	err = r.DB.InTx(ctx, r.actor, func(tx *registry.Tx) error { return note(tx, outcome) })
	if errors.Is(err, errDecided) {
		return nil
	}
	return err
}

// errDecided: another run of the same list was faster with this row.
var errDecided = errors.New("collective: the row is decided already")

// note writes down what became of a row, unless it has an application already.
func note(tx *registry.Tx, outcome outcomeRow) error {
	refused := clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "collective_rows.outcome = ?", Vars: []any{Refused}}}}
	noted := tx.DB().Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "order_id"}, {Name: "row_number"}}, Where: refused,
		DoUpdates: clause.AssignmentColumns([]string{"pass", "outcome", "application_id", "code", "reason", "reason_en"}),
	}).Create(&outcome)
	if noted.Error != nil {
		return noted.Error
	}
	if noted.RowsAffected == 0 {
		return errDecided
	}
	detail := map[string]string{"row": fmt.Sprint(outcome.RowNumber), "outcome": outcome.Outcome, "code": outcome.Code}
	return tx.Audit("collective.row", "collective:"+outcome.OrderID.String(), detail)
}

// apply enters the application of a row. What lacks something is entered as a
// draft, and lacks says what.
func (r run) apply(tx *registry.Tx, row sheet.Row) (application issuance.Application, lacks, err error) {
	told, err := r.columns.read(row, r.DB.Today())
	if err != nil {
		return application, nil, err
	}
	person, err := r.person(tx, told)
	if err != nil {
		return application, nil, err
	}
	request := issuance.Request{Person: person.ID, Kind: r.order.Kind, Method: r.order.Method, Channel: Channel, Applicant: r.institution.Kind, Acting: told.acting}
	request.Institution = r.institution.ID
	application, err = r.Issuance.Apply(tx, request)
	if errors.Is(err, issuance.ErrMissing) || errors.Is(err, issuance.ErrNeedsGuardian) {
		lacks, request.Draft = err, true
		application, err = r.Issuance.Apply(tx, request)
	}
	return application, lacks, err
}

var errName = wrong(fieldName, "与该号码登记的姓名不同", "the name that is registered with this number")

// person finds the holder of a row by the number, or registers the holder.
func (r run) person(tx *registry.Tx, told told) (registry.Person, error) {
	person, err := r.DB.PersonByIDNumber(tx.Context(), told.number)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		told.person.Place = cmp.Or(told.person.Place, r.institution.Place)
		return tx.AddPerson(told.person)
	case err != nil:
		return person, err
	}
	if name, err := gb.NormaliseName(told.person.Name); err != nil || name != person.Name {
		return person, errName
	}
	return person, nil
}
