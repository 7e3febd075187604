package issuance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/card"
	"onecard/card/profile"
	"onecard/issuance/session"
	"onecard/registry"
)

// intention is what a personalisation is to write.
type intention struct {
	contents   card.Contents
	keyVersion int
}

// personalise prepares a personalisation (制卡). The intention stands in the
// journal, committed, before the first script is made; whoever begins again
// with the same chip, at whatever counter, gets the same one.
func (s *Service) personalise(ctx context.Context, actor registry.Actor, p *profile.Profile, id *card.Identity, o OpenSession) (job, error) {
	if id.Blocked {
		return job{}, card.ErrApplicationBlocked
	}
	var plan intention
	err := s.db.InTx(ctx, actor, func(tx *registry.Tx) (err error) {
		plan, err = s.intend(tx, p, id, o)
		return err
	})
	if err != nil {
		return job{}, err
	}
	work, err := card.NewPersonalise(p, id, plan.contents, plan.keyVersion)
	if err != nil {
		return job{}, err
	}
	return job{work: work, kind: EventPersonalise, subject: *o.ApplicationID, prepare: func(tx *registry.Tx) error {
		// The chip may have been spoiled while its first script was made.
		if _, err := lockApplication(tx, *o.ApplicationID); err != nil {
			return err
		}
		_, err := begunOn(tx, *o.ApplicationID, id)
		return err
	}}, nil
}

// intend finds the intention in the journal, or stores it.
func (s *Service) intend(tx *registry.Tx, p *profile.Profile, id *card.Identity, o OpenSession) (intention, error) {
	application, err := lockApplication(tx, *o.ApplicationID)
	if err != nil {
		return intention{}, err
	}
	rule, _, err := s.permitted(&Applications, tx, application.State, application.about(), Asked{Event: EventPersonalise, Roles: o.Roles, chip: true})
	if err != nil {
		return intention{}, err
	}
	begun, err := begunFor(tx, application.ID)
	if err != nil {
		return intention{}, err
	}
	if begun != nil {
		return s.resume(tx, begun, id)
	}
	if !id.Blank() {
		return intention{}, card.ErrAlreadyPersonalised
	}
	plan, err := s.plan(tx, p, application)
	if err != nil {
		return intention{}, err
	}
	if err := s.begin(tx, application.ID, id, plan); err != nil {
		return intention{}, err
	}
	return plan, s.moveApplication(tx, &application, rule, map[string]any{}, "")
}

// underWay chooses the personalisation that an application has under way. The
// state is part of the text: a plan that serves every value could not use the
// index of those under way.
const underWay = "application_id = ? AND state = '" + journalBegun + "'"

// begunFor returns the personalisation that an application has under way, or
// nil. The application is locked.
func begunFor(tx *registry.Tx, applicationID uuid.UUID) (*personalisationRow, error) {
	var rows []personalisationRow
	if err := tx.DB().Where(underWay, applicationID).Limit(1).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("journal of personalisation: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return &rows[0], nil
}

// begunOn returns the personalisation that an application has under way on a
// chip, or ErrChipUsed. The application is locked.
func begunOn(tx *registry.Tx, applicationID uuid.UUID, id *card.Identity) (*personalisationRow, error) {
	begun, err := begunFor(tx, applicationID)
	if err == nil && (begun == nil || begun.ATR != upperHex(id.ATR)) {
		err = ErrChipUsed
	}
	return begun, err
}

// resume goes on with what was begun, on the same chip only.
func (s *Service) resume(tx *registry.Tx, begun *personalisationRow, id *card.Identity) (intention, error) {
	if begun.ATR != upperHex(id.ATR) {
		return intention{}, otherChip(begun.ChipSerial)
	}
	plain, err := s.db.Unseal(tx.Context(), "personalisations.intention", begun.ID.String(), begun.Intention)
	if err != nil {
		return intention{}, err
	}
	plan := intention{keyVersion: begun.KeyVersion}
	if err := json.Unmarshal(plain, &plan.contents); err != nil {
		return intention{}, fmt.Errorf("journal of personalisation: %w", err)
	}
	attempt := tx.DB().Model(&personalisationRow{}).Where("id = ?", begun.ID).Update("attempts", gorm.Expr("attempts + 1"))
	if attempt.Error != nil {
		return intention{}, fmt.Errorf("journal of personalisation: %w", attempt.Error)
	}
	return plan, tx.Audit("personalisation.resume", "application:"+begun.ApplicationID.String(), map[string]string{"chip": begun.ChipSerial})
}

// plan makes the intention for an application's first chip.
func (s *Service) plan(tx *registry.Tx, p *profile.Profile, application applicationRow) (intention, error) {
	person, err := tx.PersonByID(application.PersonID)
	if err != nil {
		return intention{}, err
	}
	policy, err := s.policy(person.Place, tx.Now())
	if err != nil {
		return intention{}, err
	}
	if !slices.Contains(policy.SpecVersions, p.Version) {
		return intention{}, otherVersion(p.Version, policy.SpecVersions)
	}
	if application.CardNumber == nil {
		return intention{}, fmt.Errorf("application %s: state %s without a card number: %w", application.ID, application.State, registry.ErrConflict)
	}
	plan := intention{contents: contents(person, policy, application.Kind, *application.CardNumber, tx.Now()), keyVersion: policy.KeyVersion}
	return plan, plan.contents.Check(p)
}

// begin writes the intention into the journal.
func (s *Service) begin(tx *registry.Tx, applicationID uuid.UUID, id *card.Identity, plan intention) error {
	rowID, err := tx.NewID()
	if err != nil {
		return fmt.Errorf("journal of personalisation: new id: %w", err)
	}
	sealed, err := s.sealJSON(tx, "personalisations.intention", rowID, plan.contents)
	if err != nil {
		return err
	}
	row := personalisationRow{
		ID: rowID, ApplicationID: applicationID, ChipSerial: id.Serial(), ATR: upperHex(id.ATR), CardNumber: plan.contents.CardNumber,
		Intention: sealed, KeyVersion: plan.keyVersion, State: journalBegun, Attempts: 1, BegunAt: tx.Now(),
	}
	if err := tx.DB().Create(&row).Error; err != nil {
		if errors.Is(err, registry.ErrDuplicate) {
			return ErrChipUsed
		}
		return fmt.Errorf("journal of personalisation: %w", err)
	}
	return s.stock.Use(tx, row.ChipSerial, applicationID)
}

func (s *Service) sealJSON(tx *registry.Tx, column string, row uuid.UUID, value any) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", column, err)
	}
	return s.db.Seal(tx.Context(), column, row.String(), plain)
}

// spoil records the chip of a personalisation as spoiled (废芯片): it is never
// used again, and nobody goes on with it.
func (s *Service) spoil(tx *registry.Tx, application applicationRow) error {
	begun, err := begunFor(tx, application.ID)
	if err != nil {
		return err
	}
	if begun == nil {
		return registry.ErrConflict
	}
	result := tx.DB().Model(&personalisationRow{}).Where(underWay, application.ID).
		Updates(map[string]any{"state": journalSpoiled, "ended_at": tx.Now()})
	if result.Error != nil {
		return fmt.Errorf("journal of personalisation: %w", result.Error)
	}
	if result.RowsAffected != 1 {
		return registry.ErrConflict
	}
	if err := s.stock.Spoil(tx, begun.ChipSerial, "制卡作废 spoiled in production, application "+application.ID.String()); err != nil {
		return err
	}
	return s.sessions.End(tx, application.ID.String())
}

// made records the card that a personalisation has made: the card of record,
// the end of the journal with what was read back, the application's new state.
func (s *Service) made(tx *registry.Tx, applicationID uuid.UUID, work session.Work) (cardRow, error) {
	done, ok := work.(*card.Personalise)
	if !ok {
		return cardRow{}, fmt.Errorf("a personalisation ended as %T", work)
	}
	application, err := lockApplication(tx, applicationID)
	if err != nil {
		return cardRow{}, err
	}
	rule, ok := Applications.Rule(application.State, EventPersonalise)
	if !ok || rule.To != StateMade {
		return cardRow{}, ErrNotAllowed
	}
	row, err := newCard(tx, application, MadeCard{
		Number: done.Contents.CardNumber, ChipID: upperHex(done.CardID), ChipSerial: done.Identity.Serial(), ATR: upperHex(done.Identity.ATR),
		SpecVersion: done.Identity.Version, KeyVersion: done.KeyVersion, IssuedOn: done.Contents.IssuedOn, ExpiresOn: done.Contents.ExpiresOn, Custody: "county",
	})
	if err != nil {
		return cardRow{}, err
	}
	if err := s.closeJournal(tx, applicationID, done); err != nil {
		return cardRow{}, err
	}
	if err := s.stock.Made(tx, row.ChipSerial, row.ID); err != nil {
		return cardRow{}, err
	}
	if err := s.moveApplication(tx, &application, rule, map[string]any{"card_id": row.ID, "made_by": tx.Actor().Operator}, ""); err != nil {
		return cardRow{}, err
	}
	return row, tx.Audit("card.made", "card:"+row.ID.String(), map[string]string{"application": applicationID.String(), "chip": row.ChipSerial})
}

// closeJournal ends the personalisation of this chip; another one's would stay
// as it is.
func (s *Service) closeJournal(tx *registry.Tx, applicationID uuid.UUID, done *card.Personalise) error {
	begun, err := begunOn(tx, applicationID, done.Identity)
	if err != nil {
		return err
	}
	receipt, err := s.sealJSON(tx, "personalisations.receipt", begun.ID, done.Values())
	if err != nil {
		return err
	}
	result := tx.DB().Model(&personalisationRow{}).Where("id = ? AND state = ?", begun.ID, journalBegun).
		Updates(map[string]any{"state": journalMade, "receipt": receipt, "ended_at": tx.Now()})
	if result.Error != nil {
		return fmt.Errorf("journal of personalisation: %w", result.Error)
	}
	if result.RowsAffected != 1 {
		return registry.ErrConflict
	}
	return nil
}
