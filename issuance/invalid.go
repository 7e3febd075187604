package issuance

import (
	"context"
	"fmt"
	"time"

	"onecard/registry"
)

// listInvalid notes a change of status for the terminals (失效名单), in the
// transaction of the change.
func listInvalid(tx *registry.Tx, row cardRow) {
	tx.AppendNumbered(sequenceInvalid, "seq", &invalidRow{}, map[string]any{
		"card_id": row.ID, "chip_id": row.ChipID, "card_number": row.Number, "status": row.Status, "at": tx.Now(),
	})
}

// Grade is what a terminal does with a card on the list (失效等级).
type Grade struct {
	Code string
	Text Text
}

// Grades are those of each status: how far a terminal that cannot ask goes.
var Grades = map[string]Grade{
	StatusTempLost:  {"refuse", Text{"暂停使用，可解挂", "refuse; the report may be cancelled"}},
	StatusLost:      {"refuse-and-report", Text{"拒绝使用，并告知所在地", "refuse, and report where it was shown"}},
	StatusLocked:    {"refuse", Text{"拒绝使用，到窗口办理", "refuse; the holder asks at an office"}},
	StatusCancelled: {"retain", Text{"拒绝使用，可收回", "refuse; the card may be kept"}},
}

// InvalidCard is a card's latest change on the list of invalid cards: the
// status that it has from then on; 0 and 1 take it off the list.
type InvalidCard struct {
	Seq        int64     `json:"seq"`
	ChipID     string    `json:"chipId"`
	CardNumber string    `json:"cardNumber"`
	Status     string    `json:"status"`
	Grade      string    `json:"grade,omitempty"`
	At         time.Time `json:"at"`
}

// InvalidList is a page of the list of invalid cards as the province knew it at
// an instant: what changed after Since, up to Latest.
type InvalidList struct {
	IssuedAt time.Time     `json:"issuedAt"`
	Since    int64         `json:"since"`
	Latest   int64         `json:"latest"`
	Entries  []InvalidCard `json:"entries"`
}

// listPage is how many changes one answer holds.
const listPage = 5000

// InvalidCards returns the latest change of each card that changed after a
// sequence number, in their order, and the number up to which they go: ask
// again with it, until nothing comes. Since 0 it is the full list and leaves
// out what is valid again.
func (s *Service) InvalidCards(ctx context.Context, since int64) (InvalidList, error) {
	list := InvalidList{IssuedAt: s.db.Now(), Since: since, Latest: since}
	query := s.db.Read(ctx).Where("seq > ?", since).
		Where("NOT EXISTS (SELECT 1 FROM invalid_cards later WHERE later.card_id = invalid_cards.card_id AND later.seq > invalid_cards.seq)")
	if since == 0 {
		query = query.Where("status <> ?", StatusNormal)
	}
	var rows []invalidRow
	if err := query.Order("seq").Limit(listPage).Find(&rows).Error; err != nil {
		return InvalidList{}, fmt.Errorf("list of invalid cards: %w", err)
	}
	list.Entries = make([]InvalidCard, len(rows))
	for i, row := range rows {
		list.Entries[i] = InvalidCard{Seq: row.Seq, ChipID: row.ChipID, CardNumber: row.CardNumber, Status: row.Status, Grade: Grades[row.Status].Code, At: row.At.UTC()}
		list.Latest = row.Seq
	}
	return list, nil
}

// SignList signs a page of the list in the province's name, so that a terminal
// may rely on it wherever it comes from, and knows how old it is.
func (s *Service) SignList(list InvalidList) (string, error) { return s.signer.Sign(list) }
