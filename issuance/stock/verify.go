package stock

import (
	"context"
	"fmt"

	"gorm.io/gorm"
)

// Finding is something that is wrong with the books.
type Finding struct {
	Code     string // stable word
	Subject  string
	ZH, EN   string
	Affected int64
}

func (f Finding) String() string {
	return fmt.Sprintf("%s %s: %s %s (%d)", f.Code, f.Subject, f.ZH, f.EN, f.Affected)
}

// Verify holds the books against the table of the workflow and against each
// other: every movement has its line in the table, a card is where its last
// movement put it, all movements together move nothing out of the world, boxes
// and leases hold what the ledger says, closed days are what the ledger says.
func (s *Service) Verify(ctx context.Context) ([]Finding, error) {
	var found []Finding
	for _, check := range []func(*gorm.DB) ([]Finding, error){verifyRules, verifySums, verifyQueries, verifyDays} {
		more, err := check(s.db.Read(ctx))
		if err != nil {
			return nil, fmt.Errorf("stock: verify: %w", err)
		}
		found = append(found, more...)
	}
	return found, nil
}

// verifyRules looks for movements that no line of the table allows.
func verifyRules(db *gorm.DB) ([]Finding, error) {
	var lines []struct {
		Kind, Event, FromState, ToState string
		Moved                           bool
		N                               int64
	}
	err := db.Model(&Movement{}).Where("document <> 'migration'").
		Select("kind, event, from_state, to_state, from_place <> to_place AS moved, COUNT(*) AS n").
		Group("kind, event, from_state, to_state, from_place <> to_place").Find(&lines).Error
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, l := range lines {
		rule, ok := Machine(l.Kind).Rule(l.FromState, l.Event)
		travels := l.Event == eventReceive || l.Event == eventDamage || l.Event == eventFind
		if !ok || rule.To != l.ToState || l.Moved && !travels {
			found = append(found, Finding{"rule", l.Kind + " " + l.FromState + " → " + l.ToState, "流程表没有这种变动", "a movement that the table does not have: " + l.Event, l.N})
		}
	}
	return found, nil
}

// verifySums adds all movements up: what every place and state has by the
// ledger is what lies there by the heads, and all together is nothing, since
// what came from outside is missing there.
func verifySums(db *gorm.DB) ([]Finding, error) {
	var rows []struct {
		Kind, Place, State string
		Sum, Heads         int64
	}
	err := db.Raw(`SELECT kind, place, state, SUM(n) AS sum, SUM(heads) AS heads FROM (
		SELECT kind, to_place AS place, to_state AS state, 1 AS n, 0 AS heads FROM stock_movements
		UNION ALL SELECT kind, from_place, from_state, -1, 0 FROM stock_movements
		UNION ALL SELECT kind, holder, state, 0, 1 FROM blank_cards
		UNION ALL SELECT kind, holder, state, 0, 1 FROM stock_cards) entries
		GROUP BY kind, place, state`).Scan(&rows).Error
	if err != nil {
		return nil, err
	}
	var found []Finding
	var all int64
	for _, r := range rows {
		all += r.Sum
		if r.State != StateOutside && r.Sum != r.Heads || r.State == StateOutside && r.Sum > 0 {
			found = append(found, Finding{"sum", r.Kind + " " + r.Place + " " + r.State, "流水合计与实存不符", fmt.Sprintf("the ledger says %d, the cards say %d", r.Sum, r.Heads), r.Sum - r.Heads})
		}
	}
	if all != 0 {
		found = append(found, Finding{"zero", "all", "全部流水合计不为零", "all movements do not sum up to nothing", all})
	}
	return found, nil
}

// queries are the conditions that must find nothing.
var queries = []struct{ code, zh, en, query string }{
	{"head", "卡不在最后一次变动所到之处", "a card is not where its last movement put it",
		`SELECT COUNT(*) FROM (SELECT kind, item, MAX(seq) AS seq FROM stock_movements GROUP BY kind, item) m
		LEFT JOIN (SELECT kind, serial AS item, seq FROM blank_cards UNION ALL SELECT kind, number, seq FROM stock_cards) h
		ON h.kind = m.kind AND h.item = m.item WHERE h.seq IS NULL OR h.seq <> m.seq`},
	{"box", "箱内的卡不在箱所在之处", "a card in a box that is not where the box is",
		`SELECT COUNT(*) FROM stock_contents c JOIN stock_boxes b ON b.id = c.box
		LEFT JOIN (SELECT kind, serial AS item, holder, state FROM blank_cards UNION ALL SELECT kind, number, holder, state FROM stock_cards) h
		ON h.kind = c.kind AND h.item = c.item
		WHERE c.inside AND (h.item IS NULL OR h.holder <> b.place OR h.state <> CASE WHEN b.state = 'sent' THEN 'sent' ELSE 'stored' END)`},
	{"lease", "已交回的领用仍有卡", "a lease that was returned still has cards",
		`SELECT COUNT(*) FROM blank_cards c JOIN stock_leases l ON l.id = c.lease WHERE l.returned_at IS NOT NULL OR l.place <> c.holder`},
	{"way", "已签收的发运仍有箱在途", "a consignment was accepted and its boxes were not",
		`SELECT COUNT(*) FROM stock_loads l JOIN stock_consignments c ON c.id = l.consignment WHERE l.underway <> (c.state = 'sent')`},
	{"custody", "成品卡的保管单位与库存不符", "the record of a finished card says another custody",
		`SELECT COUNT(*) FROM stock_cards s JOIN cards c ON c.number = s.number
		WHERE (s.state = 'destroyed' AND c.custody <> 'destroyed') OR (s.state = 'handed' AND c.custody <> 'holder') OR (s.state IN ('ordered') AND c.custody <> 'maker')`},
	{"destruction", "销毁记录的张数与流水不符", "a record of destruction has another number of cards",
		`SELECT COUNT(*) FROM stock_destructions d WHERE d.cards <>
		(SELECT COUNT(*) FROM blank_cards b WHERE b.destruction = d.id) + (SELECT COUNT(*) FROM stock_cards k WHERE k.destruction = d.id)`},
}

func verifyQueries(db *gorm.DB) ([]Finding, error) {
	var found []Finding
	for _, q := range queries {
		var n int64
		if err := db.Raw(q.query).Scan(&n).Error; err != nil {
			return nil, err
		}
		if n > 0 {
			found = append(found, Finding{q.code, "", q.zh, q.en, n})
		}
	}
	return found, nil
}

// verifyDays computes every closed day anew.
func verifyDays(db *gorm.DB) ([]Finding, error) {
	var days []Day
	if err := db.Order("place, day").Find(&days).Error; err != nil {
		return nil, err
	}
	var found []Finding
	for _, d := range days {
		last := ""
		if d.PrevDay != nil {
			last = *d.PrevDay
		}
		again, err := balance(db, d.Place, d.Kind, d.Bin, last, d.Day)
		if err != nil {
			return nil, err
		}
		if again.Closing != d.Closing || again.Received != d.Received || again.Sent != d.Sent {
			found = append(found, Finding{"day", d.Place + " " + d.Day + " " + d.Kind, "日结与流水不符", "a closed day is not what the ledger says", again.Closing - d.Closing})
		}
	}
	return found, nil
}
