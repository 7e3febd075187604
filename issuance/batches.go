package issuance

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/card"
	"onecard/internal/gb"
	"onecard/registry"
)

// MadeCard is a card as whoever made it reports it.
type MadeCard struct {
	Number      string // 卡号 AAZ500
	ChipID      string // 卡识别码 AAZ501, 32 upper-case hexadecimal digits
	ChipSerial  string // 8 hexadecimal digits
	ATR         string // 卡复位信息 AAZ507
	SpecVersion string // 规范版本 AAZ508
	KeyVersion  int    // of the province's keys that it holds
	IssuedOn    gb.Date
	ExpiresOn   gb.Date
	Custody     string // where it is
}

// newCard records a card that was made for an application.
func newCard(tx *registry.Tx, application applicationRow, made MadeCard) (cardRow, error) {
	id, err := tx.NewID()
	if err != nil {
		return cardRow{}, fmt.Errorf("record the card: new id: %w", err)
	}
	row := cardRow{
		ID: id, Number: made.Number, ChipID: made.ChipID, ChipSerial: made.ChipSerial, ATR: made.ATR,
		PersonID: application.PersonID, SpecVersion: made.SpecVersion, KeyVersion: made.KeyVersion, Status: Cards.Initial,
		IssuedOn: made.IssuedOn.String(), ExpiresOn: made.ExpiresOn.String(), CreatedAt: tx.Now(), Stamp: tx.Stamp(""),
		Production: "made", Custody: made.Custody, Chip: "personalised", Ministry: "unsent", Kind: CardPermanent, ApplicationID: &application.ID,
	}
	if application.Kind == KindTemporary {
		row.Kind = CardTemporary
	}
	tx.Queue(func(db *gorm.DB) *gorm.DB { return db.Create(&row) }, func(err error) error {
		if errors.Is(err, registry.ErrDuplicate) {
			return ErrHasCard
		}
		return fmt.Errorf("record the card: %w", err)
	})
	return row, nil
}

// Batch puts an application into a batch (编入批次) and returns what the card is
// to say of its holder and the version of the keys that it is to get.
func (s *Service) Batch(tx *registry.Tx, id uuid.UUID, roles []string) (card.Contents, int, error) {
	row, err := s.fireByBatch(tx, id, Asked{Event: EventBatch, Roles: roles}, map[string]any{})
	if err != nil {
		return card.Contents{}, 0, err
	}
	return s.contentsOf(tx, row)
}

// BatchContents returns again what [Service.Batch] returned, as long as it is
// still what was reviewed (ErrReviewAgain).
func (s *Service) BatchContents(tx *registry.Tx, id uuid.UUID) (card.Contents, int, error) {
	row, err := lockApplication(tx, id)
	if err != nil {
		return card.Contents{}, 0, err
	}
	if row.State != StateBatched {
		return card.Contents{}, 0, ErrNotAllowed
	}
	if err := s.unchanged(tx, row.about()); err != nil {
		return card.Contents{}, 0, err
	}
	return s.contentsOf(tx, row)
}

func (s *Service) contentsOf(tx *registry.Tx, row applicationRow) (card.Contents, int, error) {
	person, err := tx.PersonByID(row.PersonID)
	if err != nil {
		return card.Contents{}, 0, err
	}
	policy, err := s.policy(person.Place, tx.Now())
	if err != nil {
		return card.Contents{}, 0, err
	}
	return contents(person, policy, row.Kind, *row.CardNumber, tx.Now()), policy.KeyVersion, nil
}

// Unbatch takes an application out of its batch (退出批次): its account was not
// opened, its card not made. It waits for another batch, with the same number
// unless a chip may say it already.
func (s *Service) Unbatch(tx *registry.Tx, id uuid.UUID, code, reason string, newNumber bool, roles []string) error {
	changes := map[string]any{}
	if newNumber {
		number, err := nextCardNumber(tx)
		if err != nil {
			return err
		}
		changes["card_number"] = number
	}
	_, err := s.fireByBatch(tx, id, Asked{Event: EventUnbatch, Code: code, Reason: reason, Roles: roles}, changes)
	return err
}

// Make records the card that a maker has made for an application in a batch
// (工厂回盘). madeBy is the maker.
func (s *Service) Make(tx *registry.Tx, id uuid.UUID, made MadeCard, madeBy string, roles []string) (Card, error) {
	application, err := lockApplication(tx, id)
	if err != nil {
		return Card{}, err
	}
	rule, _, err := s.byBatch(tx, application, Asked{Event: EventMake, Roles: roles})
	if err != nil {
		return Card{}, err
	}
	if application.CardNumber == nil || *application.CardNumber != made.Number {
		return Card{}, ErrRecordDiffers
	}
	row, err := newCard(tx, application, made)
	if err != nil {
		return Card{}, err
	}
	if err := s.moveApplication(tx, &application, rule, map[string]any{"card_id": row.ID, "made_by": madeBy}, ""); err != nil {
		return Card{}, err
	}
	if err := tx.Audit("card.made", "card:"+row.ID.String(), map[string]string{"application": id.String(), "chip": row.ChipSerial, "maker": madeBy}); err != nil {
		return Card{}, err
	}
	return row.domain()
}

func (s *Service) fireByBatch(tx *registry.Tx, id uuid.UUID, ask Asked, changes map[string]any) (applicationRow, error) {
	row, err := lockApplication(tx, id)
	if err != nil {
		return applicationRow{}, err
	}
	rule, reason, err := s.byBatch(tx, row, ask)
	if err != nil {
		return applicationRow{}, err
	}
	if rule.Reasons != "" {
		changes["reason"] = reason.words(ask)
	}
	return row, s.moveApplication(tx, &row, rule, changes, ask.Code)
}

// byBatch finds the rule for what a batch asks of an application.
func (s *Service) byBatch(tx *registry.Tx, row applicationRow, ask Asked) (Rule, Reason, error) {
	ask.by = ByBatch
	rule, reason, err := s.permitted(&Applications, tx, row.State, row.about(), ask)
	if err == nil && !rule.Allows(ask.Roles) {
		err = ErrNoRight
	}
	return rule, reason, err
}
