package registry

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

// kept lists the tables whose rows are kept as they stood (历史版本), with their
// keys. Each has the columns version, changed_at, changed_by, changed_on and
// change_reason: who made the row what it is, when, at which workstation and
// why. Every change counts version up; the database itself then puts the row as
// it was into <table>_history, with the instant at which it was replaced. It refuses a
// change that does not count, and it refuses to delete.
//
// Columns that end in _sealed or _index may change without a version: a change
// of keys writes the same value anew. once is a column that is written once and
// for all: the history has no second copy of it.
var kept = []struct{ table, key, once string }{
	{table: "persons", key: "id"},
	{table: "person_numbers", key: "number_index, system"},
	{table: "insured", key: "person_id, kind, place"},
	{table: "bank_accounts", key: "id"},
	{table: "addresses", key: "id"},
	{table: "guardians", key: "ward_id, relation"},
	{table: "person_groups", key: "person_id, label"},
	{table: "old_cards", key: "pool, number_index"},
	{table: "attachments", key: "id", once: "content_sealed"},
	{table: "peer_names", key: "person_id, peer"},
	{table: "institutions", key: "id"},
	{table: "blank_cards", key: "serial"},
	{table: "cards", key: "id"},
}

// column is a column as the database's own catalogue has it.
type column struct{ name, kind string }

// historyLock is the advisory lock under which one of several starting
// instances makes the history tables.
const historyLock = 6300_0009

// keepHistory makes the history tables and triggers of the tables in kept what
// the tables' columns ask for. What is right already is left alone.
func (e *engine) keepHistory(ctx context.Context) error {
	tx, err := e.write.BeginTx(ctx, nil)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	if e.dialect == goose.DialectPostgres {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", historyLock); err != nil {
			return translate(err)
		}
	}
	for _, table := range kept {
		if err := e.keepTable(ctx, tx, table.table, table.key, table.once); err != nil {
			return fmt.Errorf("%s: %w", table.table, err)
		}
	}
	return translate(tx.Commit())
}

func (e *engine) keepTable(ctx context.Context, tx *sql.Tx, table, key, once string) error {
	columns, err := e.columns(ctx, tx, table)
	if err != nil {
		return err
	}
	columns = slices.DeleteFunc(columns, func(c column) bool { return c.name == once })
	past, err := e.columns(ctx, tx, table+"_history")
	if err != nil {
		return err
	}
	var statements []string
	if len(past) == 0 {
		statements = append(statements, createHistory(table, key, columns))
	} else {
		for _, c := range columns {
			if !slices.ContainsFunc(past, func(p column) bool { return p.name == c.name }) {
				statements = append(statements, fmt.Sprintf("ALTER TABLE %s_history ADD COLUMN %s %s", table, c.name, c.kind))
			}
		}
	}
	// How a person stood is looked for by the person.
	person := slices.ContainsFunc(columns, func(c column) bool { return c.name == "person_id" })
	if person && !strings.HasPrefix(key, "person_id") {
		name := table + "_history_person"
		if there, err := e.indexed(ctx, tx, name); err != nil {
			return err
		} else if !there {
			statements = append(statements, fmt.Sprintf("CREATE INDEX %s ON %s_history (person_id)", name, table))
		}
	}
	triggers := sqliteTriggers
	if e.dialect == goose.DialectPostgres {
		triggers = postgresTriggers
	}
	made := triggers(table, columns)
	// The triggers carry the digest of their own text in a name, so that a start
	// finds without locking anything that they are as they should be.
	digest := sha256.Sum256([]byte(strings.Join(made, "\n")))
	mark := "kept_" + table + "_" + hex.EncodeToString(digest[:8])
	names, err := e.triggers(ctx, tx, table, "kept_")
	if err != nil {
		return err
	}
	if !slices.Contains(names, mark) {
		for _, name := range names {
			statements = append(statements, e.dropTrigger(table, name))
		}
		for _, statement := range made {
			statements = append(statements, strings.ReplaceAll(statement, "$MARK", mark))
		}
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return translate(err)
		}
	}
	return nil
}

func createHistory(table, key string, columns []column) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s_history (", table)
	for _, c := range columns {
		fmt.Fprintf(&b, "%s %s, ", c.name, c.kind)
	}
	fmt.Fprintf(&b, "replaced_at TIMESTAMP NOT NULL, PRIMARY KEY (%s, version))", key)
	return b.String()
}

// each renders the columns by a pattern in which * stands for the name.
func each(columns []column, pattern, between string, wanted func(string) bool) string {
	var parts []string
	for _, c := range columns {
		if wanted(c.name) {
			parts = append(parts, strings.ReplaceAll(pattern, "*", c.name))
		}
	}
	return strings.Join(parts, between)
}

func every(string) bool { return true }

// counted says whether a change of this column must count as a version.
func counted(name string) bool {
	return !strings.HasSuffix(name, "_sealed") && !strings.HasSuffix(name, "_index") && name != "version"
}

func sqliteTriggers(table string, columns []column) []string {
	return []string{
		fmt.Sprintf(`CREATE TRIGGER $MARK AFTER UPDATE ON %[1]s WHEN NEW.version <> OLD.version
BEGIN INSERT INTO %[1]s_history (%[2]s, replaced_at) VALUES (%[3]s, NEW.changed_at); END`,
			table, each(columns, "*", ", ", every), each(columns, "OLD.*", ", ", every)),
		fmt.Sprintf(`CREATE TRIGGER $MARK_counted BEFORE UPDATE ON %[1]s
WHEN NEW.version < OLD.version OR (NEW.version = OLD.version AND (%[2]s))
BEGIN SELECT RAISE(ABORT, '%[1]s: version must count'); END`, table, each(columns, "NEW.* IS NOT OLD.*", " OR ", counted)),
		fmt.Sprintf(`CREATE TRIGGER $MARK_lasting BEFORE DELETE ON %[1]s
BEGIN SELECT RAISE(ABORT, '%[1]s: rows are never deleted'); END`, table),
	}
}

func postgresTriggers(table string, columns []column) []string {
	return []string{
		fmt.Sprintf(`CREATE OR REPLACE FUNCTION keep_%[1]s() RETURNS trigger AS $body$
BEGIN
	IF TG_OP = 'DELETE' THEN
		RAISE EXCEPTION '%[1]s: rows are never deleted' USING ERRCODE = 'restrict_violation', TABLE = '%[1]s';
	END IF;
	IF NEW.version > OLD.version THEN
		INSERT INTO %[1]s_history (%[2]s, replaced_at) VALUES (%[3]s, NEW.changed_at);
	ELSIF NEW.version < OLD.version OR (%[4]s) THEN
		RAISE EXCEPTION '%[1]s: version must count' USING ERRCODE = 'restrict_violation', TABLE = '%[1]s';
	END IF;
	RETURN NEW;
END
$body$ LANGUAGE plpgsql`, table, each(columns, "*", ", ", every), each(columns, "OLD.*", ", ", every),
			each(columns, "NEW.* IS DISTINCT FROM OLD.*", " OR ", counted)),
		fmt.Sprintf("CREATE TRIGGER $MARK AFTER UPDATE OR DELETE ON %[1]s FOR EACH ROW EXECUTE FUNCTION keep_%[1]s()", table),
	}
}

// columns returns the columns of a table in their order, none if there is no
// such table.
func (e *engine) columns(ctx context.Context, tx *sql.Tx, table string) ([]column, error) {
	query := "SELECT name, type FROM pragma_table_info(?) ORDER BY cid"
	if e.dialect == goose.DialectPostgres {
		query = `SELECT column_name, data_type FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`
	}
	rows, err := tx.QueryContext(ctx, query, table)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var columns []column
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.name, &c.kind); err != nil {
			return nil, translate(err)
		}
		columns = append(columns, c)
	}
	return columns, translate(rows.Err())
}

// triggers returns the names of our triggers on a table, which begin with prefix.
func (e *engine) triggers(ctx context.Context, tx *sql.Tx, table, prefix string) ([]string, error) {
	query := "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? AND substr(name, 1, length(?)) = ?"
	if e.dialect == goose.DialectPostgres {
		query = "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass($1) AND starts_with(tgname, $2) AND starts_with(tgname, $3)"
	}
	rows, err := tx.QueryContext(ctx, query, table, prefix, prefix)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, translate(err)
		}
		names = append(names, name)
	}
	return names, translate(rows.Err())
}

// indexed reports whether there is an index of this name.
func (e *engine) indexed(ctx context.Context, tx *sql.Tx, name string) (there bool, err error) {
	query := "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?)"
	if e.dialect == goose.DialectPostgres {
		query = "SELECT to_regclass($1) IS NOT NULL"
	}
	return there, translate(tx.QueryRowContext(ctx, query, name).Scan(&there))
}

func (e *engine) dropTrigger(table, name string) string {
	if e.dialect == goose.DialectPostgres {
		return "DROP TRIGGER " + name + " ON " + table
	}
	return "DROP TRIGGER " + name
}
