package ministry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/registry"
)

// Differences is what a comparison of the ministry's copies with ours found.
type Differences struct {
	Compared int
	Missing  int      // accepted, and the ministry does not have them
	Older    int      // the ministry has an older version or another status
	Foreign  []string // card numbers that the ministry has of us and we have not
}

// oursRow is a card as the ministry should have it.
type oursRow struct {
	ID       uuid.UUID `gorm:"column:id"`
	Number   string    `gorm:"column:number"`
	Status   string    `gorm:"column:status"`
	Ministry string    `gorm:"column:ministry_state"`
	Version  *int64    `gorm:"column:copy_version"`
}

// Compare compares the ministry's copies with ours, all of them, by card number.
// What differs is stale and due to be sent again.
func (s *Service) Compare(ctx context.Context) (found Differences, err error) {
	for after := ""; ; {
		var ours []oursRow
		err := s.DB.Read(ctx).Table("cards").Joins("LEFT JOIN ministry_copies m ON m.card_id = cards.id").Where("cards.number > ?", after).
			Select("cards.id, cards.number, cards.status, cards.ministry_state, m.version AS copy_version").Order("cards.number").Limit(page).Find(&ours).Error
		if err != nil {
			return found, err
		}
		until := "" // the last page has no end: what the ministry has beyond is foreign
		if len(ours) == page {
			until = ours[page-1].Number
		}
		theirs, err := s.list(ctx, after, until)
		if err != nil {
			return found, err
		}
		if err := s.comparePage(ctx, ours, theirs, &found); err != nil {
			return found, err
		}
		if until == "" {
			return found, s.report(ctx, "compare", s.day(), found)
		}
		after = until
	}
}

// list asks what the ministry has of us after one card number, up to another.
func (s *Service) list(ctx context.Context, after, until string) (map[string]copied, error) {
	items, err := s.Line.Schema.encode("list", map[string]string{"after": after, "until": until})
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, limitOfOne)
	defer cancel()
	r, err := s.Line.send(limited, "list", uuid.New(), items, nil)
	if err != nil {
		return nil, err
	}
	if s.Line.Schema.Answers[r.Code] != "accept" {
		return nil, fmt.Errorf("%w: list: %s", ErrNoAnswer, r.Code)
	}
	theirs := make(map[string]copied, len(r.Cards))
	for _, c := range r.Cards {
		theirs[c.Card] = c
	}
	return theirs, nil
}

func (s *Service) comparePage(ctx context.Context, ours []oursRow, theirs map[string]copied, found *Differences) error {
	var stale []oursRow
	for _, our := range ours {
		their, has := theirs[our.Number]
		delete(theirs, our.Number)
		if our.Ministry != Accepted { // due already, or for a person to look at
			continue
		}
		found.Compared++
		switch {
		case !has:
			found.Missing++
		case our.Version == nil || their.Version != *our.Version || their.Status != s.theirStatus(our.Status):
			found.Older++
		default:
			continue
		}
		stale = append(stale, our)
	}
	for number := range theirs {
		found.Foreign = append(found.Foreign, number)
	}
	slices.Sort(found.Foreign)
	if len(stale) == 0 {
		return nil
	}
	return s.DB.InTx(ctx, s.us(), func(tx *registry.Tx) error {
		for _, our := range stale {
			if err := s.markStale(tx, our); err != nil {
				return err
			}
		}
		return tx.Audit("ministry.differs", "ministry", map[string]string{"cards": strconv.Itoa(len(stale))})
	})
}

// markStale makes a copy stale, unless it was told anew meanwhile. What the
// ministry does not have or has otherwise is registered anew.
func (s *Service) markStale(tx *registry.Tx, our oursRow) error {
	var card cardRow
	if err := tx.ForUpdate().Where("id = ?", our.ID).Take(&card).Error; err != nil || card.Ministry != Accepted {
		return err
	}
	if err := move(tx, card, eventDiffer, "日核对不一致 differs from the ministry's copy"); err != nil {
		return err
	}
	return tx.DB().Model(&copyRow{}).Where("card_id = ? AND version = ?", our.ID, deref(our.Version)).
		Updates(map[string]any{"known": false, "digest": make([]byte, 16)}).Error
}

func deref(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func (s *Service) theirStatus(status string) string { return s.Line.Schema.Tables["statuses"][status] }

func (s *Service) day() string { return s.DB.Now().In(gb.Beijing).Format(time.DateOnly) }

// reportRow is a row of ministry_reports.
type reportRow struct {
	Kind   string    `gorm:"column:kind;primaryKey"`
	Period string    `gorm:"column:period;primaryKey"`
	At     time.Time `gorm:"column:at"`
	Counts string    `gorm:"column:counts"`
}

// TableName implements gorm's schema.Tabler.
func (reportRow) TableName() string { return "ministry_reports" }

// Done says whether the regular work of a period has been done.
func (s *Service) Done(ctx context.Context, kind, period string) (bool, error) {
	var n int64
	err := s.DB.Read(ctx).Model(&reportRow{}).Where("kind = ? AND period = ?", kind, period).Count(&n).Error
	return n > 0, err
}

// report keeps that the regular work of a period was done; done again it takes
// the place of what was kept before.
func (s *Service) report(ctx context.Context, kind, period string, counts any) error {
	text, err := json.Marshal(counts)
	if err != nil {
		return err
	}
	return s.DB.InTx(ctx, s.us(), func(tx *registry.Tx) error {
		row := reportRow{kind, period, tx.Now(), string(text)}
		err := tx.DB().Where("kind = ? AND period = ?", kind, period).Delete(&reportRow{}).Error
		if err := errors.Join(err, tx.DB().Create(&row).Error); err != nil {
			return err
		}
		return tx.Audit("ministry."+kind, "ministry:"+period, nil)
	})
}

// Fact is a de-identified count of cards (决策库).
type Fact struct {
	Place, Status, Specification string
	Cards                        int64
}

// Statistics sends the counts of a month (YYYY-MM), as the decision store has
// them: nothing of them tells of a single person.
func (s *Service) Statistics(ctx context.Context, month string, facts []Fact) error {
	if _, err := time.Parse("2006-01", month); err != nil {
		return &registry.FieldError{Field: "month", ZH: "应为 YYYY-MM", EN: "YYYY-MM"}
	}
	if len(facts) == 0 {
		return &registry.FieldError{Field: "month", ZH: "决策库没有该月末的快照", EN: "the decision store has no facts of the end of the month"}
	}
	rows := make([]map[string]string, len(facts))
	for i, f := range facts {
		var err error
		rows[i], err = s.Line.Schema.encode("statistics", map[string]string{
			"period": month, "place": f.Place, "status": f.Status, "specification": f.Specification, "cards": strconv.FormatInt(f.Cards, 10),
		})
		if err != nil {
			return err
		}
	}
	// The same counts are the same message.
	var content strings.Builder
	for _, f := range facts {
		fmt.Fprintf(&content, "%+v\n", f)
	}
	id := uuid.NewSHA1(messages, []byte(month+"\n"+content.String()))
	limited, cancel := context.WithTimeout(ctx, limitOfOne)
	defer cancel()
	r, err := s.Line.send(limited, "statistics", id, nil, rows)
	if err != nil {
		return err
	}
	if s.Line.Schema.Answers[r.Code] != "accept" {
		return fmt.Errorf("%w: statistics: %s %s", ErrNoAnswer, r.Code, words(r))
	}
	return s.report(ctx, "statistics", month, map[string]int{"rows": len(rows)})
}
