package api

import (
	"cmp"
	"context"

	"onecard/issuance/production"
	"onecard/registry"
)

// producing is the caller as who works with batches.
func producing(ctx context.Context) production.Who {
	who := callerOf(ctx)
	return production.Who{Actor: who.actor(), Roles: who.operator.Roles}
}

// batchPlace is a place that the operator may order cards for: without one, the
// own.
func (s *Server) batchPlace(ctx context.Context, place *string) (string, error) {
	who := callerOf(ctx).operator
	at := cmp.Or(deref(place, ""), who.Place)
	scope, err := s.db.Scope(ctx, who.Reach())
	if err == nil && !scope.Covers(at, "") {
		err = errBatchPlace
	}
	return at, err
}

// CreateBatch implements StrictServerInterface (组批). That the batch is entered
// happens once; it is filled until it is whole, however often that is asked for.
func (s *Server) CreateBatch(ctx context.Context, request CreateBatchRequestObject) (CreateBatchResponseObject, error) {
	body := request.Body
	place, err := s.batchPlace(ctx, body.Place)
	if err != nil {
		return nil, err
	}
	who := producing(ctx)
	order := production.Order{
		Number: deref(body.Number, ""), Kind: cmp.Or(string(deref(body.Kind, "")), production.KindNormal), Supplier: body.Supplier, Bank: deref(body.Bank, ""),
		CardType: deref(body.CardType, "3"), Place: place, Most: body.Most,
	}
	order.Number, err = once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (string, error) {
		b, err := s.production.Enter(tx, who, order)
		return b.Number, err
	})
	if err != nil {
		return nil, err
	}
	b, err := s.production.Create(ctx, who, order)
	if err != nil {
		return nil, err
	}
	return CreateBatch201JSONResponse(batchView(b)), nil
}

// maxWaiting is how far the applications that wait are counted.
const maxWaiting = 10_000

// BatchOutlook implements StrictServerInterface (组批条件).
func (s *Server) BatchOutlook(ctx context.Context, request BatchOutlookRequestObject) (BatchOutlookResponseObject, error) {
	place, err := s.batchPlace(ctx, request.Params.Place)
	if err != nil {
		return nil, err
	}
	o, err := s.production.Outlook(ctx, place, maxWaiting)
	if err != nil {
		return nil, err
	}
	return BatchOutlook200JSONResponse{
		Place: place, Waiting: o.Waiting, Most: maxWaiting,
		Suppliers: views(o.Offers, func(f production.Offer) BatchSupplier {
			return BatchSupplier{Id: f.ID, Product: f.Product, Approval: f.Approval, SpecVersion: f.SpecVersion, ValidTo: f.ValidTo, Left: f.Left, Chips: f.Chips}
		}),
		Banks: views(o.Banks, func(b production.Bank) BatchBank { return BatchBank{Code: b.Code, Name: b.Name} }),
	}, nil
}

// batchRowLimit is the length of a page of rows unless asked otherwise.
const batchRowLimit = 100

// BatchRows implements StrictServerInterface (逐卡结果).
func (s *Server) BatchRows(ctx context.Context, request BatchRowsRequestObject) (BatchRowsResponseObject, error) {
	b, err := s.ownBatch(ctx, request.Number)
	if err != nil {
		return nil, err
	}
	p := request.Params
	items, err := s.production.Items(ctx, b.ID, string(deref(p.State, "")), deref(p.After, 0), deref(p.Limit, batchRowLimit))
	if err != nil {
		return nil, err
	}
	seqs := views(items, func(i production.Item) int64 { return i.Seq })
	destroyed, err := s.production.Destructions(ctx, b.ID, seqs)
	if err != nil {
		return nil, err
	}
	who := callerOf(ctx).operator
	return BatchRows200JSONResponse{Rows: views(items, func(i production.Item) BatchRow {
		row := BatchRow{Seq: i.Seq, CardNumber: i.CardNumber, State: BatchRowState(i.State), Text: textView(rowTexts[i.State]), Reason: optional(i.Reason)}
		d, known := destroyed[i.Seq]
		if known {
			row.Destruction = destructionView(d)
		}
		signable := (i.State == production.ItemFailed || i.State == production.ItemKeyError) && d.FirstBy != who.Login
		row.Signable = &signable
		return row
	})}, nil
}

func destructionView(d production.Destruction) *BatchDestruction {
	v := BatchDestruction{Method: BatchDestructionMethod(d.Method), Reason: d.Reason, FirstBy: d.FirstBy, FirstAt: d.FirstAt.UTC(), SecondBy: d.SecondBy}
	if d.SecondAt != nil {
		at := d.SecondAt.UTC()
		v.SecondAt = &at
	}
	return &v
}

// ScrapCards implements StrictServerInterface (销毁废卡): the whole list or none.
func (s *Server) ScrapCards(ctx context.Context, request ScrapCardsRequestObject) (ScrapCardsResponseObject, error) {
	b, err := s.ownBatch(ctx, request.Number)
	if err != nil {
		return nil, err
	}
	body := request.Body
	answer, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (Scrapped, error) {
		var signed Scrapped
		for _, number := range body.Cards {
			done, err := s.production.Scrap(tx, producing(ctx), b.Number, number, string(deref(body.Method, "")), deref(body.Reason, ""))
			switch {
			case err != nil:
				return signed, err
			case done:
				signed.Destroyed++
			default:
				signed.Signed++
			}
		}
		return signed, nil
	})
	if err != nil {
		return nil, err
	}
	return ScrapCards200JSONResponse(answer), nil
}

// CloseBatch implements StrictServerInterface (结批).
func (s *Server) CloseBatch(ctx context.Context, request CloseBatchRequestObject) (CloseBatchResponseObject, error) {
	b, err := s.ownBatch(ctx, request.Number)
	if err != nil {
		return nil, err
	}
	answer, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (ProductionBatch, error) {
		closed, err := s.production.Close(tx, producing(ctx), b.Number)
		return batchView(closed), err
	})
	if err != nil {
		return nil, err
	}
	return CloseBatch200JSONResponse(answer), nil
}

// closable says whether an operator may close a batch as it stands.
func closable(who registry.Operator, b production.Batch, counts map[string]int64) bool {
	rule, ok := production.Batches.Rule(b.State, "close")
	return ok && rule.Allows(who.Roles) && counts[production.ItemFailed]+counts[production.ItemKeyError] == 0
}

func lackView(l production.Lack) BatchLack {
	v := BatchLack{Text: textView(l.Text), Count: l.Count}
	if l.Remedy.ZH != "" {
		remedy := textView(l.Remedy)
		v.Remedy = &remedy
	}
	return v
}
