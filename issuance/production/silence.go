package production

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"onecard/issuance"
	"onecard/registry"
)

// Silence ends the waiting of batches for banks that say nothing (银行逾期未答复):
// after the days of the policy a row leaves its batch by itself, as if the bank
// had opened no account. It needs neither keys nor makers.
type Silence struct {
	DB *registry.DB
	// Withdraw has a bank's orders for the accounts of applications reversed
	// (冲正), those that were begun by an instant and have no end, and tells of
	// that through [Answers]. It returns how many they were.
	Withdraw func(tx *registry.Tx, bank string, applications []uuid.UUID, begunBy time.Time, reason string) (int, error)
	Policies Policies // default: those built in
	Logger   *slog.Logger
}

// silentRows is how many rows leave in one transaction: each has its order
// reversed.
const silentRows = 100

// errNoneSilent ends a transaction in which the bank has answered meanwhile.
var errNoneSilent = errors.New("production: answered meanwhile")

// Run looks for rows whose bank is silent until ctx ends.
func (s Silence) Run(ctx context.Context, pause time.Duration) {
	for ctx.Err() == nil {
		if _, err := s.Turn(ctx); err != nil && ctx.Err() == nil {
			s.Logger.ErrorContext(ctx, "银行逾期未答复的行未能退出批次 rows whose bank is silent could not leave their batches", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// Turn lets all rows leave that have waited too long, and returns how many that
// were. It may run anywhere, any number of times.
func (s Silence) Turn(ctx context.Context) (left int, err error) {
	policies := s.Policies
	if policies == nil {
		if policies, err = ParsePolicies(defaultPolicies); err != nil {
			return 0, err
		}
	}
	var waiting []Batch
	if err := s.DB.Read(ctx).Where("state = ? AND bank IS NOT NULL", StateOrdered).Order("id").Find(&waiting).Error; err != nil {
		return 0, fmt.Errorf("production: silent banks: %w", err)
	}
	for _, b := range waiting {
		policy, err := policies.At(b.Place, issuance.Day(s.DB.Now()))
		if err != nil {
			return left, err
		}
		n, err := s.leave(ctx, b, policy.BankDays)
		if left += n; err != nil {
			return left, err
		}
		if n > 0 {
			s.Logger.WarnContext(ctx, "银行逾期未答复，开户指令已冲正，申领重新等待 a bank was silent too long: the orders are reversed, and the applications wait again",
				"batch", b.Number, "bank", *b.Bank, "rows", n, "days", policy.BankDays)
		}
	}
	return left, nil
}

// leave lets rows of a batch leave, some in a transaction.
func (s Silence) leave(ctx context.Context, b Batch, days int) (left int, err error) {
	by := s.DB.Now().AddDate(0, 0, -days)
	reason := fmt.Sprintf("银行 %d 天未答复，开户指令已冲正 the bank has not answered for %d days: the order is reversed", days, days)
	for after := int64(0); ; {
		var items []Item
		err := s.DB.Read(ctx).Where("batch_id = ? AND state = ? AND seq > ? AND changed_at <= ?", b.ID, ItemOrdered, after, by).Order("seq").Limit(silentRows).Find(&items).Error
		if err != nil || len(items) == 0 {
			return left, err
		}
		after = items[len(items)-1].Seq
		n := 0
		err = s.DB.InTx(ctx, registry.Actor{Operator: "system:batch", Place: b.Place}, func(tx *registry.Tx) (err error) {
			// The orders first and then the batch, as when a bank answers.
			if n, err = s.Withdraw(tx, *b.Bank, applicationsOf(items), by, reason); err != nil {
				return err
			}
			if n == 0 {
				return errNoneSilent
			}
			return tx.Audit("batch.silent", "batch:"+b.ID.String(), map[string]string{"bank": *b.Bank, "rows": fmt.Sprint(n), "days": fmt.Sprint(days)})
		})
		if err != nil && !errors.Is(err, errNoneSilent) {
			return left, fmt.Errorf("production: silent bank: %w", err)
		}
		left += n
	}
}
