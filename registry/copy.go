package registry

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"gorm.io/gorm"
)

// bulk is a number of new rows of one table on their way into the database:
// on PostgreSQL the binary form of COPY, written as it is sent, elsewhere
// ordinary INSERTs.
type bulk struct {
	table   string
	columns []string
	count   int
	copied  bytes.Buffer // COPY … BINARY, without the trailer
	values  [][]any      // for INSERT; nil when copied
	copying bool
}

// The head of the binary form (PostgreSQL manual, COPY, Binary Format).
var copySignature = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")

// newBulk makes an empty bulk for the database's own way.
func (e *engine) newBulk(table, columns string) *bulk {
	b := &bulk{table: table, columns: strings.Fields(columns), copying: e.dialect == goose.DialectPostgres}
	if b.copying {
		b.copied.Write(copySignature)
	}
	return b
}

// add appends a row: a value for each column, of the types string, *string,
// []byte, uuid.UUID, time.Time, int64 and bool. nil and an empty pointer or
// slice are NULL.
func (b *bulk) add(values ...any) error {
	if len(values) != len(b.columns) {
		return fmt.Errorf("registry: %s: %d values for %d columns", b.table, len(values), len(b.columns))
	}
	b.count++
	if !b.copying {
		b.values = append(b.values, values)
		return nil
	}
	var word [8]byte
	binary.BigEndian.PutUint16(word[:2], uint16(len(values)))
	b.copied.Write(word[:2])
	for i, value := range values {
		if err := b.field(value); err != nil {
			return fmt.Errorf("registry: %s.%s: %w", b.table, b.columns[i], err)
		}
	}
	return nil
}

// copyEpoch is the instant from which PostgreSQL counts.
var copyEpoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

func (b *bulk) field(value any) error {
	switch v := value.(type) {
	case nil:
		b.length(-1)
	case string:
		b.length(len(v))
		b.copied.WriteString(v)
	case *string:
		if v == nil {
			b.length(-1)
			return nil
		}
		b.length(len(*v))
		b.copied.WriteString(*v)
	case []byte:
		if v == nil {
			b.length(-1)
			return nil
		}
		b.length(len(v))
		b.copied.Write(v)
	case uuid.UUID:
		b.length(len(v))
		b.copied.Write(v[:])
	case time.Time:
		b.number(v.Sub(copyEpoch).Microseconds())
	case int64:
		b.number(v)
	case bool:
		b.length(1)
		if v {
			b.copied.WriteByte(1)
		} else {
			b.copied.WriteByte(0)
		}
	default:
		return fmt.Errorf("a %T cannot be copied", value)
	}
	return nil
}

func (b *bulk) length(n int) {
	var word [4]byte
	binary.BigEndian.PutUint32(word[:], uint32(int32(n)))
	b.copied.Write(word[:])
}

func (b *bulk) number(n int64) {
	var word [12]byte
	binary.BigEndian.PutUint32(word[:4], 8)
	binary.BigEndian.PutUint64(word[4:], uint64(n))
	b.copied.Write(word[:])
}

// insertVariables bounds the variables of one INSERT: the driver of SQLite looks
// each of them up among all.
const insertVariables = 400

// write puts the rows into the database, inside the transaction.
func (b *bulk) write(tx *Tx) error {
	if b.count == 0 {
		return nil
	}
	if !b.copying {
		return b.insert(tx.gorm)
	}
	b.copied.Write([]byte{0xff, 0xff})
	statement := fmt.Sprintf("COPY %s (%s) FROM STDIN BINARY", b.table, strings.Join(b.columns, ", "))
	err := tx.conn.raw(func(conn *pgx.Conn) error {
		_, err := conn.PgConn().CopyFrom(tx.ctx, &b.copied, statement)
		return err
	})
	return translate(err)
}

func (b *bulk) insert(tx *gorm.DB) error {
	row := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(b.columns)), ", ") + ")"
	for batch := max(1, insertVariables/len(b.columns)); len(b.values) > 0; {
		n := min(batch, len(b.values))
		statement := fmt.Sprintf("INSERT INTO %s (%s) VALUES %s", b.table, strings.Join(b.columns, ", "),
			strings.TrimSuffix(strings.Repeat(row+", ", n), ", "))
		var values []any
		for _, row := range b.values[:n] {
			values = append(values, row...)
		}
		if err := tx.Exec(statement, values...).Error; err != nil {
			return err
		}
		b.values = b.values[n:]
	}
	return nil
}
