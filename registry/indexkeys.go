package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// indexKeys says under which versions of the key INDEX digests stand (盲索引密钥
// 的版本). A digest does not tell its version: the database says it for all of
// them.
type indexKeys struct {
	write int // digests are written under it
	also  int // some may stand under it besides; 0: none
}

// firstIndex is the version of the purposes whose digests stay ([restingIndexes]).
const firstIndex = 1

// movingIndexes are the purposes whose digests go to a new version of the key,
// for each of them can be computed anew from the sealed value beside it.
var movingIndexes = []string{
	columnIDNumber, columnName, columnSound, columnInitials, columnPhone, columnHousehold, columnOtherNumber, columnOldCard, columnAccount,
}

// RestingIndexes are the digests that stay under the first version of the key,
// by where they stand, with the reason: they stand in the way of destroying it.
var RestingIndexes = map[string]string{
	"attachments.content_index":    "照片摘要，申领复核摘要由它算出 part of the digest of what was reviewed",
	"applications.photo_index":     "照片摘要 of a photograph",
	"applications.holder_index":    "复核时的信息，此后可能已变 of data as they were reviewed, which nobody keeps",
	"bank_statement_rows.item_key": "对账项名 names of items of reconciliations",
	"bank_items.item_key":          "对账项名，对方独有的账号不另存 names of items of reconciliations; of an account that only the bank knows nothing else is kept",
	"duplicate_cases.told_index":   "外部系统所报姓名 of a name that was told",
	"idempotency.request":          "原请求不保存 the request is not kept",
	"sign_in_failures.login_index": "登录名不保存 the login is not kept",
	"chip_sessions.asked":          "应答不保存 the answers are not kept",
	"ministry_copies.digest":       "所报内容不保存 what was told is not kept",
	"card_receipts.receipt":        "已签名，只用于核验 signed, for verification",
	"audit_heads.proof":            "只用于核验 for verification",
	"audit_entries.subject":        "外省卡的编号，不得改写 names of unknown cards, written for ever",
}

// passingIndexes are tables with digests that stand while something is compared:
// the rows go when another version is written, and are made again.
var passingIndexes = []string{"bank_statement_rows"}

// under is the version for a purpose.
func (k indexKeys) under(purpose string) int {
	if slices.Contains(movingIndexes, purpose) {
		return k.write
	}
	return firstIndex
}

// older is the other version under which a purpose's digests may stand; 0: none.
func (k indexKeys) older(purpose string) int {
	if slices.Contains(movingIndexes, purpose) {
		return k.also
	}
	return 0
}

// String is the form of the setting.
func (k indexKeys) String() string {
	if k.also == 0 {
		return strconv.Itoa(k.write)
	}
	return fmt.Sprintf("%d+%d", k.write, k.also)
}

func parseIndexKeys(text string) (indexKeys, error) {
	var k indexKeys
	var err error
	write, also, both := strings.Cut(text, "+")
	if k.write, err = strconv.Atoi(write); err == nil && both {
		k.also, err = strconv.Atoi(also)
	}
	if err != nil || k.write < 1 || k.String() != text {
		return k, fmt.Errorf("%w: settings.%s", ErrDatabase, indexSetting)
	}
	return k, nil
}

const (
	indexSetting = "index-versions"
	// indexLease is for how long what was read of the setting is believed outside
	// transactions, transactionLease inside: there the head of the audit chain
	// tells whether it was right.
	indexLease       = 2 * time.Second
	transactionLease = time.Minute
	// indexPatience is how old it may be when an answer that rests on it comes.
	indexPatience = 10 * time.Second
	// IndexSettle is how long a version has to have been known before digests are
	// written under it: longer than anybody looks without it.
	IndexSettle = 15 * time.Second
)

// readIndexes is what was read of the setting, and before which instant.
type readIndexes struct {
	indexKeys
	at time.Time
}

// knownIndexes is what this process believes of the setting.
type knownIndexes struct {
	reading sync.Mutex
	last    atomic.Pointer[readIndexes]
}

// forget has the setting read before it is used again.
func (k *knownIndexes) forget() { k.last.Store(nil) }

// presentIndexes returns the versions as they were at most so long ago: one small
// question in that time, whatever is asked besides.
func (db *DB) presentIndexes(ctx context.Context, ago time.Duration) (*readIndexes, error) {
	fresh := func() *readIndexes {
		if last := db.indexes.last.Load(); last != nil && time.Since(last.at) < ago {
			return last
		}
		return nil
	}
	if last := fresh(); last != nil {
		return last, nil
	}
	db.indexes.reading.Lock()
	defer db.indexes.reading.Unlock()
	if last := fresh(); last != nil {
		return last, nil
	}
	read := readIndexes{at: time.Now()}
	var err error
	if read.indexKeys, err = settledIndexes(db.Read(ctx)); err != nil {
		return nil, err
	}
	db.indexes.last.Store(&read)
	return &read, nil
}

// settledIndexes reads the setting.
func settledIndexes(query *gorm.DB) (indexKeys, error) {
	var row settingRow
	if err := query.Where("name = ?", indexSetting).Take(&row).Error; err != nil {
		return indexKeys{}, fmt.Errorf("registry: settings.%s: %w", indexSetting, err)
	}
	return parseIndexKeys(row.Value)
}

// heldKey marks the context of work that keeps to versions it was given; its
// value is an indexKeys.
type heldKey struct{}

// indexesOf returns the versions for work with this context: a transaction keeps
// to those with which it began.
func (db *DB) indexesOf(ctx context.Context) (indexKeys, error) {
	if held, ok := ctx.Value(heldKey{}).(indexKeys); ok {
		return held, nil
	}
	if tx, inside := ctx.Value(insideKey{}).(*Tx); inside && tx.db == db {
		return tx.indexes, nil
	}
	present, err := db.presentIndexes(ctx, indexLease)
	if err != nil {
		return indexKeys{}, err
	}
	return present.indexKeys, nil
}

// steady looks for something outside a transaction. An answer that comes when
// the versions may have changed since the question is not believed.
func (db *DB) steady(ctx context.Context, look func(ctx context.Context) error) error {
	for range maxAttempts {
		present, err := db.presentIndexes(ctx, indexLease)
		if err != nil {
			return err
		}
		err = look(context.WithValue(ctx, heldKey{}, present.indexKeys))
		if err != nil || time.Since(present.at) < indexPatience {
			return err
		}
	}
	return ErrBusy
}

// believed is the error of a transaction that began under these versions, unless
// they have changed since: what it did not find may stand under another one.
func (db *DB) believed(ctx context.Context, began *readIndexes, err error) error {
	if time.Since(began.at) < indexPatience {
		return err
	}
	present, unknown := db.presentIndexes(ctx, indexLease)
	if unknown == nil && present.write != began.write {
		return errIndexChanged
	}
	return err
}

// errIndexChanged: the transaction began under another version. It is run again.
var errIndexChanged = fmt.Errorf("%w: 盲索引密钥正在更换 the key of blind indexes changes", ErrBusy)

// underVersion refuses what was written under another version than the one that
// holds, to be run again under that.
func (tx *Tx) underVersion(version int) error {
	if version == tx.indexes.write {
		return nil
	}
	tx.db.indexes.forget()
	return errIndexChanged
}

// sharing holds a row as it is until the transaction ends. SQLite leaves it out.
var sharing = clause.Locking{Strength: clause.LockingStrengthShare}

// underSetting is underVersion by the setting itself, which stays as it is until
// the transaction ends.
func (tx *Tx) underSetting() error {
	keys, err := settledIndexes(tx.gorm.Clauses(sharing))
	if err != nil {
		return err
	}
	return tx.underVersion(keys.write)
}

// Digests returns the digests of a value under which rows of a column may stand,
// the one that is written first: one, or two while the key of blind indexes
// changes. Whoever writes one that must be unique looks for the others first.
func (tx *Tx) Digests(column string, value []byte, length int) ([][]byte, error) {
	return tx.db.digests(tx.ctx, column, string(value), length)
}

// DigestsAll is [Tx.Digests] for many values, in one call to the Vault: the digests
// that are written, and the others, nil while no key changes.
func (tx *Tx) DigestsAll(column string, values [][]byte, length int) (written, older [][]byte, err error) {
	written = make([][]byte, len(values))
	work := newSealing(0, len(values))
	work.both = true
	for i, value := range values {
		work.index(column, string(value), length, &written[i])
	}
	err = work.run(tx.ctx, tx.db)
	return written, work.older, err
}

// IndexNames returns digests that never change with the key, by which things are
// named for ever, for one column of many values.
func (db *DB) IndexNames(ctx context.Context, column string, values [][]byte) ([][]byte, error) {
	return db.IndexAll(context.WithValue(ctx, heldKey{}, indexKeys{write: firstIndex}), column, values)
}

// SettledIndexes returns a mark of the version of digests, for work that compares
// those of many rows; ErrReindexing while there are two.
func (db *DB) SettledIndexes(ctx context.Context) (string, error) {
	present, err := db.presentIndexes(ctx, indexLease)
	if err == nil && present.also != 0 {
		err = ErrReindexing
	}
	if err != nil {
		return "", err
	}
	return present.String(), nil
}

// StillSettled refuses to go on with such work when digests are written under
// another version than at its mark.
func (tx *Tx) StillSettled(mark string) error {
	if marked, err := parseIndexKeys(mark); err != nil || marked.write != tx.indexes.write {
		return cmp.Or(err, ErrReindexing)
	}
	return nil
}

// digests returns the digests of a value under which rows may stand, the one that
// is written first.
func (db *DB) digests(ctx context.Context, purpose, value string, length int) ([][]byte, error) {
	var digest []byte
	work := newSealing(0, 1)
	work.both = true
	work.index(purpose, value, length, &digest)
	if err := work.run(ctx, db); err != nil {
		return nil, err
	}
	return append([][]byte{digest}, work.olders()...), nil
}

// older returns the digest of a value under the older version; none while no key
// changes.
func (tx *Tx) older(purpose, value string, length int) ([][]byte, error) {
	if tx.indexes.also == 0 {
		return nil, nil
	}
	digests, err := tx.db.digests(tx.ctx, purpose, value, length)
	if err != nil {
		return nil, err
	}
	return digests[1:], nil
}

// free refuses a digest of a value that stands in a table under the older version
// already: there is no constraint across two versions. The column's own
// constraint then refuses what stands, or comes to stand, under the new one; rows
// go from the older to the new only, and nobody writes the older any more.
func (tx *Tx) free(table, constraint string, older [][]byte, where string, args ...any) error {
	if len(older) == 0 {
		return nil
	}
	var found []int
	if err := tx.gorm.Table(table).Select("1").Where(where, append([]any{older}, args...)...).Limit(1).Scan(&found).Error; err != nil {
		return err
	}
	if len(found) > 0 {
		return &Error{Kind: ErrDuplicate, Table: table, Constraint: constraint, also: gorm.ErrDuplicatedKey}
	}
	return nil
}
