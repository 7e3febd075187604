// Package notice sends holders what has become of their application or card
// (短信通知). The words are data; the way to the telephone is a gateway.
package notice

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/issuance/tell"
	"onecard/registry"
)

//go:embed notices.yaml
var builtIn []byte

// Texts are the words by dimension and event, such as card.reportLoss.
type Texts map[string]string

// ErrTexts says that an event of which holders are told has no words, or words
// have no event.
var ErrTexts = errors.New("短信文本有误 the texts of notices are wrong")

// Built are the texts that come with the program.
func Built() (Texts, error) { return Parse(builtIn, issuance.Machines()...) }

// Parse reads texts and holds them against the workflow.
func Parse(content []byte, machines ...*issuance.Machine) (Texts, error) {
	var texts Texts
	if err := yaml.Unmarshal(content, &texts); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTexts, err)
	}
	wanted := map[string]bool{"card.lossEnding": true, issuance.Applications.Name + "." + issuance.EventApply: true}
	for _, m := range machines {
		for _, r := range m.Rules {
			if slices.Contains(r.Tell, issuance.TellHolder) {
				wanted[m.Name+"."+r.Event] = true
			}
		}
	}
	var problems []error
	for key := range wanted {
		if texts[key] == "" {
			problems = append(problems, fmt.Errorf("%w: %s has no words", ErrTexts, key))
		}
	}
	for key, text := range texts {
		if !wanted[key] {
			problems = append(problems, fmt.Errorf("%w: nothing happens that is called %s", ErrTexts, key))
		}
		if rest := strings.NewReplacer("{name}", "", "{until}", "").Replace(text); strings.ContainsAny(rest, "{}") {
			problems = append(problems, fmt.Errorf("%w: %s: an unknown field", ErrTexts, key))
		}
	}
	return texts, errors.Join(problems...)
}

// Message is a message to a telephone. It holds personal data.
type Message struct {
	ID    uuid.UUID `json:"id"`
	Phone string    `json:"phone"`
	Text  string    `json:"text"`
	At    time.Time `json:"at"` // of what it tells
}

// Gateway carries messages to telephones. The same message may come again and is
// sent once.
type Gateway interface {
	Send(ctx context.Context, m Message) error
}

// Sender makes messages of notices and hands them to a gateway. It is the
// Deliverer of holders.
type Sender struct {
	DB      *registry.DB
	Texts   Texts
	Gateway Gateway
}

// Deliver implements tell.Deliverer.
func (s *Sender) Deliver(ctx context.Context, d tell.Delivery) (tell.Answer, error) {
	var n issuance.Notice
	if err := json.Unmarshal([]byte(d.Body), &n); err != nil {
		return tell.Answer{Code: "unreadable", Text: "通知内容无法读取"}, nil
	}
	text, ok := s.Texts[n.Machine+"."+n.Event]
	if !ok {
		return tell.Answer{Code: "no-text", Text: "没有此事项的短信文本"}, nil
	}
	_, subject, _ := strings.Cut(d.Subject, ":")
	id, err := uuid.Parse(subject)
	if err != nil {
		return tell.Answer{Code: "unreadable", Text: "通知对象无法读取"}, nil
	}
	person, err := s.DB.PersonByID(ctx, id)
	if err != nil {
		return tell.Answer{}, err
	}
	if person.Phone == "" {
		return tell.Answer{Code: "no-phone", Text: "没有登记电话"}, nil
	}
	until := ""
	if n.Until != nil {
		until = n.Until.In(gb.Beijing).Format("2006年1月2日15时04分")
	}
	name := string([]rune(person.Name)[:1])
	message := Message{ID: d.ID, Phone: person.Phone, Text: strings.NewReplacer("{name}", name, "{until}", until).Replace(text), At: d.At}
	if err := s.Gateway.Send(ctx, message); err != nil {
		return tell.Answer{}, err
	}
	return tell.Answer{Code: "sent", Acknowledged: true}, nil
}
