package production

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"

	"onecard/card"
	"onecard/card/profile"
	"onecard/issuance"
	"onecard/registry"
)

// Keeper is what production asks of whoever keeps the keys. A keeper that gives
// no keys of cards to makers answers errors.ErrUnsupported.
type Keeper interface {
	// WrapCards returns, for each card by its factors, its own keys of these
	// names as key blocks under a key of delivery.
	WrapCards(ctx context.Context, under card.Key, names []card.Key, cards [][][]byte) ([][]string, error)
	// CodeAll computes the check code of each message.
	CodeAll(ctx context.Context, key card.Key, messages [][]byte) ([][]byte, error)
	// CheckValue returns a key's check value.
	CheckValue(ctx context.Context, key card.Key) (kcv []byte, method string, err error)
}

// Config is what a Service is made of.
type Config struct {
	DB       *registry.DB
	Issuance *issuance.Service
	Accounts Accounts // nil: no batch with bank accounts can be ordered
	Profiles []*profile.Profile
	Keeper   Keeper
	// Signing returns the province's certificate for signatures, Receiving that
	// to which makers seal what they send.
	Signing, Receiving func() (*tls.Certificate, error)
	Dir                string   // of the files
	Policies           Policies // default: those built in
	Rows               int      // of one transaction; default 250
}

// Service has cards made by makers. It may be used by several goroutines.
type Service struct {
	Config
	chunk int // Rows, or their default
}

// chunkRows is how many rows go through one transaction and one call to the
// keeper: few enough that nobody waits long, many enough that it pays.
const chunkRows = 250

var errConfig = errors.New("production: database, issuance, keeper, certificates and a directory are needed")

// New returns a ready service.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Issuance == nil || c.Keeper == nil || c.Signing == nil || c.Receiving == nil || c.Dir == "" {
		return nil, errConfig
	}
	if c.Policies == nil {
		var err error
		if c.Policies, err = ParsePolicies(defaultPolicies); err != nil {
			return nil, err
		}
	}
	if err := issuance.CheckMachine(&Batches); err != nil {
		return nil, err
	}
	if err := c.DB.HoldMoves(context.Background(), Batches.Moves()); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("production: %w", err)
	}
	return &Service{Config: c, chunk: cmp.Or(c.Rows, chunkRows)}, nil
}

// Who is a person who works with batches, and with which rights.
type Who struct {
	registry.Actor
	Roles []string
}

func (w Who) may(roles []string) error {
	if !slices.ContainsFunc(w.Roles, func(role string) bool { return slices.Contains(roles, role) }) {
		return issuance.ErrNoRight
	}
	return nil
}

// byBatch are the rights with which a batch moves its applications.
var byBatch = []string{registry.RoleProducer}

// unbatch lets an application wait for another batch, for a reason of the list
// "unbatch". A new number where a chip may say the old one.
func (s *Service) unbatch(tx *registry.Tx, item Item, code, reason string) error {
	if item.ApplicationID == nil {
		return nil
	}
	return s.Issuance.Unbatch(tx, *item.ApplicationID, code, reason, item.ATR != nil, byBatch)
}

// move lets an event happen to a batch, which is locked.
func move(tx *registry.Tx, b *Batch, event string, who Who, reason string, changes map[string]any) error {
	rule, ok := Batches.Rule(b.State, event)
	switch {
	case !ok:
		return issuance.ErrNotAllowed
	case rule.By == "" && !rule.Allows(who.Roles):
		return issuance.ErrNoRight
	case rule.Reasons != "" && reason == "":
		return issuance.ErrNeedsReason
	}
	if changes == nil {
		changes = map[string]any{}
	}
	changes["state"] = rule.To
	result := tx.DB().Model(&Batch{}).Where("id = ? AND state = ?", b.ID, rule.From).Updates(tx.Change(changes, reason))
	if result.Error != nil {
		return fmt.Errorf("batch %s: %w", event, result.Error)
	}
	if result.RowsAffected != 1 {
		return registry.ErrConflict
	}
	b.State = rule.To
	return tx.Audit("batch."+event, "batch:"+b.ID.String(), map[string]string{"from": rule.From, "to": rule.To, "number": b.Number})
}

// leaseTime is for how long a batch on which no progress is made stays locked.
const leaseTime = 10 * time.Minute

// work is somebody's work on a batch, under a lease.
type work struct {
	*Service
	who   Who
	owner string
	batch Batch
}

// begin takes the lease of a batch. Another's is ErrLocked until it ends.
func (s *Service) begin(ctx context.Context, who Who, number string) (*work, error) {
	w := &work{Service: s, who: who, owner: rand.Text()}
	return w, s.DB.InTx(ctx, who.Actor, func(tx *registry.Tx) (err error) {
		if w.batch, err = s.locked(tx, number); err != nil {
			return err
		}
		return errors.Join(w.extend(tx), tx.Audit("batch.begun", "batch:"+w.batch.ID.String(), nil))
	})
}

func (w *work) extend(tx *registry.Tx) error {
	return tx.DB().Model(&Batch{}).Where("id = ?", w.batch.ID).Updates(map[string]any{"lease_owner": w.owner, "lease_until": tx.Now().Add(leaseTime)}).Error
}

// step is one transaction of the work: the batch is locked, the lease is still
// held, and holds on.
func (w *work) step(ctx context.Context, do func(tx *registry.Tx) error) error {
	return w.DB.InTx(ctx, w.who.Actor, func(tx *registry.Tx) error {
		var b Batch
		if err := tx.ForUpdate().Where("id = ?", w.batch.ID).Take(&b).Error; err != nil {
			return err
		}
		if b.LeaseOwner != w.owner {
			return ErrLocked
		}
		w.batch = b
		if err := w.extend(tx); err != nil {
			return err
		}
		return errors.Join(do(tx), tx.Audit("batch.worked", "batch:"+b.ID.String(), nil))
	})
}

// end gives the lease back, also when the work did not end well.
func (w *work) end(ctx context.Context) error {
	return w.DB.InTx(context.WithoutCancel(ctx), w.who.Actor, func(tx *registry.Tx) error {
		freed := tx.DB().Model(&Batch{}).Where("id = ? AND lease_owner = ?", w.batch.ID, w.owner).Update("lease_owner", "")
		if freed.Error != nil {
			return freed.Error
		}
		return tx.Audit("batch.ended", "batch:"+w.batch.ID.String(), nil)
	})
}

// locked locks a batch by number for one short act, which waits for nobody's
// lease but respects it.
func (s *Service) locked(tx *registry.Tx, number string) (b Batch, err error) {
	if err := tx.ForUpdate().Where("number = ?", number).Take(&b).Error; err != nil {
		return b, fmt.Errorf("batch: %w", err)
	}
	if b.LeaseOwner != "" && tx.Now().Before(b.LeaseUntil) {
		return b, ErrLocked
	}
	return b, nil
}

// sealedRow names a row of batch_items for what is sealed in it.
func sealedRow(batch uuid.UUID, seq int64) string { return fmt.Sprintf("%s/%d", batch, seq) }

const columnIntention = "batch_items.intention"
