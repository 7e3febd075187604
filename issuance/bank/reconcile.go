package bank

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
	"onecard/registry"
)

// Totals are the sums of a day, of either side (总额).
type Totals struct {
	Accounts   map[string]int64 `json:"accounts"` // by state
	Charges    int64            `json:"charges"`
	ChargedFen int64            `json:"chargedFen"`
	Refunds    int64            `json:"refunds"`
	RefundFen  int64            `json:"refundFen"`
}

// Day is a reconciled day of a bank (对账日). It is frozen: nothing is booked into
// it any more.
type Day struct {
	Bank, Day    string
	Ours, Theirs Totals
	Agreed       int64 // both have it, and the same
	OnlyOurs     int64
	OnlyBank     int64
	Differing    int64 // both have it, differently
	FrozenAt     time.Time
}

type dayRow struct {
	Bank     string    `gorm:"column:bank;primaryKey"`
	Day      string    `gorm:"column:day;primaryKey"`
	FileID   uuid.UUID `gorm:"column:file_id"`
	Ours     string    `gorm:"column:ours"`
	Theirs   string    `gorm:"column:theirs"`
	Agreed   int64     `gorm:"column:agreed"`
	OnlyOurs int64     `gorm:"column:only_ours"`
	OnlyBank int64     `gorm:"column:only_bank"`
	Differ   int64     `gorm:"column:differing"`
	FrozenAt time.Time `gorm:"column:frozen_at"`
}

// TableName implements gorm's schema.Tabler.
func (dayRow) TableName() string { return "bank_days" }

func (r dayRow) domain() (*Day, error) {
	d := &Day{Bank: r.Bank, Day: r.Day, Agreed: r.Agreed, OnlyOurs: r.OnlyOurs, OnlyBank: r.OnlyBank, Differing: r.Differ, FrozenAt: r.FrozenAt}
	return d, errors.Join(json.Unmarshal([]byte(r.Ours), &d.Ours), json.Unmarshal([]byte(r.Theirs), &d.Theirs))
}

// ErrDay: a statement comes out of its turn.
var ErrDay = errors.New("对账日期不对：须在已对账日期之后，且不晚于今日 the day must follow those that are reconciled and not be to come")

// takeStatement takes in the bank's rows of a day and reconciles.
func (s *Service) takeStatement(ctx context.Context, file *os.File, p Peer, t tail) (Taken, error) {
	f, err := s.enterFile(ctx, p, t, filepath.Base(file.Name()))
	if err != nil {
		return Taken{}, err
	}
	if f.State == "taken" {
		return s.reconciled(ctx, f, true)
	}
	on, err := time.Parse(time.DateOnly, t.Batch)
	if err != nil || t.Batch > gb.DayOf(s.db.Now()).String() {
		return Taken{}, ErrDay
	}
	mark, err := s.db.SettledIndexes(ctx)
	if err != nil {
		return Taken{}, err
	}
	if err := s.loadStatement(ctx, file, p, f, mark); err != nil {
		return Taken{}, err
	}
	if err := s.reconcile(ctx, p, f, on, mark); err != nil {
		return Taken{}, err
	}
	f.Done = f.Rows
	return s.reconciled(ctx, f, false)
}

func (s *Service) reconciled(ctx context.Context, f fileRow, again bool) (Taken, error) {
	var row dayRow
	if err := s.db.Read(ctx).Where("bank = ? AND day = ?", f.Bank, f.Batch).Take(&row).Error; err != nil {
		return Taken{}, err
	}
	taken := f.taken(again)
	var err error
	taken.Day, err = row.domain()
	return taken, err
}

// reconcile compares a day with the bank's statement and freezes it, in one
// transaction. Digests are compared: while their key changes it is refused.
func (s *Service) reconcile(ctx context.Context, p Peer, f fileRow, on time.Time, mark string) error {
	return s.changes.InTx(ctx, s.system(), func(tx *registry.Tx) error {
		if err := tx.StillSettled(mark); err != nil {
			return err
		}
		if err := lockBooks(tx, p.Code); err != nil {
			return err
		}
		var later int64
		if err := tx.DB().Model(&dayRow{}).Where("bank = ? AND day >= ?", p.Code, f.Batch).Count(&later).Error; err != nil {
			return err
		}
		if later > 0 {
			return ErrDay
		}
		c := &compared{tx: tx, db: s.db, bank: p.Code, day: f.Batch, end: endOf(on)}
		known, _ := s.banks.find(p.Code)
		c.codes = []string{known.Code, known.Institution}
		row, err := c.row(f)
		if err != nil {
			return err
		}
		if err := tx.DB().Create(&row).Error; err != nil {
			return err
		}
		if err := tx.DB().Where("bank = ? AND day = ?", p.Code, f.Batch).Delete(&statementRow{}).Error; err != nil {
			return err
		}
		err = tx.DB().Model(&fileRow{}).Where("id = ?", f.ID).Updates(map[string]any{"state": "taken", "done_rows": f.Rows, "ended_at": tx.Now()}).Error
		if err != nil {
			return err
		}
		return tx.Audit("bank.day.frozen", "bank-day:"+p.Code+"/"+f.Batch, map[string]string{"agreed": strconv.FormatInt(row.Agreed, 10),
			"onlyOurs": strconv.FormatInt(row.OnlyOurs, 10), "onlyBank": strconv.FormatInt(row.OnlyBank, 10), "differing": strconv.FormatInt(row.Differ, 10)})
	})
}

// endOf is the instant at which a day is over.
func endOf(on time.Time) time.Time {
	return time.Date(on.Year(), on.Month(), on.Day()+1, 0, 0, 0, 0, gb.Beijing).UTC()
}

// compared is the comparison of a day.
type compared struct {
	tx        *registry.Tx
	db        *registry.DB
	bank, day string
	codes     []string // under which accounts of the bank may be on record
	end       time.Time
	found     []Item
}

func (c *compared) row(f fileRow) (row dayRow, err error) {
	if err := c.tx.PlanAnew(); err != nil {
		return row, err
	}
	ours, theirs, err := c.totals()
	if err != nil {
		return row, err
	}
	if err := errors.Join(c.accounts(), c.fees()); err != nil {
		return row, err
	}
	if err := c.keep(); err != nil {
		return row, err
	}
	row = dayRow{Bank: c.bank, Day: c.day, FileID: f.ID, FrozenAt: c.tx.Now()}
	for _, item := range c.found {
		switch item.Class {
		case ClassOurs:
			row.OnlyOurs++
		case ClassBank:
			row.OnlyBank++
		default:
			row.Differ++
		}
	}
	row.Agreed = max(f.Rows-row.OnlyBank-row.Differ, 0)
	first, err := json.Marshal(ours)
	if err != nil {
		return row, err
	}
	second, err := json.Marshal(theirs)
	row.Ours, row.Theirs = string(first), string(second)
	return row, err
}

// standing is the accounts as they stood when the day was over: from the rows
// of now and those of the history.
const standing = `(SELECT id, account_index, state FROM bank_accounts WHERE bank IN @codes AND changed_at < @end
	UNION ALL SELECT id, account_index, state FROM bank_accounts_history WHERE bank IN @codes AND changed_at < @end AND replaced_at >= @end)`

func (c *compared) query(sql string) *gorm.DB {
	return c.tx.DB().Raw(sql, map[string]any{"bank": c.bank, "day": c.day, "codes": c.codes, "end": c.end})
}

func (c *compared) totals() (ours, theirs Totals, err error) {
	type sum struct {
		Said string
		N    int64
		Fen  int64
	}
	for sql, into := range map[string]*Totals{
		`SELECT state AS said, COUNT(*) AS n, 0 AS fen FROM ` + standing + ` a GROUP BY state
			UNION ALL SELECT operation, COUNT(*), SUM(amount_fen) FROM bank_orders WHERE bank = @bank AND business_day = @day AND state = 'done' GROUP BY operation`: &ours,
		`SELECT said, COUNT(*) AS n, 0 AS fen FROM bank_statement_rows WHERE bank = @bank AND day = @day GROUP BY said`: &theirs,
	} {
		into.Accounts = map[string]int64{}
		var sums []sum
		if err := c.query(sql).Scan(&sums).Error; err != nil {
			return ours, theirs, err
		}
		for _, x := range sums {
			operation, fen := x.Said, x.Fen
			var told int64
			if n, _ := fmt.Sscanf(x.Said, "%s %d", &operation, &told); n == 2 {
				fen = told * x.N
			}
			switch operation {
			case ChargeFee:
				into.Charges, into.ChargedFen = into.Charges+x.N, into.ChargedFen+fen
			case RefundFee:
				into.Refunds, into.RefundFen = into.Refunds+x.N, into.RefundFen+fen
			default:
				into.Accounts[operation] += x.N
			}
		}
	}
	return ours, theirs, nil
}

// pair is one thing as both sides have it; empty for who has it not.
type pair struct {
	Key          string
	Account      string // id of one of ours that is to be named
	Ours, Theirs string
}

func (c *compared) add(kind string, p pair) {
	class := ClassDiffer
	switch {
	case p.Theirs == "":
		class = ClassOurs
	case p.Ours == "":
		class = ClassBank
	}
	c.found = append(c.found, Item{Bank: c.bank, Day: c.day, Kind: kind, Class: class, Key: p.Key, Ours: p.Ours, Theirs: p.Theirs, Owner: owners(c.bank)[class]})
}

func (c *compared) collect(kind, sql string) error {
	var pairs []pair
	if err := c.query(sql).Scan(&pairs).Error; err != nil {
		return err
	}
	if err := c.name(pairs); err != nil {
		return err
	}
	for _, p := range pairs {
		c.add(kind, p)
	}
	return nil
}

// namesAtOnce bounds the accounts whose numbers are opened together.
const namesAtOnce = 1000

// name gives our accounts that the bank has not the names which the bank's rows
// would have.
func (c *compared) name(pairs []pair) error {
	for part := range slices.Chunk(pairs, namesAtOnce) {
		ids := make([]uuid.UUID, 0, len(part))
		for _, p := range part {
			if p.Account == "" {
				continue
			}
			id, err := uuid.Parse(p.Account)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		numbers, err := c.db.AccountNumbers(c.tx.Context(), ids)
		if err != nil {
			return err
		}
		plain := make([][]byte, len(ids))
		for i, id := range ids {
			plain[i] = []byte(numbers[id])
		}
		names, err := c.db.IndexNames(c.tx.Context(), columnAccount, plain)
		if err != nil {
			return err
		}
		n := 0
		for i := range part {
			if part[i].Account != "" {
				part[i].Key = hex.EncodeToString(names[n][:accountIndex])
				n++
			}
		}
	}
	return nil
}

// accounts: one that is closed on one side and unknown on the other is no
// difference.
func (c *compared) accounts() error {
	return errors.Join(
		c.collect("account", `SELECT s.item_key AS key, COALESCE(o.state, '') AS ours, s.said AS theirs FROM bank_statement_rows s
			LEFT JOIN `+standing+` o ON o.account_index = s.account_index
			WHERE s.bank = @bank AND s.day = @day AND s.kind = 'account' AND COALESCE(o.state, 'closed') <> s.said`),
		c.collect("account", `SELECT CAST(o.id AS TEXT) AS account, o.state AS ours, '' AS theirs FROM `+standing+` o
			LEFT JOIN bank_statement_rows s ON s.bank = @bank AND s.day = @day AND s.account_index = o.account_index
			WHERE s.item_key IS NULL AND o.state <> 'closed'`))
}

// fees: of this day, and those that stayed open on earlier days: what comes late
// on one side meets there what the other side had then.
func (c *compared) fees() error {
	const booked = `(SELECT CAST(id AS TEXT) AS item_key, operation || ' ' || CAST(amount_fen AS TEXT) AS said FROM bank_orders
		WHERE bank = @bank AND business_day = @day AND state = 'done')`
	var before []Item
	if err := c.tx.DB().Where("bank = ? AND kind = 'fee' AND state = ?", c.bank, ItemOpen).Find(&before).Error; err != nil {
		return err
	}
	from := len(c.found)
	err := errors.Join(
		c.collect("fee", `SELECT s.item_key AS key, COALESCE(o.said, '') AS ours, s.said AS theirs FROM bank_statement_rows s
			LEFT JOIN `+booked+` o ON o.item_key = s.item_key
			WHERE s.bank = @bank AND s.day = @day AND s.kind = 'fee' AND COALESCE(o.said, '') <> s.said`),
		c.collect("fee", `SELECT o.item_key AS key, o.said AS ours, '' AS theirs FROM `+booked+` o
			LEFT JOIN bank_statement_rows s ON s.bank = @bank AND s.day = @day AND s.kind = 'fee' AND s.item_key = o.item_key
			WHERE s.item_key IS NULL`))
	if err != nil {
		return err
	}
	fresh := c.found[from:]
	c.found = c.found[:from:from]
	for _, item := range fresh {
		i := slices.IndexFunc(before, func(b Item) bool { return b.Key == item.Key })
		if i < 0 {
			c.found = append(c.found, item)
			continue
		}
		met := before[i]
		if met.Ours == "" {
			met.Ours = item.Ours
		}
		if met.Theirs == "" {
			met.Theirs = item.Theirs
		}
		if met.Ours == met.Theirs {
			if err := settleItem(c.tx, met.ID, c.tx.Actor().Operator, c.day+" 对账相符"); err != nil {
				return err
			}
			continue
		}
		c.found = append(c.found, item)
	}
	return nil
}

// keep enters what was found as open items, and settles items of accounts that
// agree now.
func (c *compared) keep() error {
	var open []Item
	if err := c.tx.DB().Where("bank = ? AND kind = 'account' AND state = ?", c.bank, ItemOpen).Find(&open).Error; err != nil {
		return err
	}
	still := map[string]bool{}
	for _, item := range c.found {
		still[item.Kind+item.Key] = true
	}
	for _, item := range open {
		if !still["account"+item.Key] {
			if err := settleItem(c.tx, item.ID, c.tx.Actor().Operator, c.day+" 对账相符"); err != nil {
				return err
			}
		}
	}
	for i := range c.found {
		item := &c.found[i]
		var err error
		if item.ID, err = c.tx.NewID(); err != nil {
			return err
		}
		item.State, item.FoundAt = ItemOpen, c.tx.Now()
	}
	if len(c.found) == 0 {
		return nil
	}
	return c.tx.DB().Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(c.found, page).Error
}
