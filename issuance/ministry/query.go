package ministry

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"onecard/issuance"
	"onecard/issuance/tell"
	"onecard/registry"
)

// Found is the answer to a duplicate query (重卡查询).
type Found struct {
	// State is accepted (no card elsewhere), duplicate or unknown: then it is to
	// be asked again.
	State    string
	Province string // where there is a card; may be empty
}

// findings maps the events of an answer to what is recorded of the person.
var findings = map[string]string{"accept": Accepted, "elsewhere": Duplicate, "refuse": Rejected, eventLose: Unknown, "outdated": Unknown}

// province is where the ministry says that there is a card.
func (r reply) province() string { return r.Province[:min(len(r.Province), 6)] }

// Query asks the ministry whether a person has a card in another province and
// records the answer with the person.
func (s *Service) Query(ctx context.Context, personID uuid.UUID) (Found, error) {
	person, err := s.DB.PersonByID(ctx, personID)
	if err != nil {
		return Found{}, err
	}
	items, err := s.queryItems(person)
	if err != nil {
		return Found{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Found{}, err
	}
	r, sending := s.query(ctx, id, person.ID, items)
	if errors.Is(sending, errUnsent) {
		return Found{}, sending
	}
	event := eventLose
	if sending == nil {
		event = s.Line.Schema.Answers[r.Code]
	}
	err = s.DB.InTx(context.WithoutCancel(ctx), s.them(), func(tx *registry.Tx) error { return recordFound(tx, personID, event, r) })
	return Found{State: findings[event], Province: r.province()}, errors.Join(err, sending)
}

func (s *Service) queryItems(person registry.Person) (map[string]string, error) {
	return s.Line.Schema.encode("query", map[string]string{"idType": person.IDType, "number": person.Number(), "person": person.Name})
}

// errUnsent: it could not be noted that the ministry is told, so it was not.
var errUnsent = errors.New("ministry: the question did not leave")

// query sends a question about a person. That the ministry is told is on record
// before it leaves.
func (s *Service) query(ctx context.Context, id, person uuid.UUID, items map[string]string) (reply, error) {
	err := s.DB.InTx(ctx, s.us(), func(tx *registry.Tx) error {
		return tx.Audit("person.told", "person:"+person.String(), map[string]string{"topic": registry.TopicMinistryCheck, "message": id.String()})
	})
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", errUnsent, err)
	}
	limited, cancel := context.WithTimeout(ctx, limitOfOne)
	defer cancel()
	return s.Line.send(limited, "query", id, items, nil)
}

// recordFound records an answer with the person.
func recordFound(tx *registry.Tx, person uuid.UUID, event string, r reply) error {
	reason := "部级重卡查询 duplicate query"
	if province := r.province(); province != "" {
		reason += "：" + province
	}
	_, err := tx.RecordCheck(registry.Ministry, person, findings[event], reason)
	return err
}

// Ask asks the ministry about the holder of an application (申领查重) and notes the
// answer on the application and with the person. The question has an id of its
// own: asked again after silence it is the same message.
func (s *Service) Ask(ctx context.Context, question, application uuid.UUID) (tell.Answer, error) {
	personID, wanted, err := issuance.Questioned(s.DB.Read(ctx), application)
	if err != nil {
		return tell.Answer{}, err
	}
	if !wanted {
		return tell.Answer{Code: "closed", Text: "申领已退回、撤销或办结，不再查询 the application is not under way", Acknowledged: true}, nil
	}
	person, err := s.DB.PersonByID(ctx, personID)
	if err != nil {
		return tell.Answer{}, err
	}
	event, r := "refuse", reply{Code: "local"}
	items, invalid := s.queryItems(person)
	if invalid != nil {
		r.Text = invalid.Error()
	} else {
		if r, err = s.query(ctx, question, person.ID, items); err != nil {
			return tell.Answer{}, err
		}
		event = s.Line.Schema.Answers[r.Code]
	}
	// What was said is written down even when the program is stopping.
	err = s.DB.InTx(context.WithoutCancel(ctx), s.them(), func(tx *registry.Tx) error {
		noted, err := issuance.Answered(tx, application, question, event, r.province())
		if err != nil {
			return err
		}
		if noted {
			return recordFound(tx, person.ID, event, r)
		}
		return tx.Audit("ministry.passed", "application:"+application.String(), map[string]string{"message": question.String(), "code": r.Code})
	})
	answer := tell.Answer{Code: r.Code, Text: words(r), Acknowledged: findings[event] == Accepted || findings[event] == Duplicate}
	if err == nil && findings[event] == Unknown {
		err = fmt.Errorf("%w: %s", ErrNoAnswer, event)
	}
	return answer, err
}

// QueryWaiting asks about persons whom the ministry has not answered for, at most
// as many as given, and returns how many it answered for.
func (s *Service) QueryWaiting(ctx context.Context, most int) (answered int, err error) {
	var after uuid.UUID
	failed := 0
	for done := 0; done < most; {
		persons, err := s.DB.Unchecked(ctx, registry.Ministry, after, min(page, most-done))
		if err != nil || len(persons) == 0 {
			return answered, err
		}
		for _, person := range persons {
			after = person.ID
			done++
			found, err := s.Query(ctx, person.ID)
			if err != nil && !errors.Is(err, ErrNoAnswer) {
				return answered, err
			}
			if found.State != Unknown {
				answered++
			} else if failed++; failed >= failLimit {
				return answered, err
			}
		}
	}
	return answered, nil
}
