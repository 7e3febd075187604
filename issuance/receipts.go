package issuance

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"onecard/card"
	"onecard/issuance/session"
	"onecard/registry"
)

// Signer signs the JSON of a payload in the province's name.
type Signer interface {
	Sign(payload any) (string, error)
}

// Receipt is what the province certifies of a card that it has made (制卡回执): it
// was read back and was as intended. It holds nothing of the holder: what was
// written stands there as digests that only the province's keeper can make.
type Receipt struct {
	Card        uuid.UUID `json:"card"`
	ChipID      string    `json:"chipId"` // 卡识别码
	SpecVersion string    `json:"specVersion"`
	KeyVersion  int       `json:"keyVersion"`
	Genuine     bool      `json:"genuine"` // the chip proved that it has its new key
	Session     uuid.UUID `json:"session"`
	Operator    string    `json:"operator"`
	Workstation string    `json:"workstation"`
	Place       string    `json:"place"`
	At          time.Time `json:"at"`
	Elements    []Digest  `json:"elements"`
}

// Digest stands for an element as it was read back.
type Digest struct {
	File   string `json:"file"`
	Tag    string `json:"tag"`
	Digest string `json:"digest"` // hexadecimal
}

type receiptRow struct {
	CardID  uuid.UUID
	Receipt string
	At      time.Time
}

func (receiptRow) TableName() string { return "card_receipts" }

// certify signs the receipt of a card that was just made and stores it.
func (s *Service) certify(tx *registry.Tx, about session.Session, row cardRow, done session.Work) error {
	receipt := Receipt{
		Card: row.ID, ChipID: row.ChipID, SpecVersion: row.SpecVersion, KeyVersion: row.KeyVersion, Genuine: done.Genuine(),
		Session: about.ID, Operator: about.Operator, Workstation: about.Workstation, Place: about.Place, At: tx.Now(),
	}
	for _, value := range done.Values() {
		digest, err := s.digest(tx.Context(), row.ID, value)
		if err != nil {
			return err
		}
		receipt.Elements = append(receipt.Elements, digest)
	}
	token, err := s.signer.Sign(receipt)
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	if err := tx.DB().Create(&receiptRow{CardID: row.ID, Receipt: token, At: tx.Now()}).Error; err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	return nil
}

// digest is of this element of this card: the same name on two cards has two.
func (s *Service) digest(ctx context.Context, card uuid.UUID, value card.Value) (Digest, error) {
	text, err := json.Marshal([]string{card.String(), value.File, value.Tag, value.Value})
	if err != nil {
		return Digest{}, fmt.Errorf("receipt: %w", err)
	}
	index, err := s.db.Index(ctx, "card_receipts", text)
	if err != nil {
		return Digest{}, fmt.Errorf("receipt: %w", err)
	}
	return Digest{File: value.File, Tag: value.Tag, Digest: hex.EncodeToString(index)}, nil
}

// Receipt returns the signed receipt of a card, or registry.ErrNotFound.
func (s *Service) Receipt(ctx context.Context, cardID uuid.UUID) (string, error) {
	var row receiptRow
	if err := s.db.Read(ctx).Where("card_id = ?", cardID).Take(&row).Error; err != nil {
		return "", err
	}
	return row.Receipt, nil
}

// Attests says whether a receipt is of these values: what a card holds now, say.
// It returns those that are different, by file and tag.
func (s *Service) Attests(ctx context.Context, r Receipt, values []card.Value) (different []card.Value, err error) {
	known := map[Digest]bool{}
	for _, d := range r.Elements {
		known[d] = true
	}
	for _, value := range values {
		d, err := s.digest(ctx, r.Card, value)
		if err != nil {
			return nil, err
		}
		if !known[d] {
			different = append(different, value)
		}
	}
	return different, nil
}
