package ministry

import (
	"context"
	"errors"

	"github.com/google/uuid"

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

// Query asks the ministry whether a person has a card in another province and
// records the answer with the person.
func (s *Service) Query(ctx context.Context, personID uuid.UUID) (Found, error) {
	person, err := s.DB.PersonByID(ctx, personID)
	if err != nil {
		return Found{}, err
	}
	items, err := s.Line.Schema.encode("query", map[string]string{"idType": person.IDType, "number": person.Number(), "person": person.Name})
	if err != nil {
		return Found{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Found{}, err
	}
	// That it is told is on record before it leaves.
	err = s.DB.InTx(ctx, s.us(), func(tx *registry.Tx) error {
		return tx.Audit("person.told", "person:"+personID.String(), map[string]string{"topic": registry.TopicMinistryCheck, "message": id.String()})
	})
	if err != nil {
		return Found{}, err
	}
	limited, cancel := context.WithTimeout(ctx, limitOfOne)
	defer cancel()
	found := Found{State: Unknown}
	r, sending := s.Line.send(limited, "query", id, items, nil)
	if sending == nil {
		found = Found{State: findings[s.Line.Schema.Answers[r.Code]], Province: r.Province}
	}
	reason := "部级重卡查询 duplicate query"
	if found.Province != "" {
		reason += "：" + found.Province[:min(len(found.Province), 6)]
	}
	err = s.DB.InTx(context.WithoutCancel(ctx), s.them(), func(tx *registry.Tx) error {
		_, err := tx.RecordCheck(registry.Ministry, personID, found.State, reason)
		return err
	})
	return found, errors.Join(err, sending)
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
