package issuance

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"onecard/registry"
)

// guard is a condition that the table names.
type guard struct {
	text  Text
	holds func(s *Service, tx *registry.Tx, about subject) error
}

// The guards.
const (
	NeedsOtherPerson   = "otherPerson"
	NeedsOtherHand     = "otherHand"
	NeedsAlive         = "alive"
	NeedsUnchanged     = "unchanged"
	NeedsNoReplacement = "noReplacement"
	NeedsAlone         = "alone"
	NeedsRevocable     = "revocable"
	NeedsRegion        = "region"
	NeedsOtherOfficer  = "otherOfficer"
	NeedsChipOpen      = "chipOpen"
	NeedsInstant       = "instant"
	NeedsBatch         = "batch"
	NeedsTaker         = "taker"
	NeedsPrinted       = "printed"
	NeedsNotElsewhere  = "notElsewhere"
)

var guards map[string]guard

func init() { // the guards read the tables that name them
	guards = map[string]guard{
		NeedsOtherPerson: {Text{"非录入人本人", "not by whoever entered it"}, func(_ *Service, tx *registry.Tx, about subject) error {
			if tx.Actor().Operator == about.enteredBy {
				return ErrSamePerson
			}
			return nil
		}},
		NeedsOtherHand: {Text{"非更正人本人", "not by whoever changed the holder's data since"}, otherHand},
		NeedsAlive: {Text{"持卡人健在", "the holder is alive"}, func(_ *Service, tx *registry.Tx, about subject) error {
			person := about.life
			if person == nil {
				read, err := tx.PersonByID(about.person)
				if err != nil {
					return fmt.Errorf("holder: %w", err)
				}
				person = &read
			}
			switch {
			case person.MergedInto != nil:
				return ErrMerged
			case !person.Living():
				return ErrDead
			}
			return nil
		}},
		NeedsUnchanged:     {Text{"持卡人信息与复核时一致", "the holder's data are as they were reviewed"}, (*Service).unchanged},
		NeedsNoReplacement: {Text{"未开始补换卡", "no other card was applied for in its place"}, noReplacement},
		NeedsAlone:         {Text{"本人没有其他在用的卡", "the holder has no other card in use"}, alone},
		NeedsRevocable:     {Text{"本地允许正式挂失后解挂", "the place allows a formal loss report to be cancelled"}, (*Service).revocable},
		NeedsRegion:        {Text{"在发卡地区内办理", "within the issuing region"}, (*Service).inRegion},
		NeedsOtherOfficer:  {Text{"非锁定人本人", "not by whoever locked it"}, otherOfficer},
		NeedsChipOpen:      {Text{"芯片未锁定", "the chip is not locked"}, chipOpen},
		NeedsInstant:       {Text{"即时制卡的申领", "to be made at the counter"}, byMethod(MethodInstant)},
		NeedsBatch:         {Text{"批量制卡的申领", "to be made in a batch"}, byMethod(MethodBatch)},
		NeedsTaker:         {Text{"领卡人当日已登记，按当地要求签字", "who takes it is on record of the day, and has signed, as the place asks"}, (*Service).takerKnown},
		NeedsPrinted:       {Text{"柜台制的卡卡面已打印完好，按当地要求", "the face of a card made at a counter is printed well, as the place asks"}, (*Service).wellPrinted},
		NeedsNotElsewhere:  {Text{"部级查重已答复无重卡，按当地要求", "the ministry has answered that there is no card in another province, as the place asks"}, (*Service).notElsewhere},
	}
}

// unchanged refuses to make a card for data that nobody has reviewed: a
// correction after the review would let one person decide who is on the card.
func (s *Service) unchanged(tx *registry.Tx, about subject) error {
	row, ok := about.row.(*applicationRow)
	if !ok || row.HolderIndex == nil {
		return nil
	}
	now, err := s.holderIndex(tx, row.PersonID)
	if err != nil {
		return err
	}
	if !slices.Equal(now, row.HolderIndex) {
		return ErrReviewAgain
	}
	return nil
}

// holderIndexLength is how much is kept of the digest of what was reviewed.
const holderIndexLength = 16

// columnHolder is the purpose of the digest of what was reviewed.
const columnHolder = "applications.holder"

// reviewed is what a card will say and show of its holder; photo is the digest
// of the photograph, if there is one.
func reviewed(person registry.Person, photo []byte) []byte {
	return fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s\x00%s\x00%x", person.Number(), person.Name, person.Sex, person.Ethnic, person.Birth, photo)
}

// holderIndex is a keyed digest of what a card will say of its holder.
func (s *Service) holderIndex(tx *registry.Tx, personID uuid.UUID) ([]byte, error) {
	person, err := tx.PersonByID(personID)
	if err != nil {
		return nil, fmt.Errorf("holder: %w", err)
	}
	brought, err := tx.Brought(personID)
	if err != nil {
		return nil, fmt.Errorf("photograph: %w", err)
	}
	index, err := s.db.Index(tx.Context(), columnHolder, reviewed(person, brought.PhotoDigest))
	if err != nil {
		return nil, err
	}
	return index[:holderIndexLength], nil
}

// otherHand refuses to review what one has put into the holder's record since
// the application was entered: whoever entered it has not seen that.
func otherHand(_ *Service, tx *registry.Tx, about subject) error {
	row, ok := about.row.(*applicationRow)
	if !ok {
		return nil
	}
	return ownChange(tx, row.PersonID, row.CreatedAt)
}

// ownChange is ErrOwnChange if the actor has changed what is recorded of a
// person since an instant.
func ownChange(tx *registry.Tx, person uuid.UUID, since time.Time) error {
	own, err := tx.HasChanged(person, since)
	if err != nil {
		return fmt.Errorf("holder: %w", err)
	}
	if own {
		return ErrOwnChange
	}
	return nil
}

// noReplacement refuses to take a lost card back into use once another is on
// its way.
func noReplacement(_ *Service, _ *registry.Tx, about subject) error {
	if row, ok := about.row.(*cardRow); ok && row.around.Replacing > 0 {
		return ErrReplacing
	}
	return nil
}

// alone refuses a second card in use. The database holds the same.
func alone(_ *Service, tx *registry.Tx, about subject) error {
	row, ok := about.row.(*cardRow)
	if !ok || row.around.Others == 0 {
		return nil
	}
	var n int64
	if err := tx.DB().Model(&cardRow{}).Where("person_id = ? AND id <> ? AND status = ?", row.PersonID, row.ID, StatusNormal).Count(&n).Error; err != nil {
		return fmt.Errorf("look for another card: %w", err)
	}
	if n > 0 {
		return ErrHasCard
	}
	return nil
}

func (s *Service) revocable(tx *registry.Tx, about subject) error {
	policy, err := s.policy(tx.Actor().Place, tx.Now())
	if err != nil {
		return err
	}
	if policy.FormalLossFinal {
		return ErrLossFinal
	}
	return nil
}

// inRegion holds what only the issuing region may do: cancelling and enabling
// (规则 2). Losses are taken everywhere.
func (s *Service) inRegion(tx *registry.Tx, about subject) error {
	if about.place == "" {
		return nil
	}
	policy, err := s.policy(about.place, tx.Now())
	if err != nil {
		return err
	}
	if !policy.sameRegion(tx.Actor().Place, about.place) {
		return ErrOtherRegion
	}
	return nil
}

// otherOfficer lets somebody else decide that a lock ends.
func otherOfficer(_ *Service, tx *registry.Tx, about subject) error {
	row, ok := about.row.(*cardRow)
	if !ok {
		return nil
	}
	var last statusRow
	err := tx.DB().Where("card_id = ? AND to_status = ?", row.ID, StatusLocked).Order("id DESC").Limit(1).Find(&last).Error
	if err != nil {
		return fmt.Errorf("look for the lock: %w", err)
	}
	if last.Operator == tx.Actor().Operator {
		return ErrSameOfficer
	}
	return nil
}

func chipOpen(_ *Service, _ *registry.Tx, about subject) error {
	if row, ok := about.row.(*cardRow); ok && row.Chip == ChipLocked {
		return ErrNeedsChip
	}
	return nil
}

func byMethod(method string) func(*Service, *registry.Tx, subject) error {
	return func(_ *Service, _ *registry.Tx, about subject) error {
		if row, ok := about.row.(*applicationRow); ok && row.Method != method {
			return ErrMethod
		}
		return nil
	}
}

// recordedByAnother holds that a death that ends a card is on record by another
// operator than whoever ends it (死亡须两个来源).
func recordedByAnother(tx *registry.Tx, about subject) error {
	person, err := tx.PersonByID(about.person)
	if err != nil {
		return fmt.Errorf("holder: %w", err)
	}
	if person.Living() || person.Stamp.By == tx.Actor().Operator {
		return ErrSecondSource
	}
	return nil
}
