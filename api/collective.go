package api

import (
	"bytes"
	"context"

	"github.com/google/uuid"

	"onecard/issuance/collective"
)

// listStep is how many rows of a list one request decides: it is answered
// before whoever asks gives up.
const listStep = 1000

// TakeList implements StrictServerInterface (集体申领). The list itself is what makes
// it happen once: each row has one outcome, whatever the keys of the requests.
func (s *Server) TakeList(ctx context.Context, request TakeListRequestObject) (TakeListResponseObject, error) {
	body := request.Body
	list := collective.List{
		Institution: body.Institution, Kind: deref(body.Kind, ""), Method: deref(body.Method, ""),
		Sheet: deref(body.Sheet, ""), Content: body.Content, Most: listStep,
	}
	answer, err := onceAround(ctx, s, request.Params.IdempotencyKey, "collective.asked", func() (CollectiveOrder, string, error) {
		order, err := s.collective.Run(ctx, callerOf(ctx).actor(), list)
		return orderView(order), "collective:" + order.ID.String(), err
	})
	if err != nil {
		return nil, err
	}
	return TakeList200JSONResponse(answer), nil
}

func orderView(o collective.Order) CollectiveOrder {
	return CollectiveOrder{
		Id: o.ID, Institution: o.Institution, Kind: o.Kind, Method: o.Method, State: o.State,
		Applied: o.Applied, Draft: o.Draft, Refused: o.Refused, Withdrawn: o.Withdrawn, EnteredBy: o.EnteredBy, EnteredAt: o.CreatedAt.UTC(),
	}
}

// ownList refuses a list that was not brought in the operator's place.
func (s *Server) ownList(ctx context.Context, id uuid.UUID) error {
	scope, err := s.db.Scope(ctx, callerOf(ctx).operator.Reach())
	if err != nil {
		return err
	}
	inside, err := s.collective.Within(ctx, id, scope)
	if err == nil && !inside {
		return errOtherPlace
	}
	return err
}

// rowLimit is the length of a page of rows unless asked otherwise.
const rowLimit = 200

// CollectiveOrder implements StrictServerInterface (集体申领进度).
func (s *Server) CollectiveOrder(ctx context.Context, request CollectiveOrderRequestObject) (CollectiveOrderResponseObject, error) {
	if err := s.ownList(ctx, request.Id); err != nil {
		return nil, err
	}
	order, err := s.collective.Order(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	rows, err := s.collective.Rows(ctx, request.Id, deref(request.Params.AfterRow, 0), deref(request.Params.Limit, rowLimit))
	if err != nil {
		return nil, err
	}
	answer := CollectiveOrder200JSONResponse{Order: orderView(order), Rows: make([]CollectiveRow, len(rows))}
	for i, r := range rows {
		answer.Rows[i] = CollectiveRow{Row: r.Number, Outcome: r.Outcome, Application: r.Application, Code: optional(r.Code)}
		if r.Code != "" {
			answer.Rows[i].Text = &Text{Zh: r.ZH, En: r.EN}
		}
	}
	return answer, nil
}

// CollectiveOrders implements StrictServerInterface (集体申领单).
func (s *Server) CollectiveOrders(ctx context.Context, request CollectiveOrdersRequestObject) (CollectiveOrdersResponseObject, error) {
	scope, err := s.db.Scope(ctx, callerOf(ctx).operator.Reach())
	if err != nil {
		return nil, err
	}
	orders, err := s.collective.Orders(ctx, scope, deref(request.Params.Limit, orderLimit))
	if err != nil {
		return nil, err
	}
	return CollectiveOrders200JSONResponse{Orders: views(orders, orderView)}, nil
}

// The lengths of the lists of orders unless asked otherwise, and of units.
const (
	orderLimit = 20
	unitLimit  = 1000
)

// CollectiveUnits implements StrictServerInterface (申领单位).
func (s *Server) CollectiveUnits(ctx context.Context, _ CollectiveUnitsRequestObject) (CollectiveUnitsResponseObject, error) {
	scope, err := s.db.Scope(ctx, callerOf(ctx).operator.Reach())
	if err != nil {
		return nil, err
	}
	units, err := s.collective.Units(ctx, scope, unitLimit)
	if err != nil {
		return nil, err
	}
	return CollectiveUnits200JSONResponse{Institutions: views(units, func(u collective.Unit) CollectiveInstitution {
		return CollectiveInstitution{Id: u.ID, Kind: CollectiveInstitutionKind(u.Kind), Name: u.Name, Place: u.Place}
	})}, nil
}

// CollectiveRefused implements StrictServerInterface (未受理名单).
func (s *Server) CollectiveRefused(ctx context.Context, request CollectiveRefusedRequestObject) (CollectiveRefusedResponseObject, error) {
	var file bytes.Buffer
	if err := s.ownList(ctx, request.Id); err != nil {
		return nil, err
	}
	list := collective.List{Content: request.Body.Content, Sheet: deref(request.Body.Sheet, "")}
	if err := s.collective.WriteRefused(ctx, request.Id, list, &file); err != nil {
		return nil, err
	}
	return CollectiveRefused200ApplicationvndOpenxmlformatsOfficedocumentSpreadsheetmlSheetResponse{Body: &file, ContentLength: int64(file.Len())}, nil
}

// CollectiveResult implements StrictServerInterface (逐行结果).
func (s *Server) CollectiveResult(ctx context.Context, request CollectiveResultRequestObject) (CollectiveResultResponseObject, error) {
	var file bytes.Buffer
	if err := s.ownList(ctx, request.Id); err != nil {
		return nil, err
	}
	if err := s.collective.WriteResult(ctx, request.Id, &file); err != nil {
		return nil, err
	}
	return CollectiveResult200TextcsvResponse{Body: &file, ContentLength: int64(file.Len())}, nil
}

// CollectiveHandout implements StrictServerInterface (领卡清单).
func (s *Server) CollectiveHandout(ctx context.Context, request CollectiveHandoutRequestObject) (CollectiveHandoutResponseObject, error) {
	var file bytes.Buffer
	if err := s.ownList(ctx, request.Id); err != nil {
		return nil, err
	}
	if err := s.collective.WriteHandout(ctx, callerOf(ctx).actor(), request.Id, &file); err != nil {
		return nil, err
	}
	return CollectiveHandout200TextcsvResponse{Body: &file, ContentLength: int64(file.Len())}, nil
}
