package registry

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	gosqlite "github.com/glebarez/go-sqlite"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"onecard/internal/gb"
)

// What can go wrong, to be matched by errors.Is. The texts are for people:
// Chinese first, English second.
var (
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("没有找到 not found")
	// ErrDuplicate: a unique constraint refuses a second row.
	ErrDuplicate = errors.New("已经存在 exists already")
	// ErrConflict: another constraint, or the state of a row, refuses the change.
	ErrConflict = errors.New("与现有数据冲突 conflicts with what is recorded")
	// ErrInvalid: a value is not of the form asked for; the text names the field.
	ErrInvalid = errors.New("内容不符合要求 not of the form asked for")
	// ErrBusy: locks or serialisation conflicts, after all repetitions.
	ErrBusy = errors.New("系统繁忙，请稍后重试 too busy, try again")
	// ErrDatabaseGone: no connection to the database, or its file is out of reach.
	ErrDatabaseGone = errors.New("数据库连接中断，请稍后重试 the database cannot be reached, try again later")
	// ErrOutcomeUnknown: the connection broke, or the caller gave up, while COMMIT
	// was on its way with the last statements. The change may have happened: repeat
	// it with the same idempotency key, or look.
	ErrOutcomeUnknown = errors.New("提交结果未知，请用同一请求重试 the outcome of the commit is unknown, repeat the same request")
	// ErrDatabaseFull: no space left for the database.
	ErrDatabaseFull = errors.New("数据库空间已满 the database has no space left")
	// ErrDatabase: anything else that the database refused; the code tells.
	ErrDatabase = errors.New("数据库错误 database error")
	// ErrNoAudit: a transaction without an audit record was refused.
	ErrNoAudit = errors.New("缺少审计记录，更改未保存 no audit record, nothing was changed")
	// ErrKeyReused: the idempotency key was used for another request.
	ErrKeyReused = errors.New("幂等键已用于另一请求 the idempotency key belongs to another request")
	// ErrReindexing: not while the key of blind indexes changes.
	ErrReindexing = errors.New("正在更换盲索引密钥，完成后再做 the key of blind indexes is being changed, do it afterwards")
	// ErrWrongVault: the Vault's keys are not those that the database was made with.
	ErrWrongVault = errors.New("密钥与数据库不符 the keys do not belong to this database")
)

// FieldError says which field is not of the form asked for. It never holds the
// value. It is ErrInvalid.
type FieldError struct {
	Field string // as in the exported struct, in lower camel case
	ZH    string // what is expected
	EN    string
}

func (e *FieldError) Error() string { return e.Field + "：" + e.ZH + " / " + e.EN }

// Unwrap returns ErrInvalid.
func (e *FieldError) Unwrap() error { return ErrInvalid }

// invalid makes the error of a field from what the code's own package says.
func invalid(field string, err error) error {
	var format *gb.FormatError
	if errors.As(err, &format) {
		return &FieldError{Field: field, ZH: format.ZH(), EN: format.EN()}
	}
	return &FieldError{Field: field, ZH: "格式不对", EN: "wrong form"}
}

// Error is what a database refused: a kind (one of the sentinels), its code
// (SQLSTATE, or SQLite's extended result code) and the names involved. It holds
// no value and not the database's own message, which may repeat values.
type Error struct {
	Kind       error
	Code       string // such as "23505"
	Table      string // if told
	Constraint string // constraint on PostgreSQL, constraint or columns on SQLite; if told

	also error // gorm's sentinel or the context's error, for errors.Is
}

func (e *Error) Error() string {
	var names []string
	for _, name := range []string{e.Code, e.Table, e.Constraint} {
		if name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return e.Kind.Error()
	}
	return e.Kind.Error() + " (" + strings.Join(names, " ") + ")"
}

// Unwrap lets errors.Is match the kind and gorm's sentinel for it.
func (e *Error) Unwrap() []error {
	if e.also == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.also}
}

// translate gives an error of gorm, pgx or SQLite its meaning. It is applied by
// gorm to every error (see dialect.go) and by this package to those that do
// not pass through gorm. Errors it does not know pass unchanged.
func translate(err error) error {
	var (
		known    *Error
		postgres *pgconn.PgError
		sqlite   *gosqlite.Error
	)
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return &Error{Kind: ErrNotFound, also: gorm.ErrRecordNotFound}
	case errors.As(err, &postgres):
		return fromPostgres(postgres)
	case errors.As(err, &sqlite):
		return fromSQLite(sqlite)
	case unreachable(err):
		return &Error{Kind: ErrDatabaseGone, also: contextError(err)}
	case contextError(err) != nil:
		return contextError(err)
	default:
		return err
	}
}

func contextError(err error) error {
	for _, candidate := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, candidate) {
			return candidate
		}
	}
	return nil
}

// unreachable recognises what a lost or refused connection looks like in
// pgx and database/sql.
func unreachable(err error) bool {
	var (
		connect *pgconn.ConnectError
		network *net.OpError
	)
	if errors.Is(err, context.Canceled) {
		return false // the caller gave up; the database may be well
	}
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed)
}

// postgresKinds maps SQLSTATE, or its class of two characters, to the kind and
// to gorm's own sentinel (PostgreSQL documentation, appendix A).
var postgresKinds = map[string]struct{ kind, also error }{
	"23505": {ErrDuplicate, gorm.ErrDuplicatedKey},
	"23503": {ErrConflict, gorm.ErrForeignKeyViolated},
	"23514": {ErrConflict, gorm.ErrCheckConstraintViolated},
	"23":    {ErrConflict, nil},     // integrity constraint violation
	"40":    {ErrBusy, nil},         // serialization failure, deadlock
	"55P03": {ErrBusy, nil},         // lock not available in lock_timeout
	"53100": {ErrDatabaseFull, nil}, // disk full
	"53300": {ErrBusy, nil},         // too many connections
	"57014": {ErrBusy, nil},         // statement_timeout
	"57P01": {ErrDatabaseGone, nil}, // admin shutdown
	"57P02": {ErrDatabaseGone, nil}, // crash shutdown
	"57P03": {ErrDatabaseGone, nil}, // cannot connect now
	"57P05": {ErrDatabaseGone, nil}, // idle session timeout
	"25P03": {ErrDatabaseGone, nil}, // idle in transaction timeout
	"08":    {ErrDatabaseGone, nil}, // connection exception
	"25006": {ErrDatabase, nil},     // write on the read pool
	"28":    {ErrDatabaseGone, nil}, // sign-in of the program refused
	"3D000": {ErrDatabaseGone, nil}, // no such database
}

func fromPostgres(err *pgconn.PgError) error {
	meaning, ok := postgresKinds[err.Code]
	if !ok && len(err.Code) == 5 {
		meaning, ok = postgresKinds[err.Code[:2]]
	}
	if !ok {
		meaning.kind = ErrDatabase
	}
	return &Error{Kind: meaning.kind, Code: err.Code, Table: err.TableName, Constraint: err.ConstraintName, also: meaning.also}
}
