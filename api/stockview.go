package api

import (
	"context"

	"onecard/issuance"
	"onecard/issuance/stock"
)

// StockView implements StrictServerInterface (库存).
func (s *Server) StockView(ctx context.Context, request StockViewRequestObject) (StockViewResponseObject, error) {
	if err := s.stock.Sees(ctx, callerOf(ctx).operator, request.Params.Place); err != nil {
		return nil, err
	}
	v, err := s.stock.View(ctx, request.Params.Place)
	if err != nil {
		return nil, err
	}
	return StockView200JSONResponse{
		Place: v.Place.ID, Name: v.Place.Name, Arriving: views(v.Arriving, consignmentView), Leaving: views(v.Leaving, consignmentView),
		Boxes: views(v.Boxes, boxView), Incidents: views(v.Incidents, incidentView), Days: views(v.Days, dayView),
		Leases:   views(v.Leases, func(l stock.Lease) StockLease { return s.leaseView(l, nil) }),
		Counters: append([]string{}, v.Counters...),
		People:   views(v.People, func(p stock.Colleague) StockPerson { return StockPerson{Login: p.Login, Name: p.Name} }),
		Held: views(v.Held, func(h stock.Held) StockHeld {
			return StockHeld{Kind: h.Kind, State: h.State, StateText: stateText(stock.Machine(h.Kind), h.State), Cards: h.Cards}
		}),
	}, nil
}

// cardLimit is the length of a page of cards unless asked otherwise.
const cardLimit = 100

// StockHoldings implements StrictServerInterface (库存明细).
func (s *Server) StockHoldings(ctx context.Context, request StockHoldingsRequestObject) (StockHoldingsResponseObject, error) {
	p := request.Params
	if err := s.stock.Sees(ctx, callerOf(ctx).operator, p.Place); err != nil {
		return nil, err
	}
	cards, err := s.stock.Holdings(ctx, p.Place, string(p.Kind), string(deref(p.State, "")), deref(p.After, ""), deref(p.Limit, cardLimit))
	if err != nil {
		return nil, err
	}
	machine := stock.Machine(string(p.Kind))
	return StockHoldings200JSONResponse{Cards: views(cards, func(h stock.Holding) StockHolding {
		return StockHolding{Card: h.Card, State: h.State, StateText: stateText(machine, h.State), Box: optional(h.Box), Lease: h.Lease}
	})}, nil
}

// StockConsignment implements StrictServerInterface (发运清单).
func (s *Server) StockConsignment(ctx context.Context, request StockConsignmentRequestObject) (StockConsignmentResponseObject, error) {
	c, err := s.stock.Consignment(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	who := callerOf(ctx).operator
	if err := s.stock.Sees(ctx, who, c.To); err != nil {
		if err := s.stock.Sees(ctx, who, c.From); err != nil {
			return nil, err
		}
	}
	boxes, lists, err := s.stock.Packed(ctx, c)
	if err != nil {
		return nil, err
	}
	answer := StockConsignment200JSONResponse{Consignment: consignmentView(c), Boxes: make([]StockListed, len(boxes))}
	for n, b := range boxes {
		answer.Boxes[n] = StockListed{Label: b.Label, Seal: b.Seal, Kind: b.Kind, Cards: views(lists[n].Cards, func(s stock.Slot) string { return s.Card })}
	}
	return answer, nil
}

// StockStory implements StrictServerInterface (流转记录): for those who see the
// place where the card is.
func (s *Server) StockStory(ctx context.Context, request StockStoryRequestObject) (StockStoryResponseObject, error) {
	story, err := s.stock.Story(ctx, request.Params.Card)
	if err != nil {
		return nil, err
	}
	if err := s.seesStory(ctx, story); err != nil {
		return nil, err
	}
	return StockStory200JSONResponse{
		Card: story.Card, Kind: story.Kind, Place: story.Place, State: story.State, Product: optional(story.Product), CardNumber: optional(story.Became),
		Incidents: views(story.Incidents, incidentView),
		Movements: views(story.Movements, func(m stock.Movement) StockMovement {
			rule, _ := stock.Machine(m.Kind).Rule(m.FromState, m.Event)
			return StockMovement{
				Event: m.Event, Text: Text{Zh: rule.Text.ZH, En: rule.Text.EN}, From: m.FromPlace, FromState: m.FromState, To: m.ToPlace, ToState: m.ToState,
				Document: m.Document, Reason: optional(m.Reason), At: m.At.UTC(), Operator: m.Operator,
			}
		}),
	}, nil
}

// seesStory lets an operator read the story of a card that was at a place that
// he may look at.
func (s *Server) seesStory(ctx context.Context, story stock.Story) error {
	who := callerOf(ctx).operator
	err := s.stock.Sees(ctx, who, story.Place)
	for _, m := range story.Movements {
		if err != nil {
			err = s.stock.Sees(ctx, who, m.ToPlace)
		}
	}
	for _, i := range story.Incidents {
		if err != nil {
			err = s.stock.Sees(ctx, who, i.Place)
		}
	}
	return err
}

// StockUnclaimed implements StrictServerInterface (逾期未领).
func (s *Server) StockUnclaimed(ctx context.Context, request StockUnclaimedRequestObject) (StockUnclaimedResponseObject, error) {
	if err := s.stock.Sees(ctx, callerOf(ctx).operator, request.Params.Place); err != nil {
		return nil, err
	}
	cards, err := s.stock.Unclaimed(ctx, request.Params.Place)
	if err != nil {
		return nil, err
	}
	return StockUnclaimed200JSONResponse(views(cards, func(c stock.Unclaimed) StockUnclaimed {
		return StockUnclaimed{CardNumber: c.Number, Since: c.Since.UTC()}
	})), nil
}

// views shows all of a list; an empty one is a list, too.
func views[A, B any](all []A, show func(A) B) []B {
	shown := make([]B, len(all))
	for n, a := range all {
		shown[n] = show(a)
	}
	return shown
}

func stateText(m *issuance.Machine, state string) Text {
	text := m.State(state).Text
	return Text{Zh: text.ZH, En: text.EN}
}

func consignmentView(c stock.Consignment) StockConsignment {
	v := StockConsignment{
		Id: c.ID, From: c.From, To: c.To, State: c.State, StateText: stateText(&stock.Consignments, c.State),
		SentBy: c.SentBy, SentAt: c.SentAt.UTC(), AcceptedBy: c.AcceptedBy,
	}
	if c.AcceptedAt != nil {
		at := c.AcceptedAt.UTC()
		v.AcceptedAt = &at
	}
	return v
}

func boxView(b stock.Box) StockBox {
	return StockBox{
		Id: b.ID, Label: b.Label, Kind: b.Kind, Place: b.Place, Seal: b.Seal, State: b.State, StateText: stateText(&stock.Boxes, b.State),
		SealedBy: b.SealedBy, WitnessedBy: b.WitnessedBy,
	}
}

func (s *Server) leaseView(l stock.Lease, cards []string) StockLease {
	v := StockLease{
		Id: l.ID, Place: l.Place, Workstation: l.Workstation, Holder: l.Holder, LentBy: l.LentBy,
		ExpiresAt: l.ExpiresAt.UTC(), Expired: l.Expired(s.db.Now()), Cards: &cards,
	}
	if l.ReturnedAt != nil {
		at := l.ReturnedAt.UTC()
		v.ReturnedAt = &at
	}
	if cards == nil {
		v.Cards = nil
	}
	return v
}

func incidentView(i stock.Incident) StockIncident {
	return StockIncident{
		Id: i.ID, Place: i.Place, Finding: i.Finding, Kind: i.Kind, Card: i.Item, Document: i.Document, Note: i.Note, Owner: i.Owner,
		OpenedAt: i.OpenedAt.UTC(), ClosedBy: i.ClosedBy, Outcome: i.Outcome,
	}
}

func dayView(d stock.Day) StockDay {
	return StockDay{
		Kind: d.Kind, Bin: d.Bin, Day: d.Day, Opening: d.Opening, Received: d.Received, Sent: d.Sent, Used: d.Used, Spoiled: d.Spoiled,
		Missing: d.Missing, Destroyed: d.Destroyed, Closing: d.Closing, Counted: d.Counted, Difference: d.Difference,
	}
}
