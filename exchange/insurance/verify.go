package insurance

import (
	"context"
	"errors"
	"fmt"
)

// ErrLedger means that the ledger does not add up; the error says where.
var ErrLedger = errors.New("insurance: the ledger does not add up")

// checks finds what does not add up: every query returns the first subject that
// differs, and nothing when all is well.
var checks = []struct{ what, query string }{
	{"all balances together are zero", `
		SELECT 'sum' FROM (SELECT SUM(balance_fen) AS fen FROM insurance_accounts) everything WHERE fen <> 0`},
	{"a balance is the sum of its transfers", `
		SELECT a.id FROM insurance_accounts a
		LEFT JOIN (SELECT id, SUM(fen) AS fen FROM (
			SELECT credit AS id, amount_fen AS fen FROM insurance_transfers
			UNION ALL SELECT debit, -amount_fen FROM insurance_transfers) moved GROUP BY id) t ON t.id = a.id
		WHERE a.balance_fen <> COALESCE(t.fen, 0) ORDER BY a.id LIMIT 1`},
	{"a settlement has moved what its parts say, a reversed or declined one nothing", `
		SELECT CAST(s.id AS TEXT) FROM insurance_settlements s
		LEFT JOIN (SELECT cause, SUM(CASE WHEN reverses IS NULL THEN amount_fen ELSE 0 END) AS made,
			SUM(CASE WHEN reverses IS NULL THEN 0 ELSE amount_fen END) AS undone
			FROM insurance_transfers GROUP BY cause) t ON t.cause = s.id
		WHERE COALESCE(t.made, 0) <> CASE WHEN s.state IN ('confirmed', 'reversed') THEN s.total_fen ELSE 0 END
			OR COALESCE(t.undone, 0) <> CASE WHEN s.state = 'reversed' THEN s.total_fen ELSE 0 END
		ORDER BY s.id LIMIT 1`},
	{"a person's year is the sum of the confirmed settlements", `
		SELECT CAST(person_id AS TEXT) FROM (
			SELECT person_id, year, kind, deductible_fen, fund_fen FROM insurance_accumulators
			UNION ALL SELECT person_id, year, kind, -deductible_fen, -fund_fen
			FROM insurance_settlements WHERE state = 'confirmed') both_sides
		GROUP BY person_id, year, kind HAVING SUM(deductible_fen) <> 0 OR SUM(fund_fen) <> 0
		ORDER BY person_id LIMIT 1`},
}

// Verify recomputes balances, settlements and years from the transfers and
// returns ErrLedger with the first that differs. It is for the night: it reads
// whole tables.
func (b *Backend) Verify(ctx context.Context) error {
	for _, check := range checks {
		var subjects []string
		if err := b.db.Read(ctx).Raw(check.query).Scan(&subjects).Error; err != nil {
			return fmt.Errorf("insurance: verify: %w", err)
		}
		if len(subjects) > 0 {
			return fmt.Errorf("%w: not so at %s: %s", ErrLedger, subjects[0], check.what)
		}
	}
	return nil
}
