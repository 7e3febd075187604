package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/order"
	"onecard/issuance"
	"onecard/issuance/session"
)

// OpenChipSession implements StrictServerInterface (芯片会话).
func (s *Server) OpenChipSession(ctx context.Context, request OpenChipSessionRequestObject) (OpenChipSessionResponseObject, error) {
	answer, err := onceAround(ctx, s, request.Params.IdempotencyKey, "chip.answered", func() (Turn, string, error) {
		return s.openChipSession(ctx, request.Body)
	})
	if err != nil {
		return nil, err
	}
	return OpenChipSession201JSONResponse(answer), nil
}

func (s *Server) openChipSession(ctx context.Context, body *NewChipSession) (turn Turn, id string, err error) {
	who := callerOf(ctx)
	atr, err := hex.DecodeString(body.Atr)
	if err != nil {
		return Turn{}, "", fieldOf("atr", err)
	}
	opening, err := responses("opening", body.Opening)
	if err != nil {
		return Turn{}, "", err
	}
	opened, err := s.issuance.OpenSession(ctx, who.actor(), issuance.OpenSession{
		Operation: string(body.Operation), ApplicationID: body.ApplicationId, CardID: body.CardId,
		Reader: body.Reader, ATR: atr, Opening: opening, Roles: who.operator.Roles, Items: chipItems(body.Items), Movement: movement(body.Movement),
	})
	if err != nil {
		return Turn{}, "", err
	}
	turn, err = s.turnView(opened, order.Answered(opening))
	return turn, "chip-session:" + opened.Session.String(), err
}

// StepChipSession implements StrictServerInterface (芯片应答). The session knows a
// repeated step by its number and its answers.
func (s *Server) StepChipSession(ctx context.Context, request StepChipSessionRequestObject) (StepChipSessionResponseObject, error) {
	answers, err := responses("responses", request.Body.Responses)
	if err != nil {
		return nil, err
	}
	turn, err := s.issuance.Step(ctx, callerOf(ctx).actor(), request.Id, request.Seq, answers, deref(request.Body.Pin, ""))
	if err != nil {
		return nil, err
	}
	view, err := s.turnView(turn, "")
	if err != nil {
		return nil, err
	}
	return StepChipSession200JSONResponse(view), nil
}

// responses decodes the chip's answers.
func responses(field string, encoded []ResponseAPDU) ([]apdu.Response, error) {
	decoded := make([]apdu.Response, len(encoded))
	for i, text := range encoded {
		raw, err := hex.DecodeString(text)
		if err == nil {
			decoded[i], err = apdu.ParseResponse(raw)
		}
		if err != nil {
			return nil, fieldOf(fmt.Sprintf("%s[%d]", field, i), err)
		}
	}
	return decoded, nil
}

// turnView shows a turn; the first of a session is bound to the opening.
func (s *Server) turnView(t session.Turn, opening string) (Turn, error) {
	view := Turn{
		Session: t.Session, Seq: t.Seq, Done: t.Script == nil,
		Progress: &Progress{Done: t.Done, Total: t.Total, Label: t.Label},
	}
	if t.Script != nil {
		signed, err := s.order(t, opening)
		view.Order = &signed
		return view, err
	}
	var result issuance.Result
	if err := json.Unmarshal(t.Result, &result); err != nil {
		return Turn{}, fmt.Errorf("api: result of a chip session: %w", err)
	}
	view.Result = resultView(result)
	return view, nil
}

// How long a counter may wait before it begins an order, and how many seconds
// the order may take: some, and some for each command.
const (
	orderLife    = 2 * time.Minute
	orderSeconds = 30
	stepSeconds  = 2
)

// order signs the script of a turn (指令单).
func (s *Server) order(t session.Turn, opening string) (string, error) {
	with, err := s.orders()
	if err != nil {
		return "", fmt.Errorf("api: certificate of orders: %w", err)
	}
	return order.Sign(order.Order{
		Session: t.Session, Seq: t.Seq, ATR: t.ATR, Opening: opening, NotAfter: s.db.Now().Add(orderLife), Budget: orderSeconds + stepSeconds*len(t.Script.Steps),
		Steps: t.Script.Steps, NeedsPIN: t.NeedsPIN,
	}, with)
}

func resultView(r issuance.Result) *ChipResult {
	status := statusText(r.Status)
	view := &ChipResult{
		Operation: r.Operation, Genuine: r.Genuine, CardId: optionalID(r.CardID), PersonId: optionalID(r.PersonID),
		CardNumber: optional(r.CardNumber), ChipId: optional(r.ChipID), Status: optional(r.Status),
		StatusText: &status,
	}
	view.Fields, view.Account = fieldViews(r.Fields), movedView(r.Account)
	if r.Findings != nil {
		view.Findings = findingsView(r.Findings)
	}
	return view
}

func fieldViews(values []card.Value) []ChipField {
	views := []ChipField{}
	for _, f := range values {
		view := ChipField{File: f.File, Tag: f.Tag, Name: f.Name, Zh: f.Text.ZH, En: f.Text.EN, Value: f.Value, Meaning: optional(meaning(f))}
		if len(f.Parts) > 0 {
			parts := fieldViews(f.Parts)
			view.Parts = &parts
		}
		views = append(views, view)
	}
	return views
}

// movement reads what a debit or a credit is asked for.
func movement(m *Movement) *card.Movement {
	if m == nil {
		return nil
	}
	return &card.Movement{Amount: card.Fen(m.AmountFen), Total: card.Fen(m.TotalFen), Terminal: m.Terminal, TerminalSerial: uint32(m.TerminalSerial)}
}

func movedView(m *issuance.Moved) *Moved {
	if m == nil {
		return nil
	}
	return &Moved{
		AmountFen: int64(m.Amount), TotalFen: int64(m.Total), Terminal: m.Terminal, TerminalSerial: int64(m.TerminalSerial),
		Serial: int(m.Serial), BeforeFen: int64(m.Before), AfterFen: int64(m.After), Tac: optional(strings.ToUpper(hex.EncodeToString(m.TAC))),
		Done: m.Done, Settled: m.Settled,
	}
}

// chipItems reads what access is asked to do.
func chipItems(items *[]ChipItem) []card.Item {
	if items == nil {
		return nil
	}
	var asked []card.Item
	for _, item := range *items {
		one := card.Item{Path: item.Path}
		if item.Text != nil || item.Parts != nil {
			one.Write = &card.Data{Text: deref(item.Text, "")}
			for _, part := range deref(item.Parts, nil) {
				if one.Write.Parts == nil {
					one.Write.Parts = map[string]string{}
				}
				one.Write.Parts[part.Name] = part.Text
			}
		}
		asked = append(asked, one)
	}
	return asked
}

func findingsView(findings []issuance.Finding) *[]ChipFinding {
	views := make([]ChipFinding, len(findings))
	for i, f := range findings {
		views[i] = ChipFinding{
			File: optional(f.File), Tag: optional(f.Tag), Element: f.Element, Zh: f.Text.ZH, En: f.Text.EN,
			Finding: ChipFindingFinding(f.Kind), WhyZh: f.Why.ZH, WhyEn: f.Why.EN, Chip: optional(f.Chip), Record: optional(f.Record),
		}
	}
	return &views
}
