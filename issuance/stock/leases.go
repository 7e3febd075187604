package stock

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/registry"
)

// NewLease lends blanks to a counter (领用): the cards named, or those in store
// whose serials lie in a range.
type NewLease struct {
	Workstation string
	Holder      string // login of who takes them
	Days        int
	Cards       []string
	From, To    string // range of serials, both included
}

// maxLease bounds the cards of a lease.
const maxLease = 1000

// Lend lends blanks of the operator's office to one of its counters.
func (s *Service) Lend(tx *registry.Tx, h Hands, n NewLease) (Lease, []string, error) {
	at, err := place(tx.DB(), h.By.Institution)
	if err != nil {
		return Lease{}, nil, err
	}
	if err := s.checkLease(tx, h, at, n); err != nil {
		return Lease{}, nil, err
	}
	b, err := alone(tx, at.ID)
	if err != nil {
		return Lease{}, nil, err
	}
	if len(n.Cards) == 0 {
		if n.Cards, err = ranged(tx, at.ID, n.From, n.To); err != nil {
			return Lease{}, nil, err
		}
	}
	items, err := take(tx, Blank, at.ID, n.Cards)
	if err != nil {
		return Lease{}, nil, err
	}
	id, err := newID(tx)
	if err != nil {
		return Lease{}, nil, err
	}
	lease := Lease{
		ID: id, Place: at.ID, Workstation: n.Workstation, Holder: n.Holder, LentBy: h.By.Login,
		LentAt: tx.Now(), ExpiresAt: tx.Now().AddDate(0, 0, n.Days),
	}
	if err := tx.DB().Create(&lease).Error; err != nil {
		return Lease{}, nil, fmt.Errorf("stock: lease: %w", err)
	}
	if _, err := s.move(tx, b, items, change{event: eventLease, hands: &h, at: at.ID, document: document("lease", id), lease: &id}); err != nil {
		return Lease{}, nil, err
	}
	return lease, names(items), tx.Audit("stock.lent", document("lease", id), map[string]string{"holder": n.Holder, "workstation": n.Workstation, "cards": strconv.Itoa(len(items))})
}

func (s *Service) checkLease(tx *registry.Tx, h Hands, at Place, n NewLease) error {
	policy, err := s.policies.At(at.Code, gb.DayOf(tx.Now()))
	if err != nil {
		return err
	}
	var stations, holders int64
	if err := tx.DB().Table("workstations").Where("id = ? AND institution = ? AND disabled_at IS NULL", n.Workstation, at.ID).Count(&stations).Error; err != nil {
		return fmt.Errorf("stock: workstation: %w", err)
	}
	if err := tx.DB().Table("operators").Where("login = ? AND institution = ? AND disabled_at IS NULL", n.Holder, at.ID).Count(&holders).Error; err != nil {
		return fmt.Errorf("stock: operator: %w", err)
	}
	switch {
	case stations == 0:
		return &registry.FieldError{Field: "workstation", ZH: "应为本机构的工作站", EN: "a workstation of this office"}
	case holders == 0:
		return &registry.FieldError{Field: "holder", ZH: "应为本机构的操作员", EN: "an operator of this office"}
	case n.Holder == h.By.Login:
		return ErrSamePerson
	case n.Days < 1 || n.Days > policy.LeaseDays:
		return &registry.FieldError{Field: "days", ZH: fmt.Sprintf("应为 1 至 %d 天", policy.LeaseDays), EN: fmt.Sprintf("1 to %d days", policy.LeaseDays)}
	case len(n.Cards) > maxLease:
		return &registry.FieldError{Field: "cards", ZH: "一次最多 1000 张", EN: "1000 cards at most"}
	case len(n.Cards) == 0 && (!serialForm.MatchString(n.From) || len(n.From) != len(n.To) || n.From > n.To):
		return &registry.FieldError{Field: "from", ZH: "请列出卡，或给出等长的起止序列号", EN: "list the cards, or give the first and the last serial, of one length"}
	}
	return nil
}

// ranged returns the blanks in store at a place that lie loose and whose serials
// lie in a range.
func ranged(tx *registry.Tx, at, from, to string) ([]string, error) {
	var cards []string
	err := tx.DB().Table("blank_cards").Where("holder = ? AND state = ? AND serial BETWEEN ? AND ? AND length(serial) = ?", at, StateStored, from, to, len(from)).
		Where("NOT EXISTS (SELECT 1 FROM stock_contents c WHERE c.inside AND c.kind = 'blank' AND c.item = blank_cards.serial)").
		Order("serial").Limit(maxLease+1).Pluck("serial", &cards).Error
	switch {
	case err != nil:
		return nil, fmt.Errorf("stock: range: %w", err)
	case len(cards) == 0:
		return nil, naming(ErrNotThere, from+" – "+to)
	case len(cards) > maxLease:
		return nil, &registry.FieldError{Field: "to", ZH: "一次最多 1000 张", EN: "1000 cards at most"}
	}
	return cards, nil
}

// Return ends a lease: what was not used goes back to store (交回).
func (s *Service) Return(tx *registry.Tx, h Hands, id uuid.UUID) (Lease, []string, error) {
	var lease Lease
	if err := tx.DB().Where("id = ?", id).Take(&lease).Error; err != nil {
		return lease, nil, err
	}
	if err := h.may(rule{Roles: keepers}, lease.Place); err != nil {
		return lease, nil, err
	}
	b, err := alone(tx, lease.Place)
	if err != nil {
		return lease, nil, err
	}
	if err := tx.ForUpdate().Where("id = ?", id).Take(&lease).Error; err != nil {
		return lease, nil, err
	}
	if lease.ReturnedAt != nil {
		return lease, nil, ErrLeaseEnded
	}
	var left []string
	if err := tx.DB().Table("blank_cards").Where("lease = ?", id).Order("serial").Pluck("serial", &left).Error; err != nil {
		return lease, nil, fmt.Errorf("stock: lease: %w", err)
	}
	items, err := find(tx, Blank, left)
	if err != nil {
		return lease, nil, err
	}
	if _, err := s.move(tx, b, items, change{event: eventReturn, hands: &h, at: lease.Place, document: document("lease", id)}); err != nil {
		return lease, nil, err
	}
	now := tx.Now()
	lease.ReturnedAt, lease.ReturnedBy = &now, &h.By.Login
	if err := tx.DB().Model(&Lease{}).Where("id = ?", id).Updates(map[string]any{"returned_at": now, "returned_by": h.By.Login}).Error; err != nil {
		return lease, nil, fmt.Errorf("stock: lease: %w", err)
	}
	return lease, left, tx.Audit("stock.returned", document("lease", id), map[string]string{"cards": strconv.Itoa(len(left))})
}

// Use takes a blank from the stock for an application, at the moment at which
// its personalisation begins (issuance.Stock). A serial that is on the books must
// lie loose at the office of the counter; where the place's policy enforces the
// stock it must be leased to that counter, and a serial that nobody knows is
// refused.
func (s *Service) Use(tx *registry.Tx, serial string, application uuid.UUID) error {
	policy, err := s.policies.At(tx.Actor().Place, gb.DayOf(tx.Now()))
	if err != nil {
		return err
	}
	station := tx.Actor().Workstation
	var at []string
	if err := tx.DB().Table("workstations").Where("id = ?", station).Pluck("institution", &at).Error; err != nil {
		return fmt.Errorf("stock: workstation: %w", err)
	}
	known, err := look(tx.DB(), Blank, []string{serial})
	switch {
	case err != nil:
		return err
	case len(known) == 0 && policy.Enforced:
		return ErrNotLeased
	case len(known) == 0:
		return nil
	case len(at) == 0:
		return ErrNotThere
	}
	b, err := open(tx, at[0])
	if err != nil {
		return err
	}
	items, err := take(tx, Blank, at[0], []string{serial})
	if err != nil {
		return err
	}
	if policy.Enforced {
		if err := leased(tx, items[0], station); err != nil {
			return err
		}
	}
	_, err = s.move(tx, b, items, change{event: eventUse, document: document("application", application)})
	return err
}

// leased refuses a blank that a counter does not hold.
func leased(tx *registry.Tx, i item, station string) error {
	if i.Lease == nil {
		return ErrNotLeased
	}
	var lease Lease
	if err := tx.DB().Where("id = ?", *i.Lease).Take(&lease).Error; err != nil {
		return fmt.Errorf("stock: lease: %w", err)
	}
	if lease.Workstation != station || !tx.Now().Before(lease.ExpiresAt) {
		return ErrNotLeased
	}
	return nil
}

// Made notes which card a blank has become (issuance.Stock).
func (s *Service) Made(tx *registry.Tx, serial string, cardID uuid.UUID) error {
	err := tx.DB().Table("blank_cards").Where("serial = ? AND state = ?", serial, StateUsed).
		Updates(tx.Change(map[string]any{"card_id": cardID}, document("card", cardID))).Error
	if err != nil {
		return fmt.Errorf("stock: made: %w", err)
	}
	return nil
}

// Spoil takes a blank back as waste whose personalisation was given up
// (issuance.Stock).
func (s *Service) Spoil(tx *registry.Tx, serial, reason string) error {
	known, err := look(tx.DB(), Blank, []string{serial})
	if err != nil || len(known) == 0 || known[0].State != StateUsed {
		return err // it was used before it came on the books
	}
	b, err := open(tx, known[0].Holder)
	if err != nil {
		return err
	}
	items, err := find(tx, Blank, []string{serial})
	if err != nil {
		return err
	}
	_, err = s.move(tx, b, items, change{event: eventSpoil, document: "serial:" + serial, reason: reason})
	return err
}

// Destroy destroys waste under two signatures, one of them a supervisor's
// (销毁).
func (s *Service) Destroy(tx *registry.Tx, h Hands, kind string, cards []string, method string) (Destruction, error) {
	at := h.By.Institution
	if err := h.both(at); err != nil {
		return Destruction{}, err
	}
	if !slices.Contains(append(slices.Clone(h.By.Roles), h.Witness.Roles...), registry.RoleSupervisor) {
		return Destruction{}, ErrNoRight
	}
	if len(cards) == 0 || len([]rune(method)) < 1 || len([]rune(method)) > 200 {
		return Destruction{}, &registry.FieldError{Field: "method", ZH: "请列出卡并填写销毁方式", EN: "list the cards and say how they are destroyed"}
	}
	b, err := open(tx, at)
	if err != nil {
		return Destruction{}, err
	}
	items, err := take(tx, kind, at, cards)
	if err != nil {
		return Destruction{}, err
	}
	id, err := newID(tx)
	if err != nil {
		return Destruction{}, err
	}
	d := Destruction{ID: id, Place: at, FirstBy: h.By.Login, SecondBy: h.Witness.Login, Method: method, Cards: len(items), At: tx.Now()}
	if err := tx.DB().Create(&d).Error; err != nil {
		return Destruction{}, fmt.Errorf("stock: destruction: %w", err)
	}
	c := change{event: eventDestroy, hands: &h, at: at, document: document("destruction", id), destruction: &id}
	if _, err := s.move(tx, b, items, c); err != nil {
		return Destruction{}, err
	}
	return d, tx.Audit("stock.destroyed", c.document, map[string]string{"cards": strconv.Itoa(len(items)), "witness": h.Witness.Login, "method": method})
}

// Expired says whether a lease should have been returned.
func (l Lease) Expired(now time.Time) bool { return l.ReturnedAt == nil && !now.Before(l.ExpiresAt) }
