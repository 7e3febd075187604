package api

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/registry"
)

// More of what the audit log says a reading was for.
const (
	purposeHistory    = "history"
	purposeAt         = "at-instant"
	purposeDuplicates = "duplicates"
)

var (
	// errOtherPlace: a resident is changed by the offices of the resident's place.
	errOtherPlace = errors.New("api: the resident is of another place")
	// errSupervisor: a clerk has told what a supervisor corrects.
	errSupervisor = errors.New("api: corrected by a supervisor")
)

// ownPlace refuses a person whose place does not lie in the operator's.
func (s *Server) ownPlace(ctx context.Context, who caller, person registry.Person) error {
	scope, err := s.db.Scope(ctx, who.operator.Reach())
	if err == nil && !scope.Covers(person.Place, person.Locality) {
		return errOtherPlace
	}
	return err
}

// PersonHistory implements StrictServerInterface (变更历史).
func (s *Server) PersonHistory(ctx context.Context, request PersonHistoryRequestObject) (PersonHistoryResponseObject, error) {
	versions, err := s.db.PersonHistory(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	merges, err := s.db.MergesOf(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	answer := PersonHistory200JSONResponse{Versions: make([]PersonVersion, len(versions)), Merges: make([]Merge, len(merges))}
	for i, v := range versions {
		answer.Versions[i] = PersonVersion{
			Version: v.Person.Stamp.Version, From: v.Person.Stamp.At.UTC(), By: v.Person.Stamp.By, On: v.Person.Stamp.On,
			Reason: v.Person.Stamp.Reason, Fields: append([]string{}, v.Fields...), Person: s.personView(v.Person),
		}
		if v.Until != nil {
			answer.Versions[i].Until = new(v.Until.UTC())
		}
	}
	for i, m := range merges {
		answer.Merges[i] = Merge{Id: m.ID, Kept: m.Kept, Absorbed: m.Absorbed, At: m.At.UTC(), By: m.By, Reason: m.Reason}
		if m.Undone != nil {
			answer.Merges[i].UndoneAt = new(m.Undone.UTC())
		}
	}
	return answer, s.db.RecordRead(ctx, callerOf(ctx).actor(), purposeHistory, request.Id)
}

// PersonAt implements StrictServerInterface (历史时点).
func (s *Server) PersonAt(ctx context.Context, request PersonAtRequestObject) (PersonAtResponseObject, error) {
	at := request.Params.Instant
	person, err := s.db.PersonAt(ctx, request.Id, at)
	if err != nil {
		return nil, err
	}
	insured, err := s.db.InsuredAt(ctx, request.Id, at)
	if err != nil {
		return nil, err
	}
	cards, err := s.issuance.CardsAt(ctx, request.Id, at)
	if err != nil {
		return nil, err
	}
	accounts, err := s.db.AccountsAt(ctx, request.Id, at)
	if err != nil {
		return nil, err
	}
	answer := PersonAt200JSONResponse{
		Person: s.personView(person), Made: made(person.Stamp), Insured: make([]Insured, len(insured)), Cards: make([]CardAt, len(cards)),
		Accounts: make([]AccountAt, len(accounts)),
	}
	for i, in := range insured {
		answer.Insured[i] = Insured{Kind: in.Kind, Place: in.Place, State: InsuredState(in.State), Since: optional(dateText(in.Since)), Until: optional(dateText(in.Until)), Made: new(made(in.Stamp))}
	}
	for i, c := range cards {
		answer.Cards[i] = CardAt{
			Id: c.ID, Number: c.Number, Status: c.Status, Production: c.Production, Custody: c.Custody, Chip: c.Chip,
			Ministry: c.Ministry, By: c.Stamp.By, From: c.Stamp.At.UTC(), Made: made(c.Stamp),
		}
	}
	for i, a := range accounts {
		answer.Accounts[i] = AccountAt{Bank: a.Bank, AccountMasked: maskAccount(a.Account), State: a.State, Made: made(a.Stamp)}
	}
	return answer, s.db.RecordRead(ctx, callerOf(ctx).actor(), purposeAt, request.Id)
}

// made says who made a row what it is.
func made(stamp registry.Stamp) Made {
	return Made{From: stamp.At.UTC(), By: stamp.By, On: stamp.On, Reason: stamp.Reason}
}

// maskAccount leaves the last four digits.
func maskAccount(account string) string {
	shown := max(0, len(account)-4)
	return strings.Repeat("*", shown) + account[shown:]
}

// Rules implements StrictServerInterface (规则版本).
func (s *Server) Rules(ctx context.Context, request RulesRequestObject) (RulesResponseObject, error) {
	rules, err := s.db.RulesAt(ctx, deref(request.Params.At, s.db.Now()))
	if err != nil {
		return nil, err
	}
	answer := Rules200JSONResponse{Rules: make([]Rule, len(rules))}
	for i, r := range rules {
		answer.Rules[i] = Rule{
			Name: r.Name, Version: r.Version, Content: r.Content, Made: Made{From: r.Since.UTC(), By: r.By, On: r.On, Reason: r.Reason},
		}
	}
	return answer, nil
}

func dateText(date gb.Date) string {
	if date.IsZero() {
		return ""
	}
	return date.String()
}

// Unmask implements StrictServerInterface (查看明文).
func (s *Server) Unmask(ctx context.Context, request UnmaskRequestObject) (UnmaskResponseObject, error) {
	fields := make([]string, len(request.Body.Fields))
	for i, field := range request.Body.Fields {
		fields[i] = string(field)
	}
	values, err := s.db.Unmask(ctx, callerOf(ctx).actor(), request.Id, fields, request.Body.Reason)
	if err != nil {
		return nil, err
	}
	return Unmask200JSONResponse{
		IdNumber: optional(values["idNumber"]), Phone: optional(values["phone"]), Address: optional(values["address"]),
		HouseholdNumber: optional(values["householdNumber"]), Addresses: under(values, "addresses."), Guardians: under(values, "guardians."),
	}, nil
}

// under returns the values whose names begin so, by the rest of their names.
func under(values map[string]string, prefix string) *map[string]string {
	found := map[string]string{}
	for name, value := range values {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			found[rest] = value
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &found
}

// CorrectPerson implements StrictServerInterface (更正、变更).
func (s *Server) CorrectPerson(ctx context.Context, request CorrectPersonRequestObject) (CorrectPersonResponseObject, error) {
	who, body := callerOf(ctx), request.Body
	identity := body.IdNumber != nil || body.Name != nil || body.Sex != nil || body.Life != nil
	if identity && !who.operator.Has(registry.RoleSupervisor) {
		return nil, errSupervisor
	}
	person, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (Person, error) {
		before, err := tx.PersonByID(request.Id)
		if err != nil {
			return Person{}, err
		}
		if err := s.ownPlace(tx.Context(), who, before); err != nil {
			return Person{}, err
		}
		after, err := tx.CorrectPerson(request.Id, body.Version, body.Reason, body.apply)
		return s.personView(after), err
	})
	if err != nil {
		return nil, err
	}
	return CorrectPerson200JSONResponse(person), nil
}

// apply puts what is told in the place of what is recorded.
func (c *Correction) apply(told *registry.NewPerson) {
	for _, field := range []struct {
		from *string
		to   *string
	}{
		{c.IdNumber, &told.IDNumber}, {c.Name, &told.Name}, {c.NameTibetan, &told.NameTibetan}, {c.NameMongolian, &told.NameMongolian},
		{c.Ethnic, &told.Ethnic}, {c.Phone, &told.Phone}, {c.Address, &told.Address}, {c.Postcode, &told.Postcode},
		{c.Place, &told.Place}, {c.Locality, &told.Locality}, {c.Household, &told.Household}, {c.HouseholdRole, &told.HouseholdRole},
	} {
		if field.from != nil {
			*field.to = *field.from
		}
	}
	if c.IdNumber != nil {
		told.Sex = "" // follows from the new number
	}
	if c.Sex != nil {
		told.Sex = string(*c.Sex)
	}
	if c.HouseholdKind != nil {
		told.HouseholdKind = *c.HouseholdKind
	}
	if c.Life != nil {
		told.Life = string(*c.Life)
	}
}

// MergePersons implements StrictServerInterface (合并档案).
func (s *Server) MergePersons(ctx context.Context, request MergePersonsRequestObject) (MergePersonsResponseObject, error) {
	who := callerOf(ctx)
	merge, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (MergeRef, error) {
		for _, id := range []uuid.UUID{request.Id, request.Body.Absorbed} {
			person, err := tx.PersonByID(id)
			if err != nil {
				return MergeRef{}, err
			}
			if err := s.ownPlace(tx.Context(), who, person); err != nil {
				return MergeRef{}, err
			}
		}
		id, err := tx.MergePersons(request.Id, request.Body.Absorbed, request.Body.Reason)
		return MergeRef{Id: id}, err
	})
	if err != nil {
		return nil, err
	}
	return MergePersons201JSONResponse(merge), nil
}

// UndoMerge implements StrictServerInterface (撤销合并).
func (s *Server) UndoMerge(ctx context.Context, request UndoMergeRequestObject) (UndoMergeResponseObject, error) {
	merge, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (MergeRef, error) {
		kept, err := tx.KeptBy(request.Id)
		if err != nil {
			return MergeRef{}, err
		}
		if err := s.ownPlace(tx.Context(), callerOf(ctx), kept); err != nil {
			return MergeRef{}, err
		}
		return MergeRef{Id: request.Id}, tx.UndoMerge(request.Id, request.Body.Reason)
	})
	if err != nil {
		return nil, err
	}
	return UndoMerge200JSONResponse(merge), nil
}

// maxDuplicates is the page of cases when the caller names none.
const maxDuplicates = 50

// Duplicates implements StrictServerInterface (疑似重复).
func (s *Server) Duplicates(ctx context.Context, request DuplicatesRequestObject) (DuplicatesResponseObject, error) {
	who := callerOf(ctx)
	cases, err := s.db.OpenCases(ctx, who.operator.Reach(), deref(request.Params.After, uuid.Nil), deref(request.Params.Limit, maxDuplicates))
	if err != nil {
		return nil, err
	}
	answer := Duplicates200JSONResponse{Duplicates: make([]Duplicate, len(cases))}
	var read []uuid.UUID
	for i, c := range cases {
		view := Duplicate{Id: c.ID, Rule: DuplicateRule(c.Rule), Place: c.Place, FoundAt: c.FoundAt.UTC(), First: s.personView(c.First)}
		read = append(read, c.First.ID)
		if c.Second != nil {
			view.Second = new(s.personView(*c.Second))
			read = append(read, c.Second.ID)
		} else {
			view.ToldName, view.ToldFrom = &c.Told.Name, &c.Told.From
		}
		answer.Duplicates[i] = view
	}
	return answer, s.db.RecordRead(ctx, who.actor(), purposeDuplicates, read...)
}

// DecideDuplicate implements StrictServerInterface (判定).
func (s *Server) DecideDuplicate(ctx context.Context, request DecideDuplicateRequestObject) (DecideDuplicateResponseObject, error) {
	who := callerOf(ctx)
	c, err := s.db.DuplicateCase(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	if err := s.ownPlace(ctx, who, c.First); err != nil {
		return nil, err
	}
	answer, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (DuplicateRef, error) {
		return DuplicateRef{Id: request.Id}, tx.DecideCase(request.Id, request.Body.Same, deref(request.Body.Keep, uuid.Nil), request.Body.Reason)
	})
	if err != nil {
		return nil, err
	}
	return DecideDuplicate200JSONResponse(answer), nil
}
