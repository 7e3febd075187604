package api

import (
	"context"
	"errors"
	"strings"

	"onecard/issuance/stock"
	"onecard/registry"
)

var errWitnessPassword = &registry.FieldError{Field: "witness.password", ZH: "第二人的登录名或密码不对", EN: "the second person's login or password is wrong"}

// stockOnce lets a change of the stock happen once, by the operator and, where
// one signs with him, the witness.
func stockOnce[T any](ctx context.Context, s *Server, key string, with *StockWitness, change func(tx *registry.Tx, h stock.Hands) (T, error)) (T, error) {
	var answer T
	who := callerOf(ctx)
	h := stock.Hands{By: who.operator}
	if with != nil {
		if strings.EqualFold(strings.TrimSpace(with.Login), h.By.Login) {
			return answer, stock.ErrSamePerson // signing would end the own session
		}
		var err error
		h.Witness, err = s.stock.Sign(ctx, with.Login, with.Password, who.workstation.ID)
		switch {
		case errors.Is(err, registry.ErrSignIn): // the operator's own session stands
			return answer, errWitnessPassword
		case err != nil:
			return answer, err
		}
	}
	return once(ctx, s, key, func(tx *registry.Tx) (T, error) { return change(tx, h) })
}

// AnnounceDelivery implements StrictServerInterface (送货清单).
func (s *Server) AnnounceDelivery(ctx context.Context, request AnnounceDeliveryRequestObject) (AnnounceDeliveryResponseObject, error) {
	body := request.Body
	answer, err := stockOnce(ctx, s, request.Params.IdempotencyKey, nil, func(tx *registry.Tx, h stock.Hands) (StockConsignment, error) {
		d := stock.Delivery{Maker: body.Maker, Kind: string(body.Kind), Product: deref(body.Product, "")}
		for _, b := range body.Boxes {
			d.Boxes = append(d.Boxes, listedBox(b))
		}
		c, err := s.stock.Announce(tx, h, d)
		return consignmentView(c), err
	})
	if err != nil {
		return nil, err
	}
	return AnnounceDelivery201JSONResponse(answer), nil
}

func listedBox(b StockListedBox) stock.NewBox {
	box := stock.NewBox{Label: b.Label, Seal: deref(b.Seal, "")}
	for _, c := range b.Cards {
		box.Cards = append(box.Cards, stock.Slot{Slot: c.Slot, Card: c.Card})
	}
	return box
}

// PackBox implements StrictServerInterface (装箱封签).
func (s *Server) PackBox(ctx context.Context, request PackBoxRequestObject) (PackBoxResponseObject, error) {
	body := request.Body
	answer, err := stockOnce(ctx, s, request.Params.IdempotencyKey, &body.Witness, func(tx *registry.Tx, h stock.Hands) (StockBox, error) {
		b, err := s.stock.Pack(tx, h, string(body.Kind), listedBox(body.Box))
		return boxView(b), err
	})
	if err != nil {
		return nil, err
	}
	return PackBox201JSONResponse(answer), nil
}

// OpenBox implements StrictServerInterface (开箱).
func (s *Server) OpenBox(ctx context.Context, request OpenBoxRequestObject) (OpenBoxResponseObject, error) {
	answer, err := stockOnce(ctx, s, request.Params.IdempotencyKey, &request.Body.Witness, func(tx *registry.Tx, h stock.Hands) (StockBox, error) {
		b, err := s.stock.Open(tx, h, request.Body.Label)
		return boxView(b), err
	})
	if err != nil {
		return nil, err
	}
	return OpenBox200JSONResponse(answer), nil
}

// SendBoxes implements StrictServerInterface (发运).
func (s *Server) SendBoxes(ctx context.Context, request SendBoxesRequestObject) (SendBoxesResponseObject, error) {
	answer, err := stockOnce(ctx, s, request.Params.IdempotencyKey, nil, func(tx *registry.Tx, h stock.Hands) (StockConsignment, error) {
		c, err := s.stock.Send(tx, h, request.Body.To, request.Body.Boxes)
		return consignmentView(c), err
	})
	if err != nil {
		return nil, err
	}
	return SendBoxes201JSONResponse(answer), nil
}

// AcceptConsignment implements StrictServerInterface (签收).
func (s *Server) AcceptConsignment(ctx context.Context, request AcceptConsignmentRequestObject) (AcceptConsignmentResponseObject, error) {
	body := request.Body
	found := stock.Acceptance{
		MissingBoxes: deref(body.MissingBoxes, nil), BrokenSeals: deref(body.BrokenSeals, nil), Missing: deref(body.Missing, nil),
		Damaged: deref(body.Damaged, nil), Extra: deref(body.Extra, nil), Note: deref(body.Note, ""), Owner: deref(body.Owner, ""),
	}
	answer, err := stockOnce(ctx, s, request.Params.IdempotencyKey, body.Witness, func(tx *registry.Tx, h stock.Hands) (StockConsignment, error) {
		c, err := s.stock.Accept(tx, h, request.Id, found)
		return consignmentView(c), err
	})
	if err != nil {
		return nil, err
	}
	return AcceptConsignment200JSONResponse(answer), nil
}

// LendBlanks implements StrictServerInterface (领用).
func (s *Server) LendBlanks(ctx context.Context, request LendBlanksRequestObject) (LendBlanksResponseObject, error) {
	body := request.Body
	answer, err := stockOnce(ctx, s, request.Params.IdempotencyKey, nil, func(tx *registry.Tx, h stock.Hands) (StockLease, error) {
		lease, cards, err := s.stock.Lend(tx, h, stock.NewLease{
			Workstation: body.Workstation, Holder: body.Holder, Days: body.Days,
			Cards: deref(body.Cards, nil), From: deref(body.From, ""), To: deref(body.To, ""),
		})
		return s.leaseView(lease, cards), err
	})
	if err != nil {
		return nil, err
	}
	return LendBlanks201JSONResponse(answer), nil
}

// ReturnLease implements StrictServerInterface (交回).
func (s *Server) ReturnLease(ctx context.Context, request ReturnLeaseRequestObject) (ReturnLeaseResponseObject, error) {
	answer, err := stockOnce(ctx, s, request.Params.IdempotencyKey, nil, func(tx *registry.Tx, h stock.Hands) (StockLease, error) {
		lease, cards, err := s.stock.Return(tx, h, request.Id)
		return s.leaseView(lease, cards), err
	})
	if err != nil {
		return nil, err
	}
	return ReturnLease200JSONResponse(answer), nil
}

// ReportCards implements StrictServerInterface (报失、找回、作废).
func (s *Server) ReportCards(ctx context.Context, request ReportCardsRequestObject) (ReportCardsResponseObject, error) {
	body := request.Body
	_, err := stockOnce(ctx, s, request.Params.IdempotencyKey, &body.Witness, func(tx *registry.Tx, h stock.Hands) (struct{}, error) {
		return struct{}{}, s.stock.Report(tx, h, stock.Report{
			Event: string(body.Event), Kind: string(body.Kind), Cards: body.Cards, Reason: body.Reason, Owner: deref(body.Owner, ""),
		})
	})
	if err != nil {
		return nil, err
	}
	return ReportCards204Response{}, nil
}

// DestroyCards implements StrictServerInterface (销毁).
func (s *Server) DestroyCards(ctx context.Context, request DestroyCardsRequestObject) (DestroyCardsResponseObject, error) {
	body := request.Body
	answer, err := stockOnce(ctx, s, request.Params.IdempotencyKey, &body.Witness, func(tx *registry.Tx, h stock.Hands) (StockDestruction, error) {
		d, err := s.stock.Destroy(tx, h, string(body.Kind), body.Cards, body.Method)
		return StockDestruction{Id: d.ID, Place: d.Place, FirstBy: d.FirstBy, SecondBy: d.SecondBy, Method: d.Method, Cards: d.Cards, At: d.At}, err
	})
	if err != nil {
		return nil, err
	}
	return DestroyCards201JSONResponse(answer), nil
}

// CloseDay implements StrictServerInterface (日结).
func (s *Server) CloseDay(ctx context.Context, request CloseDayRequestObject) (CloseDayResponseObject, error) {
	body := request.Body
	count := stock.Count{Day: body.Day.String(), Note: deref(body.Note, ""), Owner: deref(body.Owner, ""), Cards: map[string]map[string]int64{
		stock.Blank:    {stock.Good: body.Blank.Good, stock.Waste: body.Blank.Waste},
		stock.Finished: {stock.Good: body.Card.Good, stock.Waste: body.Card.Waste},
	}}
	answer, err := stockOnce(ctx, s, request.Params.IdempotencyKey, &body.Witness, func(tx *registry.Tx, h stock.Hands) ([]StockDay, error) {
		days, err := s.stock.Close(tx, h, count)
		return views(days, dayView), err
	})
	if err != nil {
		return nil, err
	}
	return CloseDay201JSONResponse(answer), nil
}

// CloseIncident implements StrictServerInterface (异常办结).
func (s *Server) CloseIncident(ctx context.Context, request CloseIncidentRequestObject) (CloseIncidentResponseObject, error) {
	answer, err := stockOnce(ctx, s, request.Params.IdempotencyKey, nil, func(tx *registry.Tx, h stock.Hands) (StockIncident, error) {
		i, err := s.stock.CloseIncident(tx, h, request.Id, request.Body.Outcome)
		return incidentView(i), err
	})
	if err != nil {
		return nil, err
	}
	return CloseIncident200JSONResponse(answer), nil
}
