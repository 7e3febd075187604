package registry

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

// reindexLock is the advisory lock that keeps merges and the change of digests
// apart: a merge notes rows by their digests.
const reindexLock = 6300_0010

// keepIndexes keeps digests that are part of keys as they are until the
// transaction ends. SQLite has one writer at a time.
func (tx *Tx) keepIndexes() error { return tx.advise("pg_advisory_xact_lock_shared") }

func (tx *Tx) advise(lock string) error {
	if tx.db.engine.dialect != goose.DialectPostgres {
		return nil
	}
	return tx.gorm.Exec("SELECT "+lock+"(?)", reindexLock).Error
}

// reindexed says what became of a row.
type reindexed struct {
	changed int64
	strange string // digests that are not the row's under either version
}

// rewrite puts the digests under the new version in the place of those under the
// older one. What was changed since it was read was written under the new one.
// The digest of a household number that was never sealed (before 户号 was) cannot
// be computed and nothing looks for it: it goes.
func (t digestTable) rewrite(tx *Tx, row digestRow) (done reindexed, err error) {
	if row.unreadable != nil {
		return reindexed{strange: row.unreadable.Error()}, nil
	}
	var set, where []string
	var values, args []any
	for i, name := range t.key {
		where, args = append(where, name+" = ?"), append(args, row.key[i])
	}
	for i, c := range t.columns {
		switch {
		case row.have[i] == nil, bytes.Equal(row.have[i], row.fresh[i]):
			continue
		case row.fresh[i] == nil && c.purpose == columnHousehold:
			set = append(set, c.name+" = NULL")
		case row.fresh[i] == nil || !bytes.Equal(row.have[i], row.older[i]):
			return reindexed{strange: c.name}, nil
		default:
			set, values = append(set, c.name+" = ?"), append(values, row.fresh[i])
		}
		if !slices.Contains(t.key, c.name) {
			where, args = append(where, c.name+" = ?"), append(args, row.have[i])
		}
	}
	if len(set) == 0 {
		return done, nil
	}
	query := fmt.Sprintf("UPDATE %s SET %s WHERE %s", t.name, strings.Join(set, ", "), strings.Join(where, " AND "))
	written := tx.gorm.Exec(query, append(values, args...)...)
	if written.Error != nil || written.RowsAffected == 0 {
		return reindexed{changed: 1}, written.Error // another pass looks again
	}
	return reindexed{changed: 1}, t.follow(tx, row)
}

// differs tells whether a row is not as it should be under the new version.
func (t digestTable) differs(row digestRow) bool {
	for i := range t.columns {
		if row.have[i] != nil && !bytes.Equal(row.have[i], row.fresh[i]) {
			return true
		}
	}
	return row.unreadable != nil
}

// followed tells whether merges note the rows of the table by their digests.
func (t digestTable) followed() bool {
	return t.name == t.table && slices.Contains(t.key, t.columns[0].name)
}

// apart keeps merges waiting until the transaction ends.
func (t digestTable) apart(tx *Tx) error {
	if !t.followed() {
		return nil
	}
	return tx.advise("pg_advisory_xact_lock")
}

// follow gives the row its new name among what merges have moved.
func (t digestTable) follow(tx *Tx, row digestRow) error {
	if !t.followed() {
		return nil
	}
	at := slices.IndexFunc(follows, func(f following) bool { return f.table == t.name })
	f := follows[at]
	before, after := followingRow{}, followingRow{}
	for _, name := range f.key {
		before[name], after[name] = row.cells[name], row.cells[name]
	}
	after[t.columns[0].name] = row.fresh[0]
	return tx.gorm.Model(&moveRow{}).Where("row_key = ? AND kind = ?", f.keyOf(before), f.name()).Update("row_key", f.keyOf(after)).Error
}
