package issuance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"onecard/card"
	"onecard/card/profile"
	"onecard/issuance/session"
	"onecard/registry"
)

// The chip work that leaves a card's status as it is.
const (
	WorkAccess     = "access"
	WorkRefresh    = "refresh"
	WorkResetPIN   = "resetPIN"
	WorkUnblockPIN = "unblockPIN"
	WorkRekey      = "rekey"
	WorkBlockCard  = "blockCard"
)

// Work is work on a card's chip that is no event of the workflow (芯片业务): who
// may do it, and in which status the card must be.
type Work struct {
	Name   string
	Roles  []string
	Status []string
	Text   Text
	// Final says that nothing undoes the work: whoever does it is asked twice.
	Final bool
	// kind is the operation as card.Restore knows it.
	kind  string
	begin func(s *Service, ctx context.Context, b beginning) (session.Work, error)
}

// beginning is what chip work begins with.
type beginning struct {
	profile *profile.Profile
	id      *card.Identity
	card    Card
	policy  Policy
	items   []card.Item
	name    string // of the work
	// movement is what debit and credit are asked for, and then what is begun.
	movement *card.Movement
}

// Works is the table of chip work beside the workflow.
var Works = []Work{
	{WorkAccess, append(clerks, supervisors...), []string{StatusNormal}, Text{"读写数据项", "read and write elements"}, false, "access",
		func(_ *Service, _ context.Context, b beginning) (session.Work, error) {
			return card.NewAccess(b.profile, b.id, b.items)
		}},
	{WorkRefresh, clerks, []string{StatusNormal}, Text{"按记录更新持卡人信息", "bring the holder's data up to date"}, false, "access", (*Service).refresh},
	{WorkResetPIN, clerks, []string{StatusNormal}, Text{"重置社保密码", "set a new PIN"}, false, EventActivate,
		func(_ *Service, _ context.Context, b beginning) (session.Work, error) {
			return card.NewActivate(b.profile, b.id)
		}},
	{WorkUnblockPIN, clerks, []string{StatusNormal}, Text{"解锁社保密码", "give the attempts for the PIN back"}, false, WorkUnblockPIN,
		func(_ *Service, _ context.Context, b beginning) (session.Work, error) {
			return card.NewUnblockPIN(b.profile, b.id)
		}},
	{WorkRekey, makers, []string{StatusSealed, StatusNormal}, Text{"更换卡内密钥", "change the card's keys"}, false, WorkRekey,
		func(_ *Service, _ context.Context, b beginning) (session.Work, error) {
			return card.NewRekey(b.profile, b.id, b.policy.KeyVersion)
		}},
	{WorkDebit, cashiers, []string{StatusNormal}, Text{"个人账户消费", "pay from the account on the card"}, false, WorkDebit, (*Service).move},
	{WorkCredit, clerks, []string{StatusNormal}, Text{"个人账户圈存", "load the account on the card"}, false, WorkDebit, (*Service).move},
	{WorkBlockCard, supervisors, []string{StatusCancelled}, Text{"锁定卡片（不可恢复）", "block the card for ever"}, true, WorkBlockCard,
		func(_ *Service, _ context.Context, b beginning) (session.Work, error) {
			return card.NewBlockCard(b.profile, b.id)
		}},
}

// workNamed finds a line of the table.
func workNamed(name string) (Work, bool) {
	i := slices.IndexFunc(Works, func(w Work) bool { return w.Name == name })
	if i < 0 {
		return Work{}, false
	}
	return Works[i], true
}

// Allows says whether one of the roles may do the work.
func (w Work) Allows(roles []string) bool {
	return slices.ContainsFunc(w.Roles, func(role string) bool { return slices.Contains(roles, role) })
}

// CardWorks returns the chip work that an operator may do on a card now.
func (s *Service) CardWorks(c Card, roles []string) []Work {
	return slices.DeleteFunc(slices.Clone(Works), func(w Work) bool {
		// A movement is asked for with an amount, by a terminal.
		return !w.Allows(roles) || !slices.Contains(w.Status, c.Status) || w.kind == WorkDebit
	})
}

// beside prepares chip work beside the workflow.
func (s *Service) beside(ctx context.Context, w Work, b beginning, o OpenSession) (job, error) {
	c, err := s.Card(ctx, *o.CardID)
	if err != nil {
		return job{}, err
	}
	switch {
	case !c.is(b.id):
		return job{}, ErrOtherCard
	case !w.Allows(o.Roles):
		return job{}, ErrNoRight
	case !slices.Contains(w.Status, c.Status):
		return job{}, ErrNotAllowed
	}
	if err := byHand(w, b.profile, o.Items); err != nil {
		return job{}, err
	}
	b.card, b.items, b.id.KeyVersion, b.name = c, o.Items, c.KeyVersion, w.Name
	if o.Movement != nil {
		asked := *o.Movement
		b.movement = &asked
	}
	work, err := w.begin(s, ctx, b)
	if err != nil {
		return job{}, err
	}
	return job{work: work, kind: w.kind, subject: c.ID, prepare: func(tx *registry.Tx) error {
		row, err := lockCard(tx, c.ID)
		if err != nil {
			return err
		}
		if !slices.Contains(w.Status, row.Status) {
			return ErrNotAllowed
		}
		if w.Name == WorkRefresh {
			if err := refreshable(tx, &row); err != nil {
				return err
			}
		}
		if b.movement != nil {
			if err := s.beginMovement(tx, c.ID, *b.movement); err != nil {
				return err
			}
		}
		return tx.Audit("chip."+w.Name, "card:"+c.ID.String(), auditOf(work))
	}}, nil
}

// auditOf says which elements work reads and which it writes, without values.
func auditOf(work session.Work) map[string]string {
	access, ok := work.(*card.Access)
	if !ok {
		return nil
	}
	var read, written []string
	for _, item := range access.Items {
		if item.Write != nil {
			written = append(written, item.Path)
		} else {
			read = append(read, item.Path)
		}
	}
	details := map[string]string{}
	for name, paths := range map[string][]string{"read": read, "written": written} {
		if len(paths) > 0 {
			details[name] = strings.Join(paths, " ")
		}
	}
	return details
}

// byHand refuses values typed by hand for what has an owner: issuer and holder
// are written from the province's record alone, the account by its movements.
func byHand(w Work, p *profile.Profile, items []card.Item) error {
	for _, item := range items {
		switch {
		case item.Write == nil:
		case w.Name != WorkAccess || p.Owner(item.Path) == profile.OwnedByRecord:
			return ErrOwnedByRecord
		case p.Owner(item.Path) == profile.OwnedByAccount:
			return ErrOwnedByAccount
		}
	}
	return nil
}

// refreshable refuses to write to a card what one has put into the record
// oneself since it was applied for: nobody else has seen that.
func refreshable(tx *registry.Tx, row *cardRow) error {
	var since time.Time // whenever it was, for a card from before
	if row.ApplicationID != nil {
		err := tx.DB().Model(&applicationRow{}).Where("id = ?", row.ApplicationID).Select("created_at").Take(&since).Error
		if err != nil {
			return fmt.Errorf("application of the card: %w", err)
		}
	}
	return ownChange(tx, row.PersonID, since)
}

// refresh writes the holder's data as the record has them now.
func (s *Service) refresh(ctx context.Context, b beginning) (session.Work, error) {
	person, err := s.db.PersonByID(ctx, b.card.PersonID)
	if err != nil {
		return nil, err
	}
	items, err := contents(person, b.policy, KindFirst, b.card.Number, s.db.Now()).HolderItems(b.profile)
	if err != nil {
		return nil, err
	}
	return card.NewAccess(b.profile, b.id, items)
}
