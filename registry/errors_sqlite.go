package registry

import (
	"strconv"
	"strings"

	gosqlite "github.com/glebarez/go-sqlite"
	"gorm.io/gorm"
)

// Result codes of SQLite (https://www.sqlite.org/rescode.html). The low byte is
// the primary code.
const (
	sqliteBusy     = 5
	sqliteLocked   = 6
	sqliteIOError  = 10
	sqliteCorrupt  = 11
	sqliteFull     = 13
	sqliteCantOpen = 14
	sqliteConflict = 19
	sqliteNotADB   = 26

	sqliteInterrupt  = 9
	sqliteCheck      = sqliteConflict | 1<<8
	sqliteForeignKey = sqliteConflict | 3<<8
	sqlitePrimaryKey = sqliteConflict | 6<<8
	sqliteUnique     = sqliteConflict | 8<<8
	sqliteRowID      = sqliteConflict | 10<<8
)

func fromSQLite(err *gosqlite.Error) error {
	translated := &Error{Kind: ErrDatabase, Code: "SQLITE " + strconv.Itoa(err.Code())}
	switch err.Code() {
	case sqliteUnique, sqlitePrimaryKey, sqliteRowID:
		translated.Kind, translated.also = ErrDuplicate, gorm.ErrDuplicatedKey
	case sqliteForeignKey:
		translated.Kind, translated.also = ErrConflict, gorm.ErrForeignKeyViolated
	case sqliteCheck:
		translated.Kind, translated.also = ErrConflict, gorm.ErrCheckConstraintViolated
	default:
		switch err.Code() & 0xff {
		case sqliteBusy, sqliteLocked, sqliteInterrupt:
			translated.Kind = ErrBusy
		case sqliteFull:
			translated.Kind = ErrDatabaseFull
		case sqliteIOError, sqliteCantOpen, sqliteCorrupt, sqliteNotADB:
			translated.Kind = ErrDatabaseGone
		case sqliteConflict:
			translated.Kind = ErrConflict
		}
	}
	// "constraint failed: UNIQUE constraint failed: persons.id_number_index (2067)":
	// names of columns or of the constraint, never values.
	if err.Code()&0xff == sqliteConflict {
		_, names, _ := strings.Cut(err.Error(), " constraint failed: ")
		names, _, _ = strings.Cut(names, " (")
		translated.Constraint = names
	}
	return translated
}
