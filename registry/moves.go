package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

// Moves says which values a column may begin with and which may follow which
// (状态转移约束). It is made from the table of a workflow, so that the database
// refuses what the table does not have, whoever writes.
type Moves struct {
	Table, Column string
	Initial       []string
	Pairs         [][2]string // from, to
	Refusals      []Refusal
}

// Refusal is a write to the table that the database refuses besides.
type Refusal struct {
	Write string // INSERT, or UPDATE OF columns
	When  string // a condition on NEW and OLD, in words of both databases
	Text  string
}

// HoldMoves puts moves into the database as triggers. What is right already is
// left alone.
func (db *DB) HoldMoves(ctx context.Context, all ...Moves) error {
	e := db.engine
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
	for _, m := range all {
		prefix := "moves_" + m.Table + "_"
		names, err := e.triggers(ctx, tx, m.Table, prefix)
		if err != nil {
			return fmt.Errorf("registry: moves of %s: %w", m.Table, err)
		}
		made := m.triggers(e.dialect)
		digest := sha256.Sum256([]byte(strings.Join(made, "\n")))
		mark := prefix + hex.EncodeToString(digest[:8])
		if slices.Contains(names, mark) {
			continue
		}
		var statements []string
		for _, name := range names {
			statements = append(statements, e.dropTrigger(m.Table, name))
		}
		for _, statement := range made {
			statements = append(statements, strings.ReplaceAll(statement, "$MARK", mark))
		}
		for _, statement := range statements {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("registry: moves of %s: %w", m.Table, translate(err))
			}
		}
	}
	return translate(tx.Commit())
}

// triggers returns the statements that make the triggers; $MARK stands for the
// name, which tells whether they are those of this table.
func (m Moves) triggers(dialect goose.Dialect) []string {
	quoted := func(values []string) string { return "'" + strings.Join(values, "', '") + "'" }
	pairs := make([]string, len(m.Pairs))
	for i, p := range m.Pairs {
		pairs[i] = p[0] + ">" + p[1]
	}
	slices.Sort(pairs)
	begins := fmt.Sprintf("NEW.%s NOT IN (%s)", m.Column, quoted(m.Initial))
	moves := fmt.Sprintf("NEW.%[1]s <> OLD.%[1]s AND OLD.%[1]s || '>' || NEW.%[1]s NOT IN (%[2]s)", m.Column, quoted(slices.Compact(pairs)))
	if dialect != goose.DialectPostgres {
		statements := []string{
			fmt.Sprintf("CREATE TRIGGER $MARK BEFORE INSERT ON %[1]s WHEN %[2]s BEGIN SELECT RAISE(ABORT, '%[1]s: not a state to begin with'); END", m.Table, begins),
			fmt.Sprintf("CREATE TRIGGER $MARK_moved BEFORE UPDATE OF %[3]s ON %[1]s WHEN %[2]s BEGIN SELECT RAISE(ABORT, '%[1]s: no such move'); END", m.Table, moves, m.Column),
		}
		for i, r := range m.Refusals {
			statements = append(statements, fmt.Sprintf("CREATE TRIGGER $MARK_refusal%[1]d BEFORE %[2]s ON %[3]s WHEN %[4]s BEGIN SELECT RAISE(ABORT, '%[3]s: %[5]s'); END", i, r.Write, m.Table, r.When, r.Text))
		}
		return statements
	}
	statements := []string{
		fmt.Sprintf(`CREATE OR REPLACE FUNCTION move_%[1]s() RETURNS trigger AS $body$
BEGIN
	RAISE EXCEPTION '%[1]s: no such move' USING ERRCODE = 'restrict_violation', TABLE = '%[1]s';
END
$body$ LANGUAGE plpgsql`, m.Table),
		fmt.Sprintf("CREATE TRIGGER $MARK BEFORE INSERT ON %[1]s FOR EACH ROW WHEN (%[2]s) EXECUTE FUNCTION move_%[1]s()", m.Table, begins),
		fmt.Sprintf("CREATE TRIGGER $MARK_moved BEFORE UPDATE OF %[3]s ON %[1]s FOR EACH ROW WHEN (%[2]s) EXECUTE FUNCTION move_%[1]s()", m.Table, moves, m.Column),
	}
	for i, r := range m.Refusals {
		// The condition of a trigger looks at no other table here, a function's does.
		statements = append(statements, fmt.Sprintf(`CREATE OR REPLACE FUNCTION refuse_%[3]s_%[1]d() RETURNS trigger AS $body$
BEGIN
	IF %[4]s THEN
		RAISE EXCEPTION '%[3]s: %[5]s' USING ERRCODE = 'restrict_violation', TABLE = '%[3]s';
	END IF;
	RETURN NEW;
END
$body$ LANGUAGE plpgsql`, i, r.Write, m.Table, r.When, r.Text),
			fmt.Sprintf("CREATE TRIGGER $MARK_refusal%[1]d BEFORE %[2]s ON %[3]s FOR EACH ROW EXECUTE FUNCTION refuse_%[3]s_%[1]d()", i, r.Write, m.Table))
	}
	return statements
}
