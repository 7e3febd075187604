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
	found, err := s.search(ctx, request.Params)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(found))
	answer := FindPersons200JSONResponse{Persons: make([]Person, len(found))}
	for i, person := range found {
		ids[i], answer.Persons[i] = person.ID, s.personView(person)
	}
	if err := s.db.RecordRead(ctx, callerOf(ctx).actor(), purposeSearch, ids...); err != nil {
		return nil, err
	}
	return answer, nil
}

// search finds by the one parameter that is given.
func (s *Server) search(ctx context.Context, by FindPersonsParams) ([]registry.Person, error) {
	given := 0
	for _, parameter := range []*string{by.IdNumber, by.Name, by.CardNumber} {
		if parameter != nil {
			given++
		}
	}
	if given != 1 {
		rule := words{"请给出社会保障号码、姓名、卡号中的一项", "give exactly one of idNumber, name and cardNumber"}
		return nil, &fieldsError{fields: []FieldProblem{
			{Field: "idNumber", Zh: rule.zh, En: rule.en},
			{Field: "name", Zh: rule.zh, En: rule.en},
			{Field: "cardNumber", Zh: rule.zh, En: rule.en},
		}}
	}
	var person registry.Person
	var err error
	switch {
	case by.Name != nil:
		return s.db.PersonsByName(ctx, *by.Name)
	case by.IdNumber != nil:
		number, parseErr := gb.ParseIDNumber(*by.IdNumber)
		if parseErr != nil {
			return nil, fieldOf("idNumber", parseErr)
		}
		person, err = s.db.PersonByIDNumber(ctx, number)
	default:
		person, err = s.holder(ctx, *by.CardNumber)
	}
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []registry.Person{person}, nil
}

// AddPerson implements StrictServerInterface (登记人员).
func (s *Server) AddPerson(ctx context.Context, request AddPersonRequestObject) (AddPersonResponseObject, error) {
	told := registry.NewPerson{
		IDNumber: request.Body.IdNumber, Name: request.Body.Name, NameTibetan: deref(request.Body.NameTibetan, ""),
		Ethnic: request.Body.Ethnic, Place: request.Body.Place, Phone: deref(request.Body.Phone, ""),
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
		Id: p.ID, Name: p.Name, NameTibetan: optional(p.NameTibetan), IdNumberMasked: p.IDNumber.Masked(),
		Sex: string(p.Sex), Ethnic: p.Ethnic, Birth: p.Birth.String(), Place: p.Place, Alive: p.Living(),
		PhoneMasked: optional(maskPhone(p.Phone)),
	}
	if group, err := gb.EthnicByCode(p.Ethnic); err == nil {
		view.EthnicName = &group.Name
	}
	if place, ok := gb.Divisions().At(p.Place, s.today()); ok {
		view.PlaceName = &place.Name
	}
	return view
}

// maskPhone leaves the last four characters of a telephone number.
func maskPhone(phone string) string {
	hidden := utf8.RuneCountInString(phone) - 4
	if hidden <= 0 {
		return strings.Repeat("*", utf8.RuneCountInString(phone))
	}
	return strings.Repeat("*", hidden) + phone[len(phone)-4:]
}
