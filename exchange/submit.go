package exchange

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"onecard/registry"
)

// Submit carries out what a terminal asks for and returns the transaction as it
// then stands: confirmed, declined (with the reason), or unknown, when the back
// end gave no usable answer and recovery will settle it.
//
// The same request again is answered from the journal, with ErrRunning beside
// the transaction while the first has not ended. Another request under the same
// id is ErrIDReused. What the exchange itself does not let through is a
// *Refusal, what is wrongly written an *Invalid; neither leaves a transaction.
func (s *Service) Submit(ctx context.Context, actor registry.Actor, req Request) (Transaction, error) {
	if req.Terminal == "" {
		req.Terminal = actor.Workstation
	}
	if err := req.check(s.config.Now(), s.config.DaysBack); err != nil {
		return Transaction{}, err
	}
	print, err := req.fingerprint()
	if err != nil {
		return Transaction{}, err
	}
	// Only a short cut: whether the id is new is decided by the insert below.
	if r, err := find(s.config.DB.Read(ctx), req.ID); err == nil {
		return repeated(r, print)
	} else if !errors.Is(err, ErrNotFound) {
		return Transaction{}, err
	}
	r, err := s.intend(ctx, actor, req, print)
	if err != nil {
		return Transaction{}, s.refused(ctx, actor, req.ID, err)
	}
	fresh, err := s.begin(ctx, actor, &r)
	if err != nil {
		return Transaction{}, s.refused(ctx, actor, req.ID, err)
	}
	if !fresh {
		return repeated(r, print)
	}
	return s.carry(ctx, actor, r)
}

// repeated answers a request whose id is in the journal.
func repeated(r row, print []byte) (Transaction, error) {
	if r.State == StateBlocked {
		return Transaction{}, ErrBlocked
	}
	if !bytes.Equal(r.Fingerprint, print) {
		return Transaction{}, ErrIDReused
	}
	t, err := r.transaction()
	if err == nil && t.State == StatePending {
		err = ErrRunning
	}
	return t, err
}

// intend makes the journal's row: what was proven, who is insured where, and
// which rule decides.
func (s *Service) intend(ctx context.Context, actor registry.Actor, req Request, print []byte) (row, error) {
	business, known := s.config.Routes.business(req.Business)
	if !known {
		var bad Invalid
		bad.add("business", "没有该业务类型", "a business of the routes")
		return row{}, &bad
	}
	if req.Terminal != actor.Workstation {
		return row{}, ErrProofUnknown
	}
	proof, err := s.proof(ctx, req)
	if err != nil {
		return row{}, err
	}
	site, err := s.config.Sites.Site(ctx, req.Terminal)
	if err != nil {
		return row{}, fmt.Errorf("exchange: site of the terminal: %w", err)
	}
	if !slices.Contains(business.Sites, site.Kind) {
		return row{}, ErrWrongSite
	}
	insured, err := s.config.Insurances.Insurance(ctx, proof.PersonID, req.Date)
	if err != nil {
		return row{}, fmt.Errorf("exchange: insurance of the holder: %w", err)
	}
	rule, refusal := s.config.Routes.route(req.Business, insured, site.Place)
	if refusal != nil {
		return row{}, refusal
	}
	items, err := encode(req.Items)
	if err != nil {
		return row{}, err
	}
	valid := func(id uuid.UUID) uuid.NullUUID { return uuid.NullUUID{UUID: id, Valid: true} }
	return row{
		ID: req.ID, State: StatePending, Business: req.Business, Fingerprint: print,
		Institution: site.Institution, InstitutionName: site.Name, InstitutionKind: site.Kind,
		InstitutionLevel: site.Level, PlaceOfTreatment: site.Place, Terminal: req.Terminal,
		BusinessDate: sql.NullString{String: req.Date.String(), Valid: true},
		SerialNumber: sql.NullInt64{Int64: req.SerialNumber, Valid: true},
		ProofID:      valid(req.ProofID), CardID: valid(proof.CardID), CardNumber: proof.CardNumber, PersonID: valid(proof.PersonID),
		InsuranceKind: insured.Kind, PlaceInsured: insured.Place,
		Rule: rule.ID, RoutesVersion: s.config.Routes.Version, Backend: rule.Backend,
		TotalFen: req.TotalFen, Items: items, Operator: actor.Operator,
	}, nil
}

// proof checks what the chip session showed, apart from the card's status.
func (s *Service) proof(ctx context.Context, req Request) (Proof, error) {
	proof, err := s.config.Proofs.Proof(ctx, req.ProofID)
	if err != nil {
		return Proof{}, fmt.Errorf("exchange: proof of the card: %w", err)
	}
	age := s.config.Now().Sub(proof.At)
	switch {
	case proof.Workstation != req.Terminal:
		return Proof{}, ErrProofUnknown
	case !proof.Genuine:
		return Proof{}, ErrNotGenuine
	case age > s.config.ProofAge || age < -s.config.ProofAge:
		return Proof{}, ErrProofExpired
	}
	return proof, nil
}

// begin is the first transaction: the card is normal at this instant, and the
// intention is in the journal. It reports false when the id was there already
// and r is now the stored row.
func (s *Service) begin(ctx context.Context, actor registry.Actor, r *row) (fresh bool, err error) {
	business, _ := s.config.Routes.business(r.Business)
	intent := *r
	err = s.config.DB.InTx(ctx, actor, func(tx *registry.Tx) error {
		fresh, *r = false, intent
		status, err := s.config.Proofs.CardStatus(tx, r.CardID.UUID)
		if err != nil {
			return fmt.Errorf("exchange: status of the card: %w", err)
		}
		if status != statusNormal {
			return notNormal(status)
		}
		r.CreatedAt = tx.Now()
		r.Deadline = tx.Now().Add(business.Timeout + patience)
		if fresh, err = insert(tx, r); err != nil {
			return err
		}
		if !fresh {
			stored, err := find(tx.DB(), r.ID)
			if errors.Is(err, ErrNotFound) {
				return ErrSerialReused
			} else if err != nil {
				return err
			}
			*r = stored
			return errMoved
		}
		return tx.Audit("transaction.begin", subject(r.ID), map[string]string{
			"business": r.Business, "card": r.CardID.UUID.String(), "rule": r.Rule, "backend": r.Backend,
			"institution": r.Institution, "totalFen": fmt.Sprint(int64(r.TotalFen))})
	})
	if errors.Is(err, errMoved) {
		return false, nil
	}
	return fresh, err
}

// carry asks the back end and posts what it says.
func (s *Service) carry(ctx context.Context, actor registry.Actor, r row) (Transaction, error) {
	t, err := r.transaction()
	if err != nil {
		return Transaction{}, err
	}
	business, _ := s.config.Routes.business(r.Business)
	outcome, err := ask(ctx, business.Timeout, func(ctx context.Context) (Outcome, error) {
		return s.config.Backends[r.Backend].Submit(ctx, t.message())
	})
	if err == nil {
		err = outcome.Check(r.TotalFen)
	}
	e, change := eventLose, map[string]any(nil)
	switch {
	case err != nil:
		s.config.Logger.WarnContext(ctx, "交易结果未知 outcome unknown", "transaction", r.ID, "backend", r.Backend, "error", err)
	case outcome.Result == Confirmed:
		lines, err := encode(outcome.Lines)
		if err != nil {
			return Transaction{}, err
		}
		e, change = eventConfirm, map[string]any{"fund_fen": outcome.Fund, "account_fen": outcome.Account,
			"cash_fen": outcome.Cash, "balance_fen": outcome.Balance, "lines": lines}
	default:
		reason, err := encode(outcome.Reason)
		if err != nil {
			return Transaction{}, err
		}
		e, change = eventDecline, map[string]any{"refusal": reason}
	}
	return s.post(ctx, actor, r, e, change)
}

// post is the second transaction. When the row has moved on meanwhile, by
// recovery or by a reversal, this answer is late and not taken.
func (s *Service) post(ctx context.Context, actor registry.Actor, r row, e event, change map[string]any) (Transaction, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	var now row
	err := s.config.DB.InTx(ctx, actor, func(tx *registry.Tx) error {
		fired := fire(tx, r, e, change)
		if fired != nil && !errors.Is(fired, errMoved) {
			return fired
		}
		var err error
		if now, err = find(tx.DB(), r.ID); err != nil {
			return err
		}
		return fired
	})
	if err != nil && !errors.Is(err, errMoved) {
		return Transaction{}, fmt.Errorf("exchange: post the outcome of %s: %w", r.ID, err)
	}
	return now.transaction()
}

// refused records that a request was not let through, and why: a card reported
// lost that is presented again is worth knowing. It returns the reason.
func (s *Service) refused(ctx context.Context, actor registry.Actor, id uuid.UUID, reason error) error {
	var refusal *Refusal
	if !errors.As(reason, &refusal) {
		return reason
	}
	err := s.config.DB.InTx(ctx, actor, func(tx *registry.Tx) error {
		return tx.Audit("transaction.refuse", subject(id), map[string]string{"code": refusal.Code, "cardStatus": refusal.Status})
	})
	return errors.Join(reason, err)
}
