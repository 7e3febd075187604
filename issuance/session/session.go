package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/profile"
	"onecard/registry"
)

// Work is an operation as a session drives it.
type Work interface {
	card.Operation
	Genuine() bool
	Values() []card.Value
	NeedsPIN() bool
	Progress() (done, total int, label string)
}

// Session is a session as it stands.
type Session struct {
	ID          uuid.UUID
	Operation   string
	Operator    string
	Workstation string
	Place       string // of the operator
	Reader      string
	ATR         string // upper-case hexadecimal
	Subject     string // what it is about, for its owner
	Done        bool
	ChangedAt   time.Time // of the last step
}

// Turn is the answer to a step.
type Turn struct {
	Session  uuid.UUID       `json:"session"`
	Seq      int             `json:"seq"`
	Script   *card.Script    `json:"script,omitempty"` // nil at the end
	ATR      string          `json:"atr,omitempty"`    // of the chip that it is for
	NeedsPIN bool            `json:"needsPin"`         // the answers must come with the holder's number
	Done     int             `json:"done"`             // scripts, of Total
	Total    int             `json:"total"`
	Label    string          `json:"label"`
	Result   json.RawMessage `json:"result,omitempty"` // what Finish returned, at the end
}

// Finish is called in the transaction that closes a session; what it returns
// is the last turn's result. Its error rolls everything back; a *Refused ends
// the session besides, on record.
type Finish func(tx *registry.Tx, s Session, work Work) (any, error)

// Errors that a session meets, besides those of the operation itself.
var (
	ErrEnded = errors.New("芯片会话已结束或超时 the chip session has ended or expired")
	ErrBound = errors.New("芯片会话属于另一操作员或工作站 the chip session belongs to another operator or workstation")
	ErrStep  = errors.New("不是正在等待的步骤 the step is not the one that is waited for")
)

// Refused is what the owner of a session finds wrong with a chip at the end of
// its work. The code is for the audit log.
type Refused struct {
	Code string
	Err  error
}

func (e *Refused) Error() string { return e.Err.Error() }

// Unwrap returns the finding itself.
func (e *Refused) Unwrap() error { return e.Err }

// Config is what a Store is made of.
type Config struct {
	DB       *registry.DB
	Keeper   card.Keeper
	Profiles []*profile.Profile
	Finish   Finish
	// Advance runs in the transaction in which a script goes out that is not
	// the last: what must be stored before the chip is asked. It may be nil.
	Advance func(tx *registry.Tx, about Session, work Work) error
}

// Store keeps sessions in the database. It may be used by several goroutines.
type Store struct{ config Config }

// New returns a store.
func New(config Config) *Store { return &Store{config: config} }

// Beginning is a session that is to be opened.
type Beginning struct {
	Operation string
	Subject   string
	Reader    string
	ATR       []byte
	Opening   []apdu.Response // answers to the opening script
	Work      Work
	// Kind is the operation that card.Restore makes of Work's state.
	Kind string
	// Age is how long the session may lie between two scripts.
	Age time.Duration
	// Attempts is how often in a row the chip may be asked for what it counts
	// without a good answer; 0 sets no floor.
	Attempts int
	// Prepare runs first in the transaction: what must stand, or be recorded,
	// before anything is done with the chip. It may be nil.
	Prepare func(tx *registry.Tx) error
}

// Open stores a new session with its first script and ends what was open with
// the same chip or in the same reader. The same opening again, while its first
// script is out, is the same session. A chip that two open at once goes to the
// first; the second gets registry.ErrDuplicate.
func (s *Store) Open(ctx context.Context, actor registry.Actor, b Beginning) (Turn, error) {
	asked, err := s.digest(ctx, -1, b.Opening, "")
	if err != nil {
		return Turn{}, err
	}
	r := row{
		Operation: b.Operation, Work: b.Kind, Operator: actor.Operator, Workstation: actor.Workstation, Place: actor.Place,
		Reader: b.Reader, ATR: strings.ToUpper(fmt.Sprintf("%x", b.ATR)), Subject: b.Subject, Attempts: b.Attempts, Status: statusOpen, Asked: asked,
	}
	if turn, found, err := s.opened(ctx, r); found || err != nil {
		return turn, err
	}
	script, err := b.Work.Next(ctx, s.config.Keeper, card.Input{})
	if err != nil {
		return Turn{}, err
	}
	var turn Turn
	err = s.config.DB.InTx(ctx, actor, func(tx *registry.Tx) error {
		if b.Prepare != nil {
			if err := b.Prepare(tx); err != nil {
				return err
			}
		}
		var err error
		turn, err = s.insert(tx, r, b, script)
		return err
	})
	return turn, err
}

// opened finds the session that the same opening made.
func (s *Store) opened(ctx context.Context, like row) (Turn, bool, error) {
	var found []row
	err := s.config.DB.Read(ctx).Where("atr = ? AND status = ? AND seq = 0 AND asked = ?", like.ATR, statusOpen, like.Asked).
		Where("operation = ? AND subject = ? AND reader = ? AND operator = ? AND workstation = ?", like.Operation, like.Subject, like.Reader, like.Operator, like.Workstation).
		Where("expires_at > ?", s.config.DB.Now()).Limit(1).Find(&found).Error
	if err != nil || len(found) == 0 {
		return Turn{}, false, err
	}
	turn, err := s.stored(ctx, &found[0])
	return turn, true, err
}

// insert writes the row of a new session.
func (s *Store) insert(tx *registry.Tx, r row, b Beginning, script *card.Script) (Turn, error) {
	if err := supersede(tx, "atr = ? OR (workstation = ? AND reader = ?)", r.ATR, r.Workstation, r.Reader); err != nil {
		return Turn{}, err
	}
	var err error
	if r.ID, err = tx.NewID(); err != nil {
		return Turn{}, fmt.Errorf("session: new id: %w", err)
	}
	r.CreatedAt, r.ChangedAt, r.ExpiresAt = tx.Now(), tx.Now(), tx.Now().Add(b.Age)
	if err := asking(tx, r.ATR, script, r.Attempts); err != nil {
		return Turn{}, err
	}
	turn, err := s.turn(tx, &r, 0, script, b.Work)
	if err != nil {
		return Turn{}, err
	}
	if err := tx.DB().Create(&r).Error; err != nil {
		return Turn{}, fmt.Errorf("session: open: %w", err)
	}
	return turn, tx.Audit("chip."+r.Operation+".open", r.ID.String(), map[string]string{"subject": r.Subject, "reader": r.Reader})
}

// turn makes the answer to a step and puts it, with the operation's new state,
// into the row. At the end it lets the owner draw the consequences.
func (s *Store) turn(tx *registry.Tx, r *row, seq int, script *card.Script, work Work) (Turn, error) {
	turn := Turn{Session: r.ID, Seq: seq, Script: script, ATR: r.ATR, NeedsPIN: script != nil && work.NeedsPIN()}
	turn.Done, turn.Total, turn.Label = work.Progress()
	r.Status, r.State = statusOpen, []byte{}
	var err error
	if script == nil {
		r.Status = statusDone
		result, err := s.config.Finish(tx, r.session(), work)
		if err != nil {
			return Turn{}, err
		}
		if turn.Result, err = json.Marshal(result); err != nil {
			return Turn{}, fmt.Errorf("session: encode result: %w", err)
		}
	} else {
		if s.config.Advance != nil {
			if err := s.config.Advance(tx, r.session(), work); err != nil {
				return Turn{}, err
			}
		}
		if r.State, err = s.put(tx.Context(), r, "state", work); err != nil {
			return Turn{}, err
		}
	}
	r.Answer, err = s.put(tx.Context(), r, "answer", turn)
	return turn, err
}

// stored returns the answer in the row.
func (s *Store) stored(ctx context.Context, r *row) (Turn, error) {
	plain, err := s.get(ctx, r, "answer", r.Answer)
	if err != nil {
		return Turn{}, err
	}
	var turn Turn
	if err := json.Unmarshal(plain, &turn); err != nil {
		return Turn{}, fmt.Errorf("session: decode answer: %w", err)
	}
	return turn, nil
}

// supersede ends the open sessions that a condition chooses. The status is part
// of the text: a plan that serves every value could not use the indexes of those
// that are open.
func supersede(tx *registry.Tx, condition string, values ...any) error {
	result := tx.DB().Model(&row{}).Where("status = '"+statusOpen+"'").Where(condition, values...).
		Updates(map[string]any{"status": statusSuperseded, "state": []byte{}, "changed_at": tx.Now()})
	if result.Error != nil {
		return fmt.Errorf("session: supersede: %w", result.Error)
	}
	return nil
}

// End ends the open sessions about a subject, whoever they belong to.
func (s *Store) End(tx *registry.Tx, subject string) error {
	return supersede(tx, "subject = ?", subject)
}

// Get returns a session, whoever it belongs to, or registry.ErrNotFound.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Session, error) {
	var r row
	if err := s.config.DB.Read(ctx).Where("id = ?", id).Take(&r).Error; err != nil {
		return Session{}, err
	}
	return r.session(), nil
}
