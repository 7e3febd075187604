package bank

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"onecard/registry"
)

const (
	turn         = 50               // orders of a bank in one turn
	sides        = 4                // of them on their way at once
	giveUp       = 3                // silences in a row after which a bank is left alone for a while
	longestPause = 15 * time.Minute // between two attempts
	patience     = 30 * time.Second // to write down what a bank has said
)

// lineRow is a row of bank_lines.
type lineRow struct {
	Bank      string    `gorm:"column:bank;primaryKey"`
	Stopped   bool      `gorm:"column:stopped"`
	Reason    string    `gorm:"column:reason"`
	ChangedAt time.Time `gorm:"column:changed_at"`
	ChangedBy string    `gorm:"column:changed_by"`
}

// TableName implements gorm's schema.Tabler.
func (lineRow) TableName() string { return "bank_lines" }

// Stop stops or starts again what goes to a bank by real-time messages (停发).
func (s *Service) Stop(tx *registry.Tx, bank string, stopped bool, reason string) error {
	p, err := s.peer(bank)
	if err != nil {
		return err
	}
	if stopped && reason == "" {
		return &registry.FieldError{Field: "reason", ZH: "停发须写明原因", EN: "say why"}
	}
	if err := lockBooks(tx, p.Code); err != nil {
		return err
	}
	err = tx.DB().Model(&lineRow{}).Where("bank = ?", p.Code).Updates(map[string]any{
		"stopped": stopped, "reason": reason, "changed_at": tx.Now(), "changed_by": tx.Actor().Operator}).Error
	if err != nil {
		return err
	}
	return tx.Audit("bank.line", "bank:"+p.Code, map[string]string{"stopped": fmt.Sprint(stopped), "reason": reason})
}

// Run works on the orders of all banks until ctx ends, and orders what is due.
// Each bank has its own line: a silent one holds nobody up, and its pauses
// double.
func (s *Service) Run(ctx context.Context) {
	var lines sync.WaitGroup
	for _, code := range slices.Sorted(maps.Keys(s.peers)) {
		lines.Go(func() { s.runLine(ctx, code) })
	}
	if s.serves() {
		lines.Go(func() { s.runDue(ctx) })
	}
	lines.Wait()
}

func (s *Service) runLine(ctx context.Context, code string) {
	pause := s.pause
	for {
		n, err := s.Turn(ctx, code)
		switch {
		case err == nil && n == turn:
			pause = 0
		case err == nil:
			pause = s.pause
		default:
			pause = min(max(2*pause, s.pause), longestPause)
			if ctx.Err() == nil {
				s.logger.WarnContext(ctx, "银行线路受阻，暂缓 the line to a bank is held up", "bank", code, "pause", pause, "error", err)
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// Turn works on the orders of a bank that are due and returns how many they
// were. After giveUp silences in a row it stops, with an error; a single one is
// the order's own, which waits longer each time.
func (s *Service) Turn(ctx context.Context, code string) (int, error) {
	due, err := s.due(ctx, code)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	var (
		mu       sync.Mutex
		silences []error // since the last answer
		failed   []error // here
		group    sync.WaitGroup
		slots    = make(chan struct{}, sides)
	)
	silent := func() bool { mu.Lock(); defer mu.Unlock(); return len(silences)+len(failed) >= giveUp }
	for _, o := range due {
		slots <- struct{}{}
		if silent() || ctx.Err() != nil {
			break
		}
		group.Go(func() {
			defer func() { <-slots }()
			err := s.step(ctx, o)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				silences = nil
			case errors.Is(err, ErrNoAnswer):
				silences = append(silences, err)
			default:
				failed = append(failed, err)
			}
		})
	}
	group.Wait()
	if len(silences) >= giveUp {
		failed = append(failed, silences...)
	}
	return len(due), errors.Join(failed...)
}

// due returns the orders that a step is due for, of some or of all; those of one
// subject one after the other, in the order in which they were begun.
func (s *Service) due(ctx context.Context, code string, of ...uuid.UUID) (rows []order, err error) {
	var stopped int64
	if err := s.db.Read(ctx).Model(&lineRow{}).Where("bank = ? AND stopped", code).Count(&stopped).Error; err != nil || stopped > 0 {
		return nil, err
	}
	query, open := s.db.Read(ctx), []string{Begun, Sent, Unknown}
	if len(of) > 0 {
		query = query.Where("id IN ?", of)
	}
	return rows, query.
		Where("bank = ? AND batch IS NULL AND reversal_id IS NULL AND state IN ? AND next_at <= ?", code, open, s.db.Now()).
		Where("NOT EXISTS (SELECT 1 FROM bank_orders earlier WHERE earlier.subject = bank_orders.subject AND earlier.id < bank_orders.id AND earlier.state IN ?)", open).
		Order("next_at, id").Limit(turn).Find(&rows).Error
}

// step takes one order a step further: it is sent, or the bank is asked what
// became of it. An order whose answer was lost with a crash is asked about.
func (s *Service) step(ctx context.Context, o order) error {
	if o.State == Sent {
		return s.lose(ctx, o, "中断 interrupted")
	}
	body, _, err := s.body(ctx, o)
	if err != nil {
		return err
	}
	id, operation := o.ID, o.Operation
	if o.State == Unknown {
		operation = queryMessage
		if id, err = uuid.NewV7(); err != nil {
			return err
		}
		if body, err = json.Marshal(Ask{Message: o.ID}); err != nil {
			return err
		}
	}
	if claimed, err := s.claim(ctx, &o); err != nil || !claimed {
		return err
	}
	answer, err := s.wires[o.Bank].Carry(ctx, id, operation, body)
	// What the bank has said is written down even when the platform is stopping.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err != nil {
		return errors.Join(err, s.lose(ctx, o, "无应答 no answer"))
	}
	return s.answered(ctx, o, answer)
}

// claim takes an order for one step: what is begun becomes sent, before it
// leaves; what is unknown is asked about by one program at a time.
func (s *Service) claim(ctx context.Context, o *order) (claimed bool, err error) {
	p := s.peers[o.Bank]
	err = s.changes.InTx(ctx, s.system(), func(tx *registry.Tx) error {
		lease := map[string]any{"next_at": tx.Now().Add(p.Timeout + patience), "attempts": o.Attempts + 1}
		if o.State == Begun {
			lease["sent_at"] = tx.Now()
			if claimed, err = move(tx, *o, eventSend, lease); err != nil || !claimed {
				return errors.Join(err, errLate)
			}
			return nil
		}
		taken := tx.DB().Model(&order{}).Where("id = ? AND state = ? AND attempts = ? AND reversal_id IS NULL", o.ID, o.State, o.Attempts).Updates(lease)
		if claimed = taken.Error == nil && taken.RowsAffected == 1; !claimed {
			return errors.Join(taken.Error, errLate)
		}
		return tx.Audit("bank.order.asked", o.subject(), nil)
	})
	if errors.Is(err, errLate) {
		return false, nil
	}
	if o.Attempts++; o.State == Begun {
		o.State = Sent
	}
	return claimed && err == nil, err
}

// lose notes that there is no usable answer. An order that was sent is unknown
// then; it is asked about after a pause that doubles.
func (s *Service) lose(ctx context.Context, o order, why string) error {
	err := s.changes.InTx(ctx, s.system(), func(tx *registry.Tx) error {
		next := map[string]any{"next_at": tx.Now().Add(s.pauseAfter(o.Attempts)), "answer": why}
		if o.State == Sent {
			_, err := move(tx, o, eventLose, next)
			return errors.Join(err, tx.Audit("bank.order.silent", o.subject(), nil))
		}
		err := tx.DB().Model(&order{}).Where("id = ? AND state = ?", o.ID, o.State).Updates(next).Error
		return errors.Join(err, tx.Audit("bank.order.silent", o.subject(), nil))
	})
	return err
}

func (s *Service) pauseAfter(attempts int) time.Duration {
	return min(s.pause<<min(max(attempts-1, 0), 20), longestPause)
}

// answered takes a bank's answer, to the order itself or to the question what
// became of it.
func (s *Service) answered(ctx context.Context, o order, answer Answer) error {
	err := s.changes.InTx(ctx, s.theBank(o.Bank), func(tx *registry.Tx) error {
		switch answer.Result {
		case resultDone, resultRefused:
			return s.settle(tx, o, answer)
		case resultNone:
			if o.State == Unknown {
				_, err := move(tx, o, eventRepeat, map[string]any{"next_at": tx.Now()})
				return errors.Join(err, tx.Audit("bank.order.absent", o.subject(), nil))
			}
		case resultReversed:
			if o.State == Unknown && o.Operation != ReverseMessage {
				if moved, err := move(tx, o, eventReverse, map[string]any{"code": "reversed"}); err != nil || !moved {
					return errors.Join(err, errLate)
				}
				return settlementOf(o.Operation).undone(s, tx, o, "银行已冲正 reversed at the bank")
			}
		}
		return errNotYet
	})
	switch {
	case errors.Is(err, errLate):
		return nil
	case errors.Is(err, errNotYet):
		return s.lose(ctx, o, whyPending)
	}
	return err
}

// whyPending is noted of an order that the bank has taken and not carried out.
const whyPending = "银行处理中 pending at the bank"

// errNotYet: the bank has answered, but nothing that ends the order.
var errNotYet = errors.New("bank: not yet")

// Reverse orders the reversal of an order that has no end yet, for a reason
// (冲正).
func (s *Service) Reverse(tx *registry.Tx, id uuid.UUID, reason string) error {
	if reason == "" {
		return &registry.FieldError{Field: "reason", ZH: "须写明冲正原因", EN: "say why"}
	}
	o, err := find(tx.ForUpdate(), id)
	if err != nil {
		return err
	}
	if err := s.reverse(tx, o, reason); err != nil {
		return err
	}
	return tx.Audit("bank.order.reversing", o.subject(), map[string]string{"reason": reason})
}
