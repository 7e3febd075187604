package registry

import (
	"context"
	"database/sql"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"onecard/registry/audit"
)

// auditPage is how many entries are asked for at once, so that no statement
// takes long.
const auditPage = 20_000

const (
	selectEntries = "SELECT seq, at, operator, workstation, place, action, subject, detail, prev_hash, hash FROM audit_entries WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT $3"
	selectHead    = "SELECT seq, hash, proof FROM audit_heads WHERE chain = $1"
	// selectChains steps from chain to chain along the primary key: however many
	// entries there are, it reads one of each.
	selectChains = `WITH RECURSIVE c(chain) AS (
		SELECT (SELECT min(chain) FROM audit_entries)
		UNION ALL SELECT (SELECT min(chain) FROM audit_entries WHERE chain > c.chain) FROM c WHERE c.chain IS NOT NULL
	) SELECT chain FROM c WHERE chain IS NOT NULL UNION SELECT chain FROM audit_heads`
)

// snapshot reads rows as they are on the wire: all of it at one instant, and
// without holding up changes.
type snapshot interface {
	// rows calls take with the values of each row, which it must not keep.
	rows(ctx context.Context, query string, args []any, take func(values [][]byte) error) error
	number(value []byte) (int64, bool)
	micros(value []byte) (int64, bool)
}

func (db *DB) inSnapshot(ctx context.Context, read func(snapshot) error) error {
	conn, err := db.engine.read.Conn(ctx)
	if err != nil {
		return translate(err)
	}
	defer conn.Close()
	if db.engine.dialect != goose.DialectPostgres {
		tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return translate(err)
		}
		defer func() { _ = tx.Rollback() }() // only read
		return read(sqliteSnapshot{tx})
	}
	return conn.Raw(func(driver any) error {
		tx, err := driver.(*stdlib.Conn).Conn().BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return translate(err)
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // only read
		return read(postgresSnapshot{tx})
	})
}

type postgresSnapshot struct{ tx pgx.Tx }

func (s postgresSnapshot) rows(ctx context.Context, query string, args []any, take func(values [][]byte) error) error {
	rows, err := s.tx.Query(ctx, query, args...)
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows.RawValues()); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

func (postgresSnapshot) number(value []byte) (int64, bool) {
	if len(value) != 8 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(value)), true
}

func (s postgresSnapshot) micros(value []byte) (int64, bool) {
	since, ok := s.number(value)
	return since + copyEpoch.UnixMicro(), ok
}

type sqliteSnapshot struct{ tx *sql.Tx }

func (s sqliteSnapshot) rows(ctx context.Context, query string, args []any, take func(values [][]byte) error) error {
	rows, err := s.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = rows.Close() }() // only read
	columns, err := rows.Columns()
	if err != nil {
		return translate(err)
	}
	raw, into, values := make([]sql.RawBytes, len(columns)), make([]any, len(columns)), make([][]byte, len(columns))
	for i := range raw {
		into[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return translate(err)
		}
		for i, value := range raw {
			values[i] = value
		}
		if err := take(values); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

func (sqliteSnapshot) number(value []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil
}

func (sqliteSnapshot) micros(value []byte) (int64, bool) {
	at, err := time.Parse(time.RFC3339Nano, string(value))
	return at.UnixMicro(), err == nil
}

// auditChains returns the places that have a chain, or a head.
func (db *DB) auditChains(ctx context.Context) (chains []string, err error) {
	err = db.inSnapshot(ctx, func(s snapshot) error {
		return s.rows(ctx, selectChains, nil, func(values [][]byte) error {
			chains = append(chains, string(values[0]))
			return nil
		})
	})
	slices.Sort(chains)
	return chains, err
}

// readHead returns the head of a chain, nil when it has none.
func readHead(ctx context.Context, s snapshot, chain string) (head *auditHead, err error) {
	err = s.rows(ctx, selectHead, []any{chain}, func(values [][]byte) error {
		seq, _ := s.number(values[0]) // 0 is no number of an entry
		head = &auditHead{Chain: chain, Seq: seq, Hash: slices.Clone(values[1]), Proof: slices.Clone(values[2])}
		return nil
	})
	return head, err
}

// readEntries gives out the entries of a chain after a number, in order. take
// must not keep them. An instant that is none is given as 0: its hash differs.
func readEntries(ctx context.Context, s snapshot, chain string, after int64, take func(*audit.Entry) error) error {
	entry := audit.Entry{Chain: []byte(chain)}
	if after == 0 {
		after = math.MinInt64 // also what should not be there
	}
	for {
		read := 0
		err := s.rows(ctx, selectEntries, []any{chain, after, auditPage}, func(values [][]byte) error {
			read++
			entry.Seq, _ = s.number(values[0])
			entry.At, _ = s.micros(values[1])
			entry.Operator, entry.Workstation, entry.Place, entry.Action = values[2], values[3], values[4], values[5]
			entry.Subject, entry.Detail, entry.PrevHash, entry.Hash = values[6], values[7], values[8], values[9]
			after = entry.Seq
			return take(&entry)
		})
		if err != nil || read < auditPage {
			return err
		}
	}
}
