package api

import (
	"bytes"
	"context"
	"errors"

	"onecard/issuance"
	"onecard/registry"
	"onecard/registry/portrait"
)

// CardHandover implements StrictServerInterface (领卡情况).
func (s *Server) CardHandover(ctx context.Context, request CardHandoverRequestObject) (CardHandoverResponseObject, error) {
	var answer CardHandover
	err := s.db.InTx(ctx, callerOf(ctx).actor(), func(tx *registry.Tx) error {
		standing, err := s.issuance.HandingOf(tx, request.Id)
		if err != nil {
			return err
		}
		answer = CardHandover{
			Asked: CardHandoverAsked(standing.Asked), PrintedFirst: standing.Printed,
			Lacks: make([]HandoverLack, len(standing.Lacks)), Handovers: make([]Handover, len(standing.Handovers)),
		}
		for i, lack := range standing.Lacks {
			text, remedy := lack.Explain()
			answer.Lacks[i] = HandoverLack{Code: lack.Code, Text: Text{Zh: text.ZH, En: text.EN}, Remedy: Text{Zh: remedy.ZH, En: remedy.EN}}
		}
		for i, h := range standing.Handovers {
			answer.Handovers[i] = handoverView(h)
		}
		return nil
	})
	return CardHandover200JSONResponse(answer), err
}

// HandOver implements StrictServerInterface (领卡登记).
func (s *Server) HandOver(ctx context.Context, request HandOverRequestObject) (HandOverResponseObject, error) {
	body := request.Body
	taker, err := takerOf(body)
	if err != nil {
		return nil, err
	}
	signature, err := signatureOf(body.Signature)
	if err != nil {
		return nil, err
	}
	answer, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (Handover, error) {
		made, err := s.issuance.HandOver(tx, request.Id, taker, signature)
		return handoverView(made), err
	})
	if err != nil {
		return nil, err
	}
	return HandOver201JSONResponse(answer), nil
}

// takerOf reads who takes a card.
func takerOf(body *NewHandover) (issuance.Taker, error) {
	taker := issuance.Taker{}
	if body.Proof != nil {
		taker.Proof = string(*body.Proof)
	}
	switch {
	case (body.Taker == NewHandoverTakerAgent) != (body.Agent != nil):
		return taker, &registry.FieldError{Field: "agent", ZH: "代领须填代领人，本人领取不填", EN: "for an agent, and only then"}
	case body.Agent == nil:
		return taker, nil
	}
	taker.Agent = &issuance.Agent{
		Name: body.Agent.Name, IDType: deref(body.Agent.IdType, ""), Number: body.Agent.Number, Relation: body.Agent.Relation,
		Authorisation: deref(body.Agent.Authorisation, ""), Phone: deref(body.Agent.Phone, ""),
	}
	return taker, nil
}

// signatureOf looks at a signature before a transaction begins.
func signatureOf(told *[]byte) (*registry.Content, error) {
	if told == nil {
		return nil, nil
	}
	wrong := func(zh, en string) error { return &registry.FieldError{Field: "signature", ZH: zh, EN: en} }
	if !bytes.HasPrefix(*told, []byte("\x89PNG\r\n\x1A\n")) {
		return nil, wrong("应为 PNG 图片", "a picture in PNG")
	}
	content, err := registry.CheckContent(issuance.AttachmentSignature, *told)
	if err != nil {
		var field *registry.FieldError
		if errors.As(err, &field) {
			return nil, wrong(field.ZH, field.EN)
		}
		return nil, err
	}
	blank, err := portrait.Blank(*told)
	switch {
	case err != nil:
		return nil, wrong("图片无法识别或已损坏", "a picture that can be decoded")
	case blank:
		return nil, wrong("签字是空白的，底色应为白色", "somebody's signature, on white: the picture is blank")
	}
	return &content, nil
}

func handoverView(h issuance.Handover) Handover {
	view := Handover{Id: h.ID, Taker: HandoverTaker(h.Taker), Proof: optional(h.Proof), Signed: h.Signature != nil, Operator: h.Operator, At: h.At.UTC()}
	view.Signature = h.Signature
	if h.Agent != nil {
		view.AgentName, view.AgentNumberMasked, view.Relation = &h.Agent.Name, new(maskText(h.Agent.Number)), &h.Agent.Relation
	}
	return view
}
