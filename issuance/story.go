package issuance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/issuance/tell"
)

// Line is one thing that happened to a person's applications and cards, in
// plain words (办理经过). It names no personal data.
type Line struct {
	At          time.Time
	Of          string // which card or application
	Operator    string
	Workstation string
	Text        Text
}

// Story returns what has happened to the applications and cards of a person, the
// first thing first: every step, who took it and why, and whether bank,
// ministry and holder know.
func (s *Service) Story(ctx context.Context, personID uuid.UUID) ([]Line, error) {
	applications, err := s.Applications(ctx, Filter{PersonID: personID, Limit: 100})
	if err != nil {
		return nil, err
	}
	cards, err := s.CardsOf(ctx, personID)
	if err != nil {
		return nil, err
	}
	var story []Line
	for _, a := range applications {
		lines, err := s.trail(ctx, &Applications, "application:"+a.ID.String(), "申领 "+a.ID.String()[:8])
		if err != nil {
			return nil, err
		}
		story = append(story, lines...)
	}
	for _, c := range cards {
		lines, err := s.trail(ctx, &Cards, "card:"+c.ID.String(), "卡 "+c.Number)
		if err != nil {
			return nil, err
		}
		told, err := s.toldLines(ctx, c)
		if err != nil {
			return nil, err
		}
		story = append(append(story, lines...), told...)
	}
	slices.SortStableFunc(story, func(a, b Line) int { return a.At.Compare(b.At) })
	return story, nil
}

// trail reads what is on record of one application or card.
func (s *Service) trail(ctx context.Context, m *Machine, subject, of string) ([]Line, error) {
	records, err := s.db.AuditTrail(ctx, subject)
	if err != nil {
		return nil, err
	}
	slices.Reverse(records)
	var lines []Line
	for _, record := range records {
		text, ok := m.tell(strings.TrimPrefix(record.Action, m.Name+"."), record.Detail)
		if !ok {
			continue // steps of a chip session, readings
		}
		lines = append(lines, Line{At: record.At, Of: of, Operator: record.Actor.Operator, Workstation: record.Actor.Workstation, Text: text})
	}
	return lines, nil
}

// beside are the entries of the log that are no line of a table.
var beside = map[string]Text{
	"asked": {"向部级查重", "the ministry was asked for other cards"}, "answered": {"部级查重答复", "the ministry answered"},
	"apply": {"提交申领", "applied"}, "made": {"制成", "made"}, "taker": {"登记领卡人", "who takes it was recorded"}, "lossEnding": {"预告临时挂失即将到期", "told that the loss report is about to end"},
}

// tell puts an entry of the log into words.
func (m *Machine) tell(event string, detail map[string]string) (Text, bool) {
	if text, ok := beside[event]; ok {
		if kind := detail["kind"]; kind != "" {
			text.ZH += "（" + kind + "）"
		}
		if event == "answered" {
			answer := Questions.State(detail["to"]).Text
			text = Text{text.ZH + "：" + answer.ZH, text.EN + ": " + answer.EN}
		}
		return text, true
	}
	rule, ok := m.Rule(detail["from"], event)
	if !ok {
		return Text{}, false
	}
	text := Text{
		fmt.Sprintf("%s：%s → %s", rule.Text.ZH, m.State(rule.From).Text.ZH, m.State(rule.To).Text.ZH),
		fmt.Sprintf("%s: %s to %s", rule.Text.EN, m.State(rule.From).Text.EN, m.State(rule.To).Text.EN),
	}
	if reason, ok := reasonOf(rule.Reasons, detail["code"]); ok {
		text.ZH += "，原因 " + reason.Text.ZH
		text.EN += ", because " + reason.Text.EN
	}
	return text, true
}

// toldLines says which peers know.
func (s *Service) toldLines(ctx context.Context, c Card) ([]Line, error) {
	told, err := s.Told(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	var lines []Line
	for _, t := range told {
		at := t.At
		if t.EndedAt != nil {
			at = *t.EndedAt
		}
		words := map[string]Text{
			tell.Waiting: {"待送达", "is still to be told"}, tell.Acknowledged: {"已确认收到", "has acknowledged"}, tell.Refused: {"拒收", "has refused"},
		}[t.State]
		lines = append(lines, Line{At: at, Of: "卡 " + c.Number, Operator: t.Peer, Text: Text{
			strings.TrimSpace(fmt.Sprintf("%s %s（%s）%s", toldWho(t.Peer).ZH, words.ZH, t.Event, t.Answer)),
			fmt.Sprintf("%s %s (%s)", toldWho(t.Peer).EN, words.EN, t.Event),
		}})
	}
	return lines, nil
}

func toldWho(peer string) Text {
	text := told[peer]
	return Text{cmp.Or(text.ZH, peer), cmp.Or(text.EN, peer)}
}
