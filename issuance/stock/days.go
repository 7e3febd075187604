package stock

import (
	"fmt"
	"slices"

	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/registry"
)

// Bins of a place (分仓): good cards and waste lie and are counted apart.
const (
	Good  = "good"
	Waste = "waste"
)

// bins are the states of the cards that lie in a bin.
var bins = map[string][]string{Good: {StateStored, StateIssued}, Waste: {StateSpoiled}}

// Count is what two persons have counted in a place's bins.
type Count struct {
	Day   string // 2006-01-02, in Beijing
	Cards map[string]map[string]int64
	Owner string // who clears a difference; default who counts
	Note  string // about a difference
}

// Close closes the book of the operator's office to the end of a day (日结): what
// was there, came and went by the ledger, against what two persons have
// counted. A difference becomes an incident with an owner. A closed day takes
// nothing more.
func (s *Service) Close(tx *registry.Tx, h Hands, count Count) ([]Day, error) {
	at := h.By.Institution
	if err := h.may(rule{Roles: keepers, Needs: two}, at); err != nil {
		return nil, err
	}
	wanted, err := gb.ParseDate(count.Day)
	today := gb.DayOf(tx.Now())
	switch {
	case err != nil:
		return nil, &registry.FieldError{Field: "day", ZH: "应为日期 2026-03-02", EN: "a day such as 2026-03-02"}
	case today.Before(wanted):
		return nil, ErrDayAhead
	}
	b, err := alone(tx, at)
	if err != nil {
		return nil, err
	}
	last, err := lastDay(tx, at)
	if err != nil {
		return nil, err
	}
	if last >= count.Day {
		return nil, naming(ErrDayClosed, count.Day)
	}
	if wanted == today {
		if err := s.handedOver(tx, b, at); err != nil {
			return nil, err
		}
	}
	var days []Day
	for _, kind := range []string{Blank, Finished} {
		for _, bin := range []string{Good, Waste} {
			d, err := balance(tx.DB(), at, kind, bin, last, count.Day)
			if err != nil {
				return nil, err
			}
			d.Counted = count.Cards[kind][bin]
			d.Difference = d.Counted - d.Closing
			d.CountedBy, d.WitnessedBy, d.ClosedAt = h.By.Login, h.Witness.Login, tx.Now()
			days = append(days, d)
		}
	}
	if n := slices.IndexFunc(days, func(d Day) bool { return d.Counted < 0 }); n >= 0 {
		return nil, &registry.FieldError{Field: days[n].Kind + "." + days[n].Bin, ZH: "张数不能为负", EN: "a count is not negative"}
	}
	return days, writeDays(tx, days, count)
}

func writeDays(tx *registry.Tx, days []Day, count Count) error {
	if err := tx.DB().Create(&days).Error; err != nil {
		return fmt.Errorf("stock: day: %w", err)
	}
	for _, d := range days {
		if d.Difference == 0 {
			continue
		}
		i := Incident{Place: d.Place, Finding: findingDifference, Kind: &d.Kind, Document: "day:" + d.Place + ":" + d.Day, Owner: count.Owner}
		i.Note = fmt.Sprintf("%s %s/%s：账面 book %d，实点 counted %d。%s", d.Day, d.Kind, d.Bin, d.Closing, d.Counted, count.Note)
		if i.Owner == "" {
			i.Owner = d.CountedBy
		}
		if err := openIncident(tx, i); err != nil {
			return err
		}
	}
	return tx.Audit("stock.day-closed", "day:"+days[0].Place+":"+count.Day, map[string]string{"witness": days[0].WitnessedBy})
}

// handedOver writes into the ledger which finished cards of a place were handed
// to their holders since: the hand-over itself is a matter of the card's status.
func (s *Service) handedOver(tx *registry.Tx, b books, at string) error {
	var numbers []string
	err := tx.DB().Table("stock_cards").Joins("JOIN cards ON cards.number = stock_cards.number").
		Where("stock_cards.holder = ? AND stock_cards.state = ? AND cards.custody = 'holder'", at, StateStored).Pluck("stock_cards.number", &numbers).Error
	if err != nil {
		return fmt.Errorf("stock: cards: %w", err)
	}
	items, err := find(tx, Finished, numbers)
	if err != nil {
		return err
	}
	_, err = s.move(tx, b, items, change{event: eventHand, document: "hand-over:" + b[at]})
	return err
}

// balanceQuery sums up what came into a bin and what left it, and where to.
const balanceQuery = `WITH lines AS (
	SELECT to_place, to_state,
		CASE WHEN to_place = @place AND to_state IN @bin AND to_day > @after AND to_day <= @day THEN 1 ELSE 0 END AS came,
		CASE WHEN from_place = @place AND from_state IN @bin AND from_day > @after AND from_day <= @day THEN 1 ELSE 0 END AS went
	FROM stock_movements
	WHERE kind = @kind AND ((to_place = @place AND to_day > @after AND to_day <= @day) OR (from_place = @place AND from_day > @after AND from_day <= @day))
), apart AS (SELECT to_place, to_state, came, went FROM lines WHERE came <> went)
SELECT COALESCE(SUM(came), 0) AS received,
	COALESCE(SUM(CASE WHEN to_state = 'sent' OR to_state IN ('stored', 'issued') THEN went ELSE 0 END), 0) AS sent,
	COALESCE(SUM(CASE WHEN to_state IN ('used', 'handed') THEN went ELSE 0 END), 0) AS used,
	COALESCE(SUM(CASE WHEN to_state = 'spoiled' THEN went ELSE 0 END), 0) AS spoiled,
	COALESCE(SUM(CASE WHEN to_state = 'missing' THEN went ELSE 0 END), 0) AS missing,
	COALESCE(SUM(CASE WHEN to_state = 'destroyed' THEN went ELSE 0 END), 0) AS destroyed
FROM apart`

// balance makes the book of a bin after the last closed day ("" from the
// beginning) to the end of a day.
func balance(db *gorm.DB, at, kind, bin, last, until string) (Day, error) {
	d := Day{Place: at, Kind: kind, Bin: bin, Day: until}
	if last != "" {
		d.PrevDay = &last
		err := db.Model(&Day{}).Where("place = ? AND kind = ? AND bin = ? AND day = ?", at, kind, bin, last).Select("closing").Scan(&d.Opening).Error
		if err != nil {
			return d, fmt.Errorf("stock: opening: %w", err)
		}
	}
	var sums struct{ Received, Sent, Used, Spoiled, Missing, Destroyed int64 }
	err := db.Raw(balanceQuery, map[string]any{"place": at, "kind": kind, "bin": bins[bin], "after": last, "day": until}).Scan(&sums).Error
	if err != nil {
		return d, fmt.Errorf("stock: balance: %w", err)
	}
	d.Received, d.Sent, d.Used, d.Spoiled, d.Missing, d.Destroyed = sums.Received, sums.Sent, sums.Used, sums.Spoiled, sums.Missing, sums.Destroyed
	d.Closing = d.Opening + d.Received - d.Sent - d.Used - d.Spoiled - d.Missing - d.Destroyed
	return d, nil
}
