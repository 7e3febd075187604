package api

import (
	"context"
	"slices"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/issuance/prints"
	"onecard/registry"
)

// FireCard implements StrictServerInterface (挂失等).
func (s *Server) FireCard(ctx context.Context, request FireCardRequestObject) (FireCardResponseObject, error) {
	who := callerOf(ctx)
	answer, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (Card, error) {
		card, err := s.issuance.FireCard(tx, request.Id, asked(request.Body, who))
		return s.cardView(who, card), err
	})
	if err != nil {
		return nil, err
	}
	return FireCard200JSONResponse(answer), nil
}

// asked is an event as a request asks for it.
func asked(event *Event, who caller) issuance.Asked {
	return issuance.Asked{Event: event.Event, Code: deref(event.ReasonCode, ""), Reason: deref(event.Reason, ""), Roles: who.operator.Roles}
}

// CardTold implements StrictServerInterface (通知情况).
func (s *Server) CardTold(ctx context.Context, request CardToldRequestObject) (CardToldResponseObject, error) {
	told, err := s.issuance.Told(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	answer := CardTold200JSONResponse{Peers: make([]ToldPeer, len(told))}
	for i, t := range told {
		answer.Peers[i] = ToldPeer{
			Peer: t.Peer, Event: t.Event, State: ToldPeerState(t.State), Attempts: &t.Attempts, Answer: optional(t.Answer), At: t.At.UTC(), AcknowledgedAt: t.EndedAt,
		}
	}
	return answer, nil
}

// InvalidCards implements StrictServerInterface (失效名单).
func (s *Server) InvalidCards(ctx context.Context, request InvalidCardsRequestObject) (InvalidCardsResponseObject, error) {
	list, err := s.issuance.InvalidCards(ctx, deref(request.Params.Since, 0))
	if err != nil {
		return nil, err
	}
	token, err := s.issuance.SignList(list)
	if err != nil {
		return nil, err
	}
	answer := InvalidCards200JSONResponse{Latest: list.Latest, Signed: token, Entries: make([]InvalidCard, len(list.Entries))}
	for i, e := range list.Entries {
		answer.Entries[i] = InvalidCard{Seq: e.Seq, ChipId: e.ChipID, CardNumber: e.CardNumber, Status: e.Status, Grade: optional(e.Grade), At: e.At}
	}
	return answer, nil
}

// holder returns the person who holds the card of a number, or ErrNotFound.
func (s *Server) holder(ctx context.Context, number string) (registry.Person, error) {
	parsed, err := gb.ParseCardNumber(number)
	if err != nil {
		return registry.Person{}, fieldOf("cardNumber", err)
	}
	if !parsed.CheckOK() {
		return registry.Person{}, &registry.FieldError{Field: "cardNumber", ZH: "校验码不对", EN: "the check character is wrong"}
	}
	card, err := s.issuance.CardByNumber(ctx, parsed.String())
	if err != nil {
		return registry.Person{}, err
	}
	return s.db.PersonByID(ctx, card.PersonID)
}

func (s *Server) cardView(who caller, c issuance.Card) Card {
	return Card{
		Id: c.ID, Number: c.Number, ChipId: optional(c.ChipID), PersonId: c.PersonID,
		Status: c.Status, StatusText: statusText(c.Status), SpecVersion: c.SpecVersion,
		IssuedOn: c.IssuedOn.String(), ExpiresOn: c.ExpiresOn.String(), Kind: optional(c.Kind), Production: optional(c.Production),
		Custody: optional(c.Custody), ChipState: optional(c.Chip), LossEnds: c.LossEnds,
		Printable: optionalTrue(prints.Printable(c) && slices.ContainsFunc(printers, who.operator.Has)),
		Events:    append(allowedEvents(s.issuance.CardEvents(c, who.operator.Roles)), allowedWorks(s.issuance.CardWorks(c, who.operator.Roles))...),
	}
}

// statusText is the card's status AAZ502 in words.
func statusText(status string) Text {
	state := issuance.Cards.State(status)
	return Text{Zh: state.Text.ZH, En: state.Text.EN}
}

// optionalTrue leaves out what is false.
func optionalTrue(yes bool) *bool {
	if !yes {
		return nil
	}
	return &yes
}
