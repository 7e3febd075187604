package api

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/registry"
)

// What the audit log says a reading of personal data was for.
const (
	purposeSearch = "search"
	purposeView   = "view"
	purposeList   = "applications"
)

// FindPersons implements StrictServerInterface (查找人员). Every search is
// recorded, also one that finds nobody.
func (s *Server) FindPersons(ctx context.Context, request FindPersonsRequestObject) (FindPersonsResponseObject, error) {
	who := callerOf(ctx)
	found, err := s.search(ctx, who.operator.Reach(), request.Params)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(found.Hits))
	answer := FindPersons200JSONResponse{Persons: make([]Person, len(found.Hits)), More: found.More}
	for i, hit := range found.Hits {
		ids[i], answer.Persons[i] = hit.Person.ID, s.personView(hit.Person)
		answer.Persons[i].FoundBy = new(PersonFoundBy(hit.Why))
	}
	if err := s.db.RecordRead(ctx, who.actor(), purposeSearch, ids...); err != nil {
		return nil, err
	}
	return answer, nil
}

// foundCard says that a person was found by the number of a card or chip.
const foundCard = "card"

// search finds by the one parameter that is given; who is near comes first.
func (s *Server) search(ctx context.Context, near string, by FindPersonsParams) (registry.Found, error) {
	given := 0
	for _, parameter := range []*string{by.Q, by.IdNumber, by.Name, by.CardNumber} {
		if parameter != nil {
			given++
		}
	}
	if given != 1 {
		rule := words{"请给出查询内容、社会保障号码、姓名、卡号中的一项", "give exactly one of q, idNumber, name and cardNumber"}
		return registry.Found{}, &fieldsError{fields: []FieldProblem{
			{Field: "idNumber", Zh: rule.zh, En: rule.en},
			{Field: "name", Zh: rule.zh, En: rule.en},
			{Field: "cardNumber", Zh: rule.zh, En: rule.en},
		}}
	}
	told, err := whatWasAsked(by)
	if err != nil {
		return registry.Found{}, err
	}
	if told.CardNumber == "" && told.ChipID == "" {
		told.Query.Near = near
		return s.db.Find(ctx, told.Query)
	}
	person, err := s.holderOf(ctx, told)
	if errors.Is(err, registry.ErrNotFound) {
		return registry.Found{}, nil
	}
	return registry.Found{Hits: []registry.Hit{{Person: person, Why: foundCard}}}, err
}

func whatWasAsked(by FindPersonsParams) (registry.Told, error) {
	switch {
	case by.Q != nil:
		return registry.ParseQuery(*by.Q)
	case by.Name != nil:
		return registry.Told{Query: registry.Query{Name: *by.Name}}, nil
	case by.IdNumber != nil:
		number, err := gb.ParseIDNumber(*by.IdNumber)
		if err != nil {
			return registry.Told{}, fieldOf("idNumber", err)
		}
		return registry.Told{Query: registry.Query{Number: number.String()}}, nil
	default:
		return registry.Told{CardNumber: *by.CardNumber}, nil
	}
}

func (s *Server) holderOf(ctx context.Context, told registry.Told) (registry.Person, error) {
	if told.ChipID == "" {
		return s.holder(ctx, told.CardNumber)
	}
	card, err := s.issuance.CardByChipID(ctx, told.ChipID)
	if err != nil {
		return registry.Person{}, err
	}
	return s.db.PersonByID(ctx, card.PersonID)
}

// AddPerson implements StrictServerInterface (登记人员).
func (s *Server) AddPerson(ctx context.Context, request AddPersonRequestObject) (AddPersonResponseObject, error) {
	body := request.Body
	told := registry.NewPerson{
		IDType: string(deref(body.IdType, "")), IDNumber: body.IdNumber, Name: body.Name, NameTibetan: deref(body.NameTibetan, ""),
		NameMongolian: deref(body.NameMongolian, ""), Sex: string(deref(body.Sex, "")), Ethnic: body.Ethnic, Place: body.Place,
		Phone: deref(body.Phone, ""), Address: deref(body.Address, ""), Postcode: deref(body.Postcode, ""),
		Nationality: deref(body.Nationality, ""), Locality: deref(body.Locality, ""),
	}
	if body.Birth != nil {
		told.Birth = gb.DateOf(body.Birth.Time)
	}
	person, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (Person, error) {
		added, err := tx.AddPerson(told)
		return s.personView(added), err
	})
	if err != nil {
		return nil, err
	}
	return AddPerson201JSONResponse(person), nil
}

// personView shows a person with numbers masked.
func (s *Server) personView(p registry.Person) Person {
	view := Person{
		Id: p.ID, Name: p.Name, NameTibetan: optional(p.NameTibetan), IdNumberMasked: maskNumber(p),
		Sex: string(p.Sex), Ethnic: p.Ethnic, Birth: p.Birth.String(), Place: p.Place, Alive: p.Living(),
		PhoneMasked: optional(maskPhone(p.Phone)), Life: new(PersonLife(p.Life)), IdType: optional(p.IDType),
		Version: new(p.Stamp.Version), MergedInto: p.MergedInto,
	}
	if group, err := gb.EthnicByCode(p.Ethnic); err == nil {
		view.EthnicName = &group.Name
	}
	if place, ok := gb.Divisions().At(p.Place, s.today()); ok {
		view.PlaceName = &place.Name
	}
	return view
}

// maskNumber leaves the ends of a document's number.
func maskNumber(p registry.Person) string {
	if p.Document == "" {
		return p.IDNumber.Masked()
	}
	return p.Document[:1] + strings.Repeat("*", len(p.Document)-2) + p.Document[len(p.Document)-1:]
}

// maskPhone leaves the last four characters of a telephone number.
func maskPhone(phone string) string {
	hidden := utf8.RuneCountInString(phone) - 4
	if hidden <= 0 {
		return strings.Repeat("*", utf8.RuneCountInString(phone))
	}
	return strings.Repeat("*", hidden) + phone[len(phone)-4:]
}
