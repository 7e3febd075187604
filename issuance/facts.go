package issuance

import (
	"fmt"

	"onecard/issuance/tell"
	"onecard/registry"
)

// TopicPersonChanged is the topic under which bank and ministry are told that
// what is recorded of a holder has changed. The message names the person only.
const TopicPersonChanged = "person.changed"

// personChanged draws the consequences of a change of a holder's record, in its
// transaction: cards of who died stop working, bank and ministry are told where
// there is a card, and the ministry is asked anew about who applies for one.
func (s *Service) personChanged(tx *registry.Tx, before, after registry.Person) error {
	var cards []cardRow
	err := tx.ForUpdate().Where("person_id = ? AND status <> ?", after.ID, StatusCancelled).Order("id").Find(&cards).Error
	if err != nil {
		return fmt.Errorf("cards of the person: %w", err)
	}
	if err := s.askChanged(tx, before, after); err != nil {
		return err
	}
	if len(cards) == 0 {
		return nil
	}
	if before.Living() && !after.Living() {
		for _, row := range cards {
			rule, ok := Cards.Rule(row.Status, "holderDied")
			if !ok {
				continue // not in use
			}
			if err := s.moveCard(tx, &row, rule, Reason{}, Asked{Event: rule.Event}); err != nil {
				return err
			}
		}
	}
	subject := "person:" + after.ID.String()
	return tell.Write(tx,
		tell.Message{Peer: tell.Bank, Topic: TopicPersonChanged, Place: after.Place, Subject: subject},
		tell.Message{Peer: tell.Ministry, Topic: TopicPersonChanged, Place: after.Place, Subject: subject})
}
