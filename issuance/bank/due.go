package bank

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
)

// duePause is how long the platform waits before it looks again for what
// approved applications need of a bank.
const duePause = 30 * time.Second

// server returns the bank that serves a place by itself: the one that names the
// nearest place above it, or none.
func (s *Service) server(place string) (code string) {
	var banks, places []string
	for _, bank := range slices.Sorted(maps.Keys(s.peers)) {
		for _, served := range s.peers[bank].Serves {
			banks, places = append(banks, bank), append(places, served)
		}
	}
	if i := gb.Divisions().Nearest(place, places, s.db.Today()); i >= 0 {
		return banks[i]
	}
	return ""
}

// runDue looks for what is due until ctx ends.
func (s *Service) runDue(ctx context.Context) {
	for ctx.Err() == nil {
		if n, err := s.Due(ctx); err != nil && ctx.Err() == nil {
			s.logger.ErrorContext(ctx, "已复核申领的开户、收费未能办理 what approved applications need of banks could not be ordered", "ordered", n, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(duePause):
		}
	}
}

// Due orders what approved applications need of the bank that serves their
// place, and returns how many orders and fees that were (已复核申领自动开户、收费):
// an account for a card that a counter makes, for one of a batch gets it with its
// batch, and the charge of a card whose ground costs something. What the bank
// has refused once is a person's to order again. It may run anywhere, any
// number of times.
func (s *Service) Due(ctx context.Context) (ordered int, err error) {
	for _, code := range slices.Sorted(maps.Keys(s.peers)) {
		for _, place := range s.peers[code].Serves {
			accounts, first := s.dueOf(ctx, code, place, approved(withoutAccount), s.dueAccounts)
			fees, second := s.dueOf(ctx, code, place, approved(withoutFee), s.dueFees)
			ordered += accounts + fees
			err = errors.Join(err, first, second)
		}
	}
	return ordered, err
}

// dueOfCard orders what the application of a card needs whose making and handing
// over were faster than the platform looked.
func (s *Service) dueOfCard(ctx context.Context, cardID uuid.UUID) error {
	for _, what := range []struct {
		lacks func(*gorm.DB) *gorm.DB
		begin func(context.Context, string, []application) (int, error)
	}{{withoutAccount, s.dueAccounts}, {withoutFee, s.dueFees}} {
		var rows []application
		if err := what.lacks(s.db.Read(ctx)).Where("card_id = ?", cardID).Find(&rows).Error; err != nil {
			return err
		}
		for _, a := range rows {
			if code := s.server(a.Place); code != "" {
				if _, err := what.begin(ctx, code, []application{a}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// approved are those of some applications whose card is not being made yet.
func approved(some func(*gorm.DB) *gorm.DB) func(*gorm.DB) *gorm.DB {
	return func(db *gorm.DB) *gorm.DB {
		return some(db).Where("state IN ?", []string{issuance.StateNumbered, issuance.StateBatched})
	}
}

// withoutAccount are applications for which no account was ever asked for; one
// that a batch makes has its account asked for with the batch.
func withoutAccount(db *gorm.DB) *gorm.DB {
	return db.Where("method = ? AND kind <> ?", issuance.MethodInstant, issuance.KindTemporary).
		Where("NOT EXISTS (SELECT 1 FROM bank_orders o WHERE o.application_id = applications.id AND o.operation = ?)", OpenAccount).
		Where("NOT EXISTS (SELECT 1 FROM bank_accounts a WHERE a.application_id = applications.id AND a.state <> ?)", Closed)
}

// withoutFee are applications that cost something and were never charged.
func withoutFee(db *gorm.DB) *gorm.DB {
	return db.Where("(kind = ? AND ground IN ? OR kind = ? AND ground IN ?)", issuance.KindReplacement, charged(issuance.KindReplacement), issuance.KindExchange, charged(issuance.KindExchange)).
		Where("NOT EXISTS (SELECT 1 FROM bank_fees f WHERE f.application_id = applications.id)")
}

// charged are the grounds of a kind of application that cost the holder a fee.
func charged(kind string) (grounds []string) {
	for _, reason := range issuance.Reasons[kind] {
		if reason.Has(issuance.ThenFee) {
			grounds = append(grounds, reason.Code)
		}
	}
	return grounds
}

// dueOf goes through what is due at a place, a page at a time; what cannot be
// ordered is passed over.
func (s *Service) dueOf(ctx context.Context, code, place string, due func(*gorm.DB) *gorm.DB, begin func(context.Context, string, []application) (int, error)) (ordered int, err error) {
	scope, err := s.db.Scope(ctx, place)
	if err != nil {
		return 0, err
	}
	for after := uuid.Nil; ; {
		var rows []application
		if err := scope.In(due(s.db.Read(ctx)), "place", "locality").Where("id > ?", after).Order("id").Limit(page).Find(&rows).Error; err != nil {
			return ordered, err
		}
		if len(rows) == 0 {
			return ordered, nil
		}
		after = rows[len(rows)-1].ID
		mine := slices.DeleteFunc(rows, func(a application) bool { return s.server(a.Place) != code })
		n, err := begin(ctx, code, mine)
		if ordered += n; err != nil {
			return ordered, err
		}
	}
}

func (s *Service) dueAccounts(ctx context.Context, code string, rows []application) (ordered int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	ids := make([]uuid.UUID, len(rows))
	for i, a := range rows {
		ids[i] = a.ID
	}
	err = s.changes.InTx(ctx, s.system(), func(tx *registry.Tx) error {
		n, _, err := s.AskAccounts(tx, code, "", ids)
		ordered = n
		return errors.Join(err, tx.Audit("bank.due", "bank:"+code, map[string]string{"accounts": strconv.Itoa(n)}))
	})
	return ordered, err
}

func (s *Service) dueFees(ctx context.Context, code string, rows []application) (charged int, err error) {
	for _, a := range rows {
		err := s.changes.InTx(ctx, s.system(), func(tx *registry.Tx) error {
			_, err := s.Charge(tx, code, a.ID, a.Kind)
			return err
		})
		switch {
		case err == nil:
			charged++
		case errors.Is(err, ErrPaidRecently), errors.Is(err, ErrFeeRunning):
			// It is due when the time is over, or the earlier one has failed.
		default:
			return charged, err
		}
	}
	return charged, nil
}

// serves says whether any bank serves a place by itself.
func (s *Service) serves() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(s.peers)), func(p Peer) bool { return len(p.Serves) > 0 })
}

// checkServes refuses what is no place, and one that two banks serve.
func checkServes(p Peer, others map[string]Peer) error {
	for _, place := range p.Serves {
		taken := func(other Peer) bool { return slices.Contains(other.Serves, place) }
		if len(place) != 6 || strings.Trim(place, "0123456789") != "" || slices.ContainsFunc(slices.Collect(maps.Values(others)), taken) {
			return &registry.FieldError{Field: "bank.serves", ZH: "应为六位地区代码，一个地区只由一家银行服务", EN: "codes of places of 6 digits, each served by one bank"}
		}
	}
	return nil
}
