// Package prints prints cards (卡面打印): what stands on a card's face is taken
// from the records, and what became of each attempt is kept as the operator who
// looked at the card says. Nothing is taken for printed because a document was
// made. It is apart from the chip: printing begins when the chip is made, and a
// face may be printed again, with a reason, while a chip is written once.
package prints

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/card/face"
	"onecard/card/profile"
	"onecard/issuance"
	"onecard/registry"
)

// Photos is where residents' photographs are.
type Photos interface {
	// Photo returns a person's photograph, JPEG or PNG; nil if there is none.
	Photo(ctx context.Context, person uuid.UUID) ([]byte, error)
}

// Service prints cards. It may be used by several goroutines.
type Service struct {
	DB      *registry.DB
	Printer *face.Printer
	Photos  Photos
}

// The refusals.
var (
	ErrNotMade = &issuance.Error{Code: "not-made", Text: profile.Text{ZH: "芯片尚未制成，或卡已作废，不能打印卡面", EN: "the chip is not made yet, or the card is out of use: its face is not printed"}, Remedy: profile.Text{ZH: "请先完成制卡。", EN: "Make the chip first."}}
	ErrNoFont  = &issuance.Error{Code: "no-font", Text: profile.Text{ZH: "省平台缺少卡面字库", EN: "the platform lacks a font of the card's face"}, Remedy: profile.Text{ZH: "请联系省平台安装字库。", EN: "Tell the province."}}
)

// Printable says whether a card's face may be printed now.
func Printable(c issuance.Card) bool {
	return slices.Contains([]string{"made", "inspected"}, c.Production) && c.Status != issuance.StatusCancelled
}

// Face returns the face of a card as a document (PDF) for its holder's
// photograph, or for another where one is given. It is a reading of personal
// data, recorded before it is returned.
func (s *Service) Face(ctx context.Context, actor registry.Actor, c issuance.Card, photo []byte) ([]byte, error) {
	if !Printable(c) {
		return nil, ErrNotMade
	}
	data, err := s.data(ctx, c)
	if err != nil {
		return nil, err
	}
	if photo != nil {
		data.Photo = photo
	}
	document, err := s.Printer.PDF(data)
	if err != nil {
		return nil, explain(err)
	}
	return document, s.DB.InTx(ctx, actor, func(tx *registry.Tx) error {
		if err := tx.Audit("person.read", "person:"+c.PersonID.String(), map[string]string{"purpose": "card-face"}); err != nil {
			return err
		}
		return tx.Audit("card.face", "card:"+c.ID.String(), nil)
	})
}

// data is what stands on a card's face.
func (s *Service) data(ctx context.Context, c issuance.Card) (face.Data, error) {
	person, err := s.DB.PersonByID(ctx, c.PersonID)
	if err != nil {
		return face.Data{}, err
	}
	bank, err := s.bank(ctx, c.ID)
	if err != nil {
		return face.Data{}, err
	}
	photo, err := s.Photos.Photo(ctx, c.PersonID)
	return face.Data{
		Name: person.Name, NameTibetan: person.NameTibetan, Number: person.Number(), Birth: person.Birth, CardNumber: c.Number,
		IssuedOn: c.IssuedOn, ExpiresOn: c.ExpiresOn, Issuer: s.Printer.Issuer(), Bank: bank, Photo: photo,
	}, err
}

// explain gives what cannot be printed the words of a refusal.
func explain(err error) error {
	var field *face.FieldError
	var missing *face.GlyphError
	var font *face.FontError
	switch {
	case errors.As(err, &field):
		return &registry.FieldError{Field: field.Field, ZH: field.ZH, EN: field.EN}
	case errors.As(err, &missing):
		return &registry.FieldError{
			Field: missing.Field,
			ZH:    fmt.Sprintf("字库没有“%c”（%U）这个字，不能打印", missing.Character, missing.Character),
			EN:    fmt.Sprintf("no font has the character %c (%U): not printed", missing.Character, missing.Character),
		}
	case errors.As(err, &font):
		return fmt.Errorf("%w: %w", ErrNoFont, font)
	}
	return err
}

// Outcomes of an attempt.
const (
	Printed = "printed" // 打印完好
	Failed  = "failed"  // 打印失败
)

// Attempt is a card's face printed once (打印记录).
type Attempt struct {
	ID          uuid.UUID `gorm:"column:id;primaryKey"`
	CardID      uuid.UUID `gorm:"column:card_id"`
	Number      int       `gorm:"column:attempt"` // of the card, from 1
	Printer     string    `gorm:"column:printer"`
	Outcome     string    `gorm:"column:outcome"`
	Cause       string    `gorm:"column:cause"`  // of a failure
	Again       bool      `gorm:"column:again"`  // it had been printed well before
	Reason      string    `gorm:"column:reason"` // to print it again
	Operator    string    `gorm:"column:operator"`
	Workstation string    `gorm:"column:workstation"`
	At          time.Time `gorm:"column:at"`
}

// TableName implements gorm's schema.Tabler.
func (Attempt) TableName() string { return "card_prints" }

// Told is what an operator says of an attempt.
type Told struct{ Printer, Outcome, Cause, Reason string }

// Record keeps what became of an attempt.
func (s *Service) Record(tx *registry.Tx, cardID uuid.UUID, told Told) (Attempt, error) {
	// The card is held, so that two who print it have numbers of their own.
	var card struct{ Status, Production string }
	err := tx.ForUpdate().Table("cards").Where("id = ?", cardID).
		Select("status", "production").Take(&card).Error
	if err != nil {
		return Attempt{}, err
	}
	if !Printable(issuance.Card{Status: card.Status, Production: card.Production}) {
		return Attempt{}, ErrNotMade
	}
	earlier, err := attempts(tx.DB(), cardID)
	if err != nil {
		return Attempt{}, err
	}
	row := Attempt{
		CardID: cardID, Number: len(earlier) + 1, Printer: strings.TrimSpace(told.Printer), Outcome: told.Outcome, Cause: strings.TrimSpace(told.Cause),
		Again: well(earlier), Reason: strings.TrimSpace(told.Reason), Operator: tx.Actor().Operator, Workstation: tx.Actor().Workstation, At: tx.Now(),
	}
	if err := row.check(); err != nil {
		return Attempt{}, err
	}
	if row.ID, err = tx.NewID(); err != nil {
		return Attempt{}, err
	}
	if err := tx.DB().Create(&row).Error; err != nil {
		return Attempt{}, fmt.Errorf("card prints: %w", err)
	}
	return row, tx.Audit("card."+row.Outcome, "card:"+cardID.String(), map[string]string{"attempt": fmt.Sprint(row.Number), "printer": row.Printer})
}

// maxWords bounds a cause or a reason, in characters.
const maxWords = 300

func (a Attempt) check() error {
	switch {
	case a.Outcome != Printed && a.Outcome != Failed:
		return &registry.FieldError{Field: "outcome", ZH: "应为 printed 或 failed", EN: "printed or failed"}
	case a.Printer == "" || utf8.RuneCountInString(a.Printer) > 64:
		return &registry.FieldError{Field: "printer", ZH: "应为打印机名称，至多 64 个字", EN: "the printer's name, 64 characters at most"}
	case (a.Outcome == Failed) != (a.Cause != "") || utf8.RuneCountInString(a.Cause) > maxWords:
		return &registry.FieldError{Field: "cause", ZH: "打印失败须说明原因，打印完好不填", EN: "why it failed, and only then"}
	case a.Again != (a.Reason != "") || utf8.RuneCountInString(a.Reason) > maxWords:
		return &registry.FieldError{Field: "reason", ZH: "卡面已打印完好的，重打须说明原因；首次打印不填", EN: "why it is printed again after it was printed well, and only then"}
	}
	return nil
}

func attempts(db *gorm.DB, cardID uuid.UUID) (all []Attempt, err error) {
	return all, db.Where("card_id = ?", cardID).Order("attempt").Find(&all).Error
}

// well says whether one of the attempts ended well.
func well(all []Attempt) bool {
	return slices.ContainsFunc(all, func(a Attempt) bool { return a.Outcome == Printed })
}

// Prints is how a card's printing stands.
type Prints struct {
	Offered  bool // it may be printed now
	Printed  bool // and was, well: printed again it needs a reason
	Attempts []Attempt
}

// Of returns how a card's printing stands.
func (s *Service) Of(ctx context.Context, c issuance.Card) (Prints, error) {
	all, err := attempts(s.DB.Read(ctx), c.ID)
	return Prints{Offered: Printable(c), Printed: well(all), Attempts: all}, err
}
