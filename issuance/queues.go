package issuance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/registry"
)

// Queue is the applications that wait in one state (待办队列). Beyond
// [QueueCounted] the counts stop.
type Queue struct {
	State   string
	Open    int        // in the state
	Overdue int        // whose time is over
	DueSoon int        // whose time is over within [QueueSoon]
	Oldest  *time.Time // the earliest day on which one is or was to be over
}

// QueueCounted is up to where a queue is counted: a person needs to know that
// there are more than a thousand, not how many, and to count a million takes
// longer than to work.
const QueueCounted = 1000

// QueueSoon is what counts as soon.
const QueueSoon = 24 * time.Hour

// QueueStates are the states that have a service time (办理时限).
func QueueStates() []string {
	var states []string
	for _, s := range Applications.States {
		if (Policy{}).due(s.Name, time.Time{}) != nil {
			states = append(states, s.Name)
		}
	}
	return states
}

// Queues counts what waits in a place and below it, by state.
func (s *Service) Queues(ctx context.Context, place string) ([]Queue, error) {
	scope, err := s.db.Scope(ctx, place)
	if err != nil {
		return nil, err
	}
	now := s.db.Now()
	queues := make([]Queue, 0, len(QueueStates()))
	for _, state := range QueueStates() {
		q := Queue{State: state}
		for _, count := range []struct {
			into        *int
			from, until time.Time
		}{{&q.Open, time.Time{}, endless}, {&q.Overdue, time.Time{}, now}, {&q.DueSoon, now, now.Add(QueueSoon)}} {
			if *count.into, err = s.countDue(ctx, scope, state, count.from, count.until); err != nil {
				return nil, err
			}
		}
		first, err := s.due(ctx, scope, Filter{State: state, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(first) == 1 {
			q.Oldest = first[0].DueAt
		}
		queues = append(queues, q)
	}
	return queues, nil
}

// endless is later than any stage is to be over.
var endless = time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)

// countDue counts what is due in a time, as far as it is counted.
func (s *Service) countDue(ctx context.Context, scope registry.Scope, state string, from, until time.Time) (n int, err error) {
	db := s.db.Read(ctx)
	some := db.Model(&applicationRow{}).Select("1 AS one").Where("state = ? AND due_at >= ? AND due_at < ?", state, from, until).Limit(QueueCounted + 1)
	if !scope.Whole() {
		some = scope.In(some, "place", "locality")
	}
	if err := db.Table("(?) AS counted", some).Select("count(*)").Scan(&n).Error; err != nil {
		return 0, fmt.Errorf("count a queue: %w", err)
	}
	return n, nil
}

// dueRow is where an application stands in a queue.
type dueRow struct {
	ID    uuid.UUID
	DueAt *time.Time
}

// due finds a page of a queue in the order of due_at. One index has that order
// for the whole province, others have it within one place: of a scope of several
// places the first of each are taken and put in order.
func (s *Service) due(ctx context.Context, scope registry.Scope, f Filter) ([]dueRow, error) {
	db := s.db.Read(ctx)
	narrow := func(q *gorm.DB) *gorm.DB {
		q = q.Model(&applicationRow{}).Select("id", "due_at").Where("state = ? AND due_at IS NOT NULL", f.State)
		if f.AfterDue != nil {
			q = q.Where("(due_at, id) > (?, ?)", *f.AfterDue, f.After)
		}
		if f.Overdue {
			q = q.Where("due_at < ?", s.db.Now())
		}
		return q.Order("due_at, id").Limit(f.Limit)
	}
	var parts []*gorm.DB
	for _, kind := range among(f.Kind, f.Kind+f.Method != "", KindFirst, KindReplacement, KindExchange, KindTemporary) {
		for _, method := range among(f.Method, f.Kind+f.Method != "", MethodInstant, MethodBatch) {
			q := narrow(db.Session(&gorm.Session{}))
			if kind != "" {
				q = q.Where("kind = ? AND method = ?", kind, method)
			}
			switch codes, ok := scope.Codes(); {
			case !ok:
				parts = append(parts, scope.In(q, "place", "locality"))
			case scope.Whole() && kind == "":
				parts = append(parts, q)
			default:
				for _, code := range codes {
					parts = append(parts, q.Session(&gorm.Session{}).Where("place = ?", code))
				}
			}
		}
	}
	return firstOf(db, parts, f.Limit)
}

// among returns what one column is to be: what was asked for, each of all where
// the other of a pair was, or nothing.
func among(asked string, pair bool, all ...string) []string {
	switch {
	case asked != "":
		return []string{asked}
	case pair:
		return all
	default:
		return []string{""}
	}
}

// firstOf puts the first of several ordered pages in order. So many of them go
// into one question.
func firstOf(db *gorm.DB, parts []*gorm.DB, limit int) ([]dueRow, error) {
	const most = 64
	var rows []dueRow
	for some := range slices.Chunk(parts, most) {
		texts, values := make([]string, len(some)), make([]any, len(some))
		for i, part := range some {
			texts[i], values[i] = "SELECT * FROM (?) AS part", part
		}
		var page []dueRow
		union := strings.Join(texts, " UNION ALL ") + fmt.Sprintf(" ORDER BY due_at, id LIMIT %d", limit)
		if err := db.Raw(union, values...).Scan(&page).Error; err != nil {
			return nil, fmt.Errorf("list a queue: %w", err)
		}
		rows = append(rows, page...)
	}
	slices.SortFunc(rows, func(a, b dueRow) int {
		if c := a.DueAt.Compare(*b.DueAt); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	return rows[:min(len(rows), limit)], nil
}

// queued returns a page of a queue: those whose time is over first.
func (s *Service) queued(ctx context.Context, f Filter) ([]Application, error) {
	if !slices.Contains(QueueStates(), f.State) {
		return nil, oneOf("queue", f.State, QueueStates()...)
	}
	if f.Place == "" {
		return nil, &registry.FieldError{Field: "place", ZH: "不能为空", EN: "must not be empty"}
	}
	scope, err := s.db.Scope(ctx, f.Place)
	if err != nil {
		return nil, err
	}
	found, err := s.due(ctx, scope, f)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	ids := make([]uuid.UUID, len(found))
	for i, row := range found {
		ids[i] = row.ID
	}
	var rows []applicationRow
	if err := s.db.Read(ctx).Where("id IN ?", ids).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list a queue: %w", err)
	}
	page := make([]Application, 0, len(rows))
	for _, id := range ids {
		// Who has moved on meanwhile is not shown.
		if i := slices.IndexFunc(rows, func(r applicationRow) bool { return r.ID == id && r.State == f.State }); i >= 0 {
			page = append(page, rows[i].domain())
		}
	}
	return page, nil
}
