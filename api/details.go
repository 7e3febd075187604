package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/registry"
	"onecard/registry/portrait"
)

const purposeDetails = "details"

// PersonDetails implements StrictServerInterface (档案明细).
func (s *Server) PersonDetails(ctx context.Context, request PersonDetailsRequestObject) (PersonDetailsResponseObject, error) {
	at := deref(request.Params.Instant, s.db.Now())
	person, err := s.db.PersonAt(ctx, request.Id, at)
	if err != nil {
		return nil, err
	}
	addresses, err1 := s.db.AddressesAt(ctx, person.ID, at)
	guardians, err2 := s.db.GuardiansAt(ctx, person.ID, at)
	groups, err3 := s.db.GroupsAt(ctx, person.ID, at)
	attachments, err4 := s.db.AttachmentsAt(ctx, person.ID, at)
	names, err5 := s.db.PeerNamesAt(ctx, person.ID, at)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	answer := PersonDetails{
		Household: HouseholdFacts{
			NumberMasked: optional(maskText(person.Household)), Kind: optional(person.HouseholdKind), Role: optional(person.HouseholdRole),
		},
		Addresses: make([]Address, len(addresses)), Guardians: make([]Guardian, len(guardians)), Groups: make([]Group, len(groups)),
		Attachments: make([]Attachment, len(attachments)), PeerNames: make([]PeerName, len(names)),
	}
	read := []uuid.UUID{person.ID}
	for i, a := range addresses {
		answer.Addresses[i] = s.addressView(a)
	}
	for i, g := range guardians {
		answer.Guardians[i] = Guardian{
			Relation: GuardianRelation(g.Relation), Proof: GuardianProof(g.Proof), PersonId: g.Person, Name: g.Name, NumberMasked: maskText(g.Number),
			Until: optional(g.Until.String()), By: g.Stamp.By, From: g.Stamp.At.UTC(),
		}
		if g.Person != nil {
			read = append(read, *g.Person)
		}
	}
	for i, g := range groups {
		answer.Groups[i] = Group{
			Label: g.Label, Text: Text{Zh: g.ZH, En: g.EN}, Since: optional(g.Since.String()), Until: optional(g.Until.String()),
			By: g.Stamp.By, From: g.Stamp.At.UTC(),
		}
	}
	for i, a := range attachments {
		answer.Attachments[i] = attachmentView(a)
	}
	for i, n := range names {
		answer.PeerNames[i] = PeerName{Peer: n.Peer, Encoding: n.Encoding, Bytes: n.Bytes, Cut: n.Cut, From: n.Stamp.At.UTC()}
	}
	return PersonDetails200JSONResponse(answer), s.db.RecordRead(ctx, callerOf(ctx).actor(), purposeDetails, read...)
}

func (s *Server) addressView(a registry.Address) Address {
	view := Address{
		Kind: AddressKind(a.Kind), Place: optional(a.Place), Locality: optional(a.Locality), AddressMasked: maskText(a.Text),
		Postcode: optional(a.Postcode), Until: optional(a.Until.String()), By: a.Stamp.By, From: a.Stamp.At.UTC(),
	}
	if place, ok := gb.Divisions().At(a.Place, s.today()); ok {
		view.PlaceName = &place.Name
	}
	return view
}

func attachmentView(a registry.Attachment) Attachment {
	return Attachment{
		Id: a.ID, Kind: a.Kind.Kind, Text: Text{Zh: a.Kind.ZH, En: a.Kind.EN}, MediaType: a.MediaType, Size: a.Size,
		State: AttachmentState(a.State), By: a.Stamp.By, From: a.Stamp.At.UTC(),
	}
}

// maskText leaves the first three characters of a text and tells nothing of its
// length; of one that has no more than six only the first.
func maskText(text string) string {
	runes := []rune(text)
	switch {
	case len(runes) == 0:
		return ""
	case utf8.RuneCountInString(text) > 6:
		return string(runes[:3]) + strings.Repeat("*", 6)
	default:
		return string(runes[:1]) + strings.Repeat("*", 6)
	}
}

// changeFile lets a change of a resident's file happen once, by an operator of
// the resident's place.
func changeFile[T any](ctx context.Context, s *Server, person uuid.UUID, key string, change func(tx *registry.Tx) (T, error)) (T, error) {
	who := callerOf(ctx)
	return once(ctx, s, key, func(tx *registry.Tx) (T, error) {
		var none T
		before, err := tx.PersonByID(person)
		if err != nil {
			return none, err
		}
		if err := s.ownPlace(ctx, who, before); err != nil {
			return none, err
		}
		return change(tx)
	})
}

// putInFile is changeFile for a change whose answer is whose file it is.
func putInFile(ctx context.Context, s *Server, person uuid.UUID, key string, change func(tx *registry.Tx) error) (PersonRef, error) {
	return changeFile(ctx, s, person, key, func(tx *registry.Tx) (PersonRef, error) { return PersonRef{Id: person}, change(tx) })
}

// dateOf reads a day that may be left out.
func dateOf(field string, text *string) (gb.Date, error) {
	if text == nil {
		return gb.Date{}, nil
	}
	date, err := gb.ParseDate(*text)
	if err != nil {
		return gb.Date{}, fieldOf(field, err)
	}
	return date, nil
}

// PutAddress implements StrictServerInterface (登记地址).
func (s *Server) PutAddress(ctx context.Context, request PutAddressRequestObject) (PutAddressResponseObject, error) {
	body := request.Body
	until, err := dateOf("until", body.Until)
	if err != nil {
		return nil, err
	}
	address := registry.Address{
		Kind: string(body.Kind), Place: deref(body.Place, ""), Locality: deref(body.Locality, ""), Text: body.Address,
		Postcode: deref(body.Postcode, ""), Until: until,
	}
	ref, err := putInFile(ctx, s, request.Id, request.Params.IdempotencyKey, func(tx *registry.Tx) error {
		return tx.PutAddress(request.Id, address, body.Reason)
	})
	return PutAddress200JSONResponse(ref), err
}

// PutGuardian implements StrictServerInterface (登记监护人).
func (s *Server) PutGuardian(ctx context.Context, request PutGuardianRequestObject) (PutGuardianResponseObject, error) {
	body := request.Body
	until, err := dateOf("until", body.Until)
	if err != nil {
		return nil, err
	}
	guardian := registry.Guardian{
		Relation: string(body.Relation), Proof: string(body.Proof), IDType: deref(body.IdType, ""), Name: body.Name,
		Number: body.IdNumber, Until: until,
	}
	ref, err := putInFile(ctx, s, request.Id, request.Params.IdempotencyKey, func(tx *registry.Tx) error {
		return tx.PutGuardian(request.Id, guardian, body.Reason)
	})
	return PutGuardian200JSONResponse(ref), err
}

// PutGroup implements StrictServerInterface (登记人群).
func (s *Server) PutGroup(ctx context.Context, request PutGroupRequestObject) (PutGroupResponseObject, error) {
	body := request.Body
	since, err1 := dateOf("since", body.Since)
	until, err2 := dateOf("until", body.Until)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	ref, err := putInFile(ctx, s, request.Id, request.Params.IdempotencyKey, func(tx *registry.Tx) error {
		return tx.PutGroup(request.Id, string(body.Label), since, until, body.Reason)
	})
	return PutGroup200JSONResponse(ref), err
}

// Attach implements StrictServerInterface (上传附件).
func (s *Server) Attach(ctx context.Context, request AttachRequestObject) (AttachResponseObject, error) {
	content, err := registry.CheckContent(string(request.Body.Kind), request.Body.Content)
	if err != nil {
		return nil, err
	}
	findings, err := photoFindings(string(request.Body.Kind), request.Body.Content)
	if err != nil {
		return nil, err
	}
	made, err := changeFile(ctx, s, request.Id, request.Params.IdempotencyKey, func(tx *registry.Tx) (Attachment, error) {
		made, err := tx.Attach(request.Id, content, request.Body.Reason)
		view := attachmentView(made)
		view.Findings = findings
		return view, err
	})
	return Attach201JSONResponse(made), err
}

// photoFindings looks at a photograph for a card: what is told to the clerk, or
// the first finding that refuses it.
func photoFindings(kind string, content []byte) (*[]PhotoFinding, error) {
	if kind != "photo" {
		return nil, nil
	}
	findings, err := portrait.CheckFile(content)
	if err != nil {
		return nil, fmt.Errorf("photograph: %w", err)
	}
	for _, f := range findings {
		if f.Level == portrait.Refuse {
			return nil, &registry.FieldError{Field: "content", ZH: f.ZH, EN: f.EN}
		}
	}
	return new(photoView(findings)), nil
}

// Attachment implements StrictServerInterface (查看附件).
func (s *Server) Attachment(ctx context.Context, request AttachmentRequestObject) (AttachmentResponseObject, error) {
	attachment, content, err := s.db.OpenAttachment(ctx, callerOf(ctx).actor(), request.Id, request.Attachment, deref(request.Params.Reason, ""))
	if err != nil {
		return nil, err
	}
	return Attachment200JSONResponse{Attachment: attachmentView(attachment), Content: content}, nil
}

// RefuseAttachment implements StrictServerInterface (审核不合格).
func (s *Server) RefuseAttachment(ctx context.Context, request RefuseAttachmentRequestObject) (RefuseAttachmentResponseObject, error) {
	ref, err := putInFile(ctx, s, request.Id, request.Params.IdempotencyKey, func(tx *registry.Tx) error {
		return tx.RefuseAttachment(request.Id, request.Attachment, request.Body.Reason)
	})
	return RefuseAttachment200JSONResponse(ref), err
}
