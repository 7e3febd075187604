package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reindexing moves the digests by which values are found to another version of
// the key INDEX (换盲索引密钥), while the platform serves:
//
//  1. The version becomes known: everybody looks under both.
//  2. When all have heard of it, it becomes the one that is written. That moves
//     the heads of all audit chains: a transaction that began before ends
//     nowhere and is run again.
//  3. The digests that stand are computed anew, until a pass over all tables
//     finds none under the older version.
//  4. The older version is looked for no more.
//
// It may be stopped anywhere and goes on where it was. Before the second step it
// can be given up: a run to the version that is written takes the other one back.
type Reindexing struct {
	DB      *DB
	Actor   Actor
	Version int // to which
	Batch   int // most rows in a transaction; 0: 500
	Rate    int // most rows a second; 0: as fast as it goes
	// Settle is how long the version is known before it is written. Production
	// takes [IndexSettle].
	Settle time.Duration
	Report func(ReindexProgress)

	keys   indexKeys
	states map[string]*reindexRow
	done   ReindexProgress
	begun  time.Time
	first  int64
}

// ReindexProgress is how far a run has come, in rows of its pass.
type ReindexProgress struct {
	Table       string
	Pass        int64
	Seen, Total int64
	Changed     int64 // in all passes of this run
	Left        time.Duration
	Strange     []string // rows whose digests are of neither version: they stay
}

// ErrStrangeDigests: rows do not open, or have digests of neither version.
var ErrStrangeDigests = errors.New("有记录不能重算盲索引，旧密钥须保留 the digests of some rows cannot be computed anew, the old key has to stay")

const reindexBatch = 500

// reindexRow is a row of reindex_progress.
type reindexRow struct {
	Table     string    `gorm:"column:table_name"`
	Version   int       `gorm:"column:version"`
	Pass      int64     `gorm:"column:pass"`
	After     string    `gorm:"column:after"` // key of the last row seen, JSON; empty: none
	Done      bool      `gorm:"column:done"`
	Seen      int64     `gorm:"column:seen"`
	Changed   int64     `gorm:"column:changed"`
	Strange   int64     `gorm:"column:strange"`
	ChangedAt time.Time `gorm:"column:changed_at"`
}

// TableName implements gorm's schema.Tabler.
func (reindexRow) TableName() string { return "reindex_progress" }

// Do goes on from where an earlier run was stopped, to the end.
func (r *Reindexing) Do(ctx context.Context) (ReindexProgress, error) {
	r.Batch, r.begun = cmp.Or(r.Batch, reindexBatch), time.Now()
	for {
		keys, err := settledIndexes(r.DB.Read(ctx))
		if err != nil {
			return r.done, err
		}
		r.keys = keys
		switch {
		case keys == indexKeys{write: r.Version}:
			return r.done, nil
		case keys.also == 0 && r.Version > keys.write:
			err = r.announce(ctx)
		case keys.also == r.Version && keys.write < r.Version:
			if err = Pause(ctx, r.Settle); err == nil {
				err = r.turn(ctx)
			}
		case keys.write == r.Version:
			if err = r.passes(ctx); err == nil {
				err = r.become(ctx, indexKeys{write: r.Version}, "keys.reindexed", r.detail())
			}
		default:
			return r.done, fmt.Errorf("%w: %s", ErrReindexing, keys)
		}
		if errors.Is(err, errSettingMoved) {
			err = nil // a run that was stopped, or another one, has come so far: look again
		}
		if err := errors.Join(ctx.Err(), err); err != nil {
			return r.done, err
		}
	}
}

// errSettingMoved: the setting is no longer what was read.
var errSettingMoved = fmt.Errorf("%w: settings.%s", ErrConflict, indexSetting)

// announce makes the version known, once the Vault has it.
func (r *Reindexing) announce(ctx context.Context) error {
	if err := r.DB.checkVersion(ctx, r.Version); err != nil {
		return err
	}
	return r.become(ctx, indexKeys{write: r.keys.write, also: r.Version}, "keys.index.known", r.detail())
}

// turn makes the version the one that is written. The setting comes first: the
// first entry of a place goes by it.
func (r *Reindexing) turn(ctx context.Context) error {
	err := r.DB.InTx(ctx, r.Actor, func(tx *Tx) error {
		next := indexKeys{write: r.Version, also: r.keys.write}
		if err := tx.setIndexes(r.keys, next); err != nil {
			return err
		}
		if err := tx.gorm.Exec("UPDATE audit_heads SET index_version = ?", r.Version).Error; err != nil {
			return err
		}
		for _, table := range passingIndexes {
			if err := tx.gorm.Exec("DELETE FROM " + table).Error; err != nil {
				return err
			}
		}
		tx.indexes = next
		return tx.Audit("keys.index.written", "key:INDEX", r.detail())
	})
	r.DB.indexes.forget()
	return err
}

func (r *Reindexing) become(ctx context.Context, next indexKeys, action string, detail map[string]string) error {
	err := r.DB.InTx(ctx, r.Actor, func(tx *Tx) error {
		if err := tx.setIndexes(r.keys, next); err != nil {
			return err
		}
		return tx.Audit(action, "key:INDEX", detail)
	})
	r.DB.indexes.forget()
	return err
}

// setIndexes changes the setting, if it is still what the caller has seen.
func (tx *Tx) setIndexes(from, to indexKeys) error {
	set := tx.gorm.Model(&settingRow{}).Where("name = ? AND value = ?", indexSetting, from.String()).
		Updates(map[string]any{"value": to.String(), "changed_at": tx.now})
	if set.Error == nil && set.RowsAffected == 0 {
		return errSettingMoved
	}
	return set.Error
}

func (r *Reindexing) detail() map[string]string {
	return map[string]string{"version": strconv.Itoa(r.Version), "changed": strconv.FormatInt(r.done.Changed, 10)}
}

// passes goes through all tables until a pass finds nothing to change.
func (r *Reindexing) passes(ctx context.Context) error {
	for {
		if err := r.load(ctx); err != nil {
			return err
		}
		var changed, strange int64
		for _, t := range digestTables {
			if err := r.table(ctx, t); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			changed, strange = changed+r.states[t.name].Changed, strange+r.states[t.name].Strange
		}
		if changed == 0 && strange == 0 {
			return nil
		}
		if err := r.again(ctx); err != nil {
			return err
		}
		if changed == 0 {
			return fmt.Errorf("%w: %d: %s", ErrStrangeDigests, strange, strings.Join(r.done.Strange, "; "))
		}
	}
}

// load finds where the tables are in the present pass.
func (r *Reindexing) load(ctx context.Context) error {
	var rows []*reindexRow
	if err := r.DB.Read(ctx).Where("version = ?", r.Version).Find(&rows).Error; err != nil {
		return err
	}
	r.states = map[string]*reindexRow{}
	r.done.Pass, r.done.Seen, r.done.Total, r.done.Strange = 1, 0, 0, nil
	for _, row := range rows {
		r.states[row.Table] = row
		r.done.Pass = max(r.done.Pass, row.Pass)
	}
	for _, t := range digestTables {
		var count int64
		if err := r.DB.Read(ctx).Table(t.name).Count(&count).Error; err != nil {
			return err
		}
		r.done.Total += count
		if state := r.states[t.name]; state == nil || state.Pass < r.done.Pass {
			r.states[t.name] = &reindexRow{Table: t.name, Version: r.Version, Pass: r.done.Pass}
		}
		r.done.Seen += r.states[t.name].Seen
	}
	r.begun, r.first = time.Now(), r.done.Seen
	return nil
}

// again begins another pass.
func (r *Reindexing) again(ctx context.Context) error {
	return r.DB.InTx(ctx, r.Actor, func(tx *Tx) error {
		for _, t := range digestTables {
			next := &reindexRow{Table: t.name, Version: r.Version, Pass: r.done.Pass + 1}
			if err := next.save(tx); err != nil {
				return err
			}
		}
		return tx.Audit("keys.reindex.pass", "key:INDEX", r.detail())
	})
}

// save writes it down in the transaction of the rows it counts.
func (p *reindexRow) save(tx *Tx) error {
	p.ChangedAt = tx.now
	if err := tx.gorm.Where("table_name = ?", p.Table).Delete(&reindexRow{}).Error; err != nil {
		return err
	}
	return tx.gorm.Create(p).Error
}

// table goes through a table from where it was left.
func (r *Reindexing) table(ctx context.Context, t digestTable) error {
	state := r.states[t.name]
	for !state.Done {
		began := time.Now()
		after, err := Position(state.After)
		if err != nil {
			return err
		}
		rows, err := t.read(ctx, r.DB, after, r.Batch)
		if err != nil {
			return err
		}
		if err := t.compute(ctx, r.DB, r.keys, rows); err != nil {
			return err
		}
		if state, err = r.batch(ctx, t, *state, rows); err != nil {
			return err
		}
		r.states[t.name] = state
		r.report(t.name)
		if r.Rate > 0 {
			err = Pause(ctx, time.Duration(len(rows))*time.Second/time.Duration(r.Rate)-time.Since(began))
		}
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// batch writes rows anew, with the place to which the run has come.
func (r *Reindexing) batch(ctx context.Context, t digestTable, before reindexRow, rows []digestRow) (*reindexRow, error) {
	next := before
	var strange []string
	last := len(rows) < r.Batch
	if !last && !slices.ContainsFunc(rows, t.differs) { // nothing to write
		var err error
		next.Seen += int64(len(rows))
		next.After, err = Cursor(rows[len(rows)-1].key)
		r.done.Seen += int64(len(rows))
		return &next, err
	}
	err := r.DB.InTx(context.WithoutCancel(ctx), r.Actor, func(tx *Tx) (err error) {
		next, strange = before, nil
		if tx.indexes != r.keys {
			tx.db.indexes.forget()
			return errIndexChanged
		}
		if err := t.apart(tx); err != nil {
			return err
		}
		for _, row := range rows {
			done, err := t.rewrite(tx, row)
			if err != nil {
				return err
			}
			next.Changed += done.changed
			if done.strange != "" {
				next.Strange++
				strange = append(strange, fmt.Sprintf("%s %v: %s", t.name, t.shown(row), done.strange))
			}
		}
		next.Seen, next.Done = next.Seen+int64(len(rows)), last
		if len(rows) > 0 {
			if next.After, err = Cursor(rows[len(rows)-1].key); err != nil {
				return err
			}
		}
		if err := next.save(tx); err != nil {
			return err
		}
		return tx.Audit("keys.reindex", "table:"+t.name, map[string]string{"version": strconv.Itoa(r.Version), "pass": strconv.FormatInt(next.Pass, 10),
			"rows": strconv.Itoa(len(rows)), "changed": strconv.FormatInt(next.Changed-before.Changed, 10)})
	})
	if err != nil {
		return nil, err
	}
	r.done.Seen, r.done.Changed = r.done.Seen+int64(len(rows)), r.done.Changed+next.Changed-before.Changed
	if room := maxStrange - len(r.done.Strange); room > 0 {
		r.done.Strange = append(r.done.Strange, strange[:min(room, len(strange))]...)
	}
	return &next, nil
}

// maxStrange bounds the rows that are named.
const maxStrange = 20

// shown is the key of a row without bytes.
func (t digestTable) shown(row digestRow) []string {
	parts := make([]string, len(row.key))
	for i, value := range row.key {
		if digest, ok := value.([]byte); ok {
			parts[i] = fmt.Sprintf("%x", digest)
			continue
		}
		parts[i] = fmt.Sprint(value)
	}
	return parts
}

func (r *Reindexing) report(table string) {
	if r.Report == nil {
		return
	}
	r.done.Table, r.done.Left = table, Left(r.begun, r.done.Seen-r.first, r.done.Total-r.done.Seen)
	r.Report(r.done)
}
