package api

import (
	"context"

	"github.com/google/uuid"

	"onecard/exchange"
	"onecard/internal/gb"
	"onecard/registry"
)

// SubmitTransaction implements StrictServerInterface (交易). The journal knows
// the request again by its id.
func (s *Server) SubmitTransaction(ctx context.Context, request SubmitTransactionRequestObject) (SubmitTransactionResponseObject, error) {
	who, body := callerOf(ctx), request.Body
	date, err := gb.ParseDate(body.Date)
	if err != nil {
		return nil, fieldOf("date", err)
	}
	wanted := exchange.Request{
		ID: body.Id, Business: string(body.Business), ProofID: body.Proof, Terminal: who.workstation.ID,
		SerialNumber: body.Serial, Date: date, TotalFen: exchange.Fen(body.TotalFen),
	}
	for _, item := range body.Items {
		wanted.Items = append(wanted.Items, exchange.Item{
			Code: item.Code, Name: item.Name, Category: exchange.Category(item.Category), Fen: exchange.Fen(item.Fen),
		})
	}
	done, err := s.exchange.Submit(ctx, who.actor(), wanted)
	if err != nil {
		return nil, err
	}
	return SubmitTransaction200JSONResponse(s.transactionView(done)), nil
}

// Transaction implements StrictServerInterface (查询交易). A cashier sees those
// of the own institution, a supervisor those of sites in the own place.
func (s *Server) Transaction(ctx context.Context, request TransactionRequestObject) (TransactionResponseObject, error) {
	who := callerOf(ctx)
	found, err := s.exchange.Transaction(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	if found.Site.Institution != who.operator.Institution {
		scope, err := s.db.Scope(ctx, who.operator.Reach())
		if err != nil {
			return nil, err
		}
		if !who.operator.Has(registry.RoleSupervisor) || !scope.Covers(found.Site.Place, "") {
			return nil, exchange.ErrNotYours
		}
	}
	return Transaction200JSONResponse(s.transactionView(found)), nil
}

// ReverseTransaction implements StrictServerInterface (冲正). Reversing again is
// a success, so the journal needs no record of the idempotency key.
func (s *Server) ReverseTransaction(ctx context.Context, request ReverseTransactionRequestObject) (ReverseTransactionResponseObject, error) {
	done, err := s.exchange.Reverse(ctx, callerOf(ctx).actor(), request.Id, request.Body.Reason)
	if err != nil {
		return nil, err
	}
	return ReverseTransaction200JSONResponse(s.transactionView(done)), nil
}

func (s *Server) transactionView(t exchange.Transaction) Transaction {
	view := Transaction{
		Id: t.ID, Business: t.Business, State: string(t.State), StateText: text(t.State.Text()),
		Route: optional(t.Rule), TotalFen: int64(t.Total), Lines: []TransactionLine{},
	}
	if t.State == exchange.StateConfirmed {
		view.FundFen, view.AccountFen = fen(t.Fund), fen(t.Account)
		view.CashFen, view.BalanceFen = fen(t.Cash), fen(t.Balance)
	}
	if t.Reason != nil {
		reason := text(t.Reason.Text)
		view.Reason = &reason
	}
	for _, line := range t.Lines {
		view.Lines = append(view.Lines, TransactionLine{
			Payer: optional(string(line.Payer)), Text: text(line.Text), Fen: int64(line.Fen),
		})
	}
	receipt := s.exchange.Receipt(t).Print()
	view.Receipt = &receipt
	return view
}

func text(t exchange.Text) Text { return Text{Zh: t.ZH, En: t.EN} }

func fen(f exchange.Fen) *int64 {
	n := int64(f)
	return &n
}

// optional leaves out of the answer what is empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func optionalID(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
