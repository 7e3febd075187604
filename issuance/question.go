package issuance

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/issuance/tell"
	"onecard/registry"
)

// What a place asks of the ministry before an application is approved
// (部级查重要求).
const (
	MinistryNone     = "none"     // 不查: it is not asked
	MinistryTold     = "told"     // 查询，仅供复核参考: the reviewer sees the answer
	MinistryRequired = "required" // 答复无重卡才能复核通过
)

// TopicMinistryQuery is the topic of the question whether the holder of an
// application has a card in another province. It names the application only.
const TopicMinistryQuery = "ministry.query"

// States of the ministry's answer on an application.
const (
	questionNone     = "none"
	questionAsked    = "asked"
	questionAccepted = "accepted"
	questionOther    = "duplicate"
	questionRejected = "rejected"
	questionUnknown  = "unknown"
)

const eventAsk = "ask"

// Questions is what becomes of the question whether the applicant has a card in
// another province (部级查重), as it stands on the application.
var Questions = Machine{
	Name: "question", Title: Text{"部级查重", "the question for cards in other provinces"}, Initial: questionNone,
	States: []State{
		{questionNone, Text{"未查询", "not asked"}, false},
		{questionAsked, Text{"已查询，待答复", "asked, no answer yet"}, false},
		{questionAccepted, Text{"无重卡", "no other card"}, false},
		{questionOther, Text{"他省有卡", "has a card in another province"}, false},
		{questionRejected, Text{"查询被退回", "the question was rejected"}, false},
		{questionUnknown, Text{"结果不明，待再问", "not known, to be asked again"}, false},
	},
	Rules: append(asks(), append(answers(questionAsked), answers(questionUnknown)...)...),
}

// asks are the lines of a question: whatever was answered, it may be asked anew.
func asks() (rules []Rule) {
	for _, from := range []string{questionNone, questionAccepted, questionOther, questionRejected, questionUnknown} {
		rules = append(rules, Rule{From: from, Event: eventAsk, To: questionAsked, By: ByApplication, Tell: []string{TellMinistry}, Text: Text{"查询", "ask"}})
	}
	return rules
}

// answers are the lines of what the ministry may say, by the events of its
// schema.
func answers(from string) (rules []Rule) {
	for _, r := range []Rule{
		{Event: "accept", To: questionAccepted, Text: Text{"无重卡", "no other card"}},
		{Event: "elsewhere", To: questionOther, Text: Text{"他省有卡", "has a card elsewhere"}},
		{Event: "refuse", To: questionRejected, Text: Text{"退回", "reject"}},
		{Event: "lose", To: questionUnknown, Text: Text{"答复未知", "not known"}},
		{Event: "outdated", To: questionUnknown, Text: Text{"答复陈旧", "outdated"}},
	} {
		if r.From, r.By = from, ByMinistry; r.To != from {
			rules = append(rules, r)
		}
	}
	return rules
}

// MinistryDemand is what a place asks of the ministry today; it is one of the
// Ministry….
func (s *Service) MinistryDemand(place string) (string, error) {
	policy, err := s.policy(place, s.db.Now())
	return policy.MinistryQuery, err
}

// question asks the ministry about the holder of an application where the place
// asks for it (查重): changes are those of the row. It is carried to the ministry
// by itself, again and again until there is an answer; nobody waits for it.
func (s *Service) question(tx *registry.Tx, row applicationRow, changes map[string]any) error {
	policy, err := s.policy(row.Place, tx.Now())
	if err != nil || policy.MinistryQuery == MinistryNone {
		return err
	}
	changes["ministry_state"], changes["ministry_province"], changes["ministry_at"] = questionAsked, "", tx.Now()
	subject := "application:" + row.ID.String()
	if err := tell.Write(tx, tell.Message{Peer: tell.Ministry, Topic: TopicMinistryQuery, Place: row.Place, Subject: subject}); err != nil {
		return err
	}
	return tx.Audit("application.asked", subject, nil)
}

// AskMinistry asks the ministry anew about the holder of an application that
// waits for its review (重新查重). While the answer to a question is awaited it
// changes nothing. Errors: ErrNotAllowed in any other state, and where the place
// does not ask.
func (s *Service) AskMinistry(tx *registry.Tx, id uuid.UUID) (Application, error) {
	row, err := lockApplication(tx, id)
	if err != nil {
		return Application{}, err
	}
	demand, err := s.MinistryDemand(row.Place)
	switch {
	case err != nil:
		return Application{}, err
	case row.State != StateApplied || demand == MinistryNone:
		return Application{}, ErrNotAllowed
	case row.MinistryState == questionAsked || row.MinistryState == questionUnknown:
		return row.domain(), tx.Audit("application.awaited", "application:"+id.String(), nil)
	}
	if err := s.askAnew(tx, &row); err != nil {
		return Application{}, err
	}
	return row.domain(), nil
}

// askAnew asks about the holder of an application whose row is locked.
func (s *Service) askAnew(tx *registry.Tx, row *applicationRow) error {
	changes := map[string]any{}
	if err := s.question(tx, *row, changes); err != nil || len(changes) == 0 {
		return err
	}
	row.take(changes)
	if err := tx.DB().Model(&applicationRow{}).Where("id = ?", row.ID).Updates(changes).Error; err != nil {
		return fmt.Errorf("ask the ministry: %w", err)
	}
	return nil
}

// askChanged asks anew about a person whose number or name has changed: what the
// ministry has said is of the old ones.
func (s *Service) askChanged(tx *registry.Tx, before, after registry.Person) error {
	if before.Number() == after.Number() && before.Name == after.Name && before.IDType == after.IDType {
		return nil
	}
	var rows []applicationRow
	err := tx.ForUpdate().Where("person_id = ? AND state = ? AND ministry_state <> ?", after.ID, StateApplied, questionNone).Find(&rows).Error
	if err != nil {
		return fmt.Errorf("applications of the person: %w", err)
	}
	for i := range rows {
		if err := s.askAnew(tx, &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// askMost is how many applications one transaction asks about.
const askMost = 200

// AskUnasked asks about those who wait for a review and were entered before
// their place asked the ministry; it returns how many. It may be stopped and run
// again.
func (s *Service) AskUnasked(ctx context.Context, actor registry.Actor) (asked int, err error) {
	today := gb.DayOf(s.db.Now())
	anywhere := false
	for _, p := range s.policies {
		anywhere = anywhere || p.MinistryQuery != MinistryNone && !today.Before(p.From)
	}
	var after uuid.UUID
	for anywhere {
		var ids []uuid.UUID
		waiting := s.db.Read(ctx).Model(&applicationRow{}).Where("state = ? AND ministry_state = ? AND id > ?", StateApplied, questionNone, after)
		if err := waiting.Order("id").Limit(askMost).Pluck("id", &ids).Error; err != nil || len(ids) == 0 {
			return asked, err
		}
		n := 0
		err := s.db.InTx(ctx, actor, func(tx *registry.Tx) error {
			n = 0
			var rows []applicationRow
			err := tx.ForUpdate().Where("id IN ? AND state = ? AND ministry_state = ?", ids, StateApplied, questionNone).Order("id").Find(&rows).Error
			if err != nil {
				return err
			}
			for i := range rows {
				if err := s.askAnew(tx, &rows[i]); err != nil {
					return err
				}
				if rows[i].MinistryState == questionAsked {
					n++
				}
			}
			return tx.Audit("applications.asked", "applications", map[string]string{"done": fmt.Sprint(n)})
		})
		if err != nil {
			return asked, err
		}
		asked, after = asked+n, ids[len(ids)-1]
	}
	return 0, nil
}

// Questioned returns about whom the question of an application is, and whether
// the answer is wanted still: the application is under way.
func Questioned(db *gorm.DB, id uuid.UUID) (person uuid.UUID, wanted bool, err error) {
	var row applicationRow
	if err := db.Select("person_id", "state").Where("id = ?", id).Take(&row).Error; err != nil {
		return uuid.Nil, false, err
	}
	return row.PersonID, row.State != StateReturned && row.State != StateDraft && !Applications.State(row.State).Final, nil
}

// Answered notes what the ministry said to a question about the holder of an
// application: the event of its schema, and the province where there is a card.
// An answer to a question after which another was asked, or that says what is
// known, changes nothing: false.
func Answered(tx *registry.Tx, id, question uuid.UUID, event, province string) (bool, error) {
	row, err := lockApplication(tx, id)
	if err != nil {
		return false, err
	}
	subject := "application:" + id.String()
	var later int64
	err = tx.DB().Model(&tell.Delivery{}).Where("subject = ? AND peer = ? AND id > ?", subject, tell.Ministry, question).Count(&later).Error
	if err != nil {
		return false, fmt.Errorf("look for a later question: %w", err)
	}
	rule, ok := Questions.Rule(row.MinistryState, event)
	if later > 0 || !ok || rule.By != ByMinistry {
		return false, nil
	}
	changes := map[string]any{"ministry_state": rule.To, "ministry_province": province, "ministry_at": tx.Now()}
	if err := tx.DB().Model(&applicationRow{}).Where("id = ?", id).Updates(changes).Error; err != nil {
		return false, fmt.Errorf("the ministry's answer: %w", err)
	}
	return true, tx.Audit("application.answered", subject, map[string]string{"from": rule.From, "to": rule.To})
}

// notElsewhere refuses to approve what the ministry has not said to be without
// a card in another province, where the place requires it.
func (s *Service) notElsewhere(tx *registry.Tx, about subject) error {
	row, ok := about.row.(*applicationRow)
	if !ok {
		return nil
	}
	policy, err := s.policy(row.Place, tx.Now())
	if err != nil || policy.MinistryQuery != MinistryRequired {
		return err
	}
	switch row.MinistryState {
	case questionAccepted:
		return nil
	case questionOther:
		return elsewhere(row.MinistryProvince)
	case questionRejected:
		return ErrQuestionRejected
	case questionNone:
		return ErrNotAsked
	default:
		return ErrUnanswered
	}
}

// elsewhere is ErrElsewhere with the province, where the ministry has told it.
func elsewhere(province string) error {
	if province == "" {
		return ErrElsewhere
	}
	e := *ErrElsewhere
	e.Text = profile.Text{
		ZH: fmt.Sprintf("部级查重：此人在他省（%s）已有卡", province),
		EN: fmt.Sprintf("the ministry knows a card of this person in another province (%s)", province),
	}
	return &e
}
