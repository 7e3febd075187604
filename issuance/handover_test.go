package issuance_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/prints"
	"onecard/registry"
)

// asking is the service of a province in which Chindu county asks for a
// signature and a printed face from a day on.
func (w world) asking(t must) world {
	t.Helper()
	text := line + strings.NewReplacer(`"630000"`, `"632723"`, "2020-01-01", "2026-03-02", "handover: none, printedFirst: false", "handover: signature, printedFirst: true").Replace(line)
	policies, err := issuance.ParsePolicies([]byte(text))
	require.NoError(t, err)
	keeper, err := province.keeper()
	require.NoError(t, err)
	w.Service, err = issuance.New(issuance.Config{DB: w.db, Profiles: province.profiles, Keeper: keeper, Signer: province.signer, Demands: issuance.NoDemands, Policies: policies})
	require.NoError(t, err)
	return w
}

// signature is what somebody wrote, another one each time.
func signature(t must, width int) *registry.Content {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, 480, 160))
	draw.Draw(picture, picture.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(picture, image.Rect(40, 70+width/400, 40+width%400, 76+width/400), image.NewUniform(color.Black), image.Point{}, draw.Src)
	var file bytes.Buffer
	require.NoError(t, png.Encode(&file, picture))
	content, err := registry.CheckContent(issuance.AttachmentSignature, file.Bytes())
	require.NoError(t, err)
	return &content
}

func (c counter) handOver(t must, card uuid.UUID, taker issuance.Taker, signed *registry.Content) (h issuance.Handover, err error) {
	t.Helper()
	err = c.db.InTx(t.Context(), c.actor, func(tx *registry.Tx) (err error) {
		h, err = c.HandOver(tx, card, taker, signed)
		return err
	})
	return h, err
}

func (c counter) prints(t must, card uuid.UUID, told prints.Told) {
	t.Helper()
	require.NoError(t, c.db.InTx(t.Context(), c.actor, func(tx *registry.Tx) error {
		_, err := (&prints.Service{DB: c.db}).Record(tx, card, told)
		return err
	}))
}

// lacks is what keeps a card from being activated, by the codes of refusals.
func (c counter) lacks(t must, card uuid.UUID) (codes []string, h issuance.Handing) {
	t.Helper()
	require.NoError(t, c.db.InTx(t.Context(), c.actor, func(tx *registry.Tx) (err error) {
		h, err = c.HandingOf(tx, card)
		return err
	}))
	for _, lack := range h.Lacks {
		codes = append(codes, lack.Code)
	}
	return codes, h
}

// TestHandover: where the place asks for it, a card is not activated before its
// face is printed well and whoever takes it has signed, on that day.
func TestHandover(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w = w.asking(t)
		c, socket := w.card(t)
		clerk := w.clerk()
		refused := func(expected *issuance.Error, lacks ...string) {
			_, err := clerk.open(t, socket, issuance.EventActivate, c.ID)
			require.ErrorIs(t, err, expected)
			explains(t, err)
			codes, h := clerk.lacks(t, c.ID)
			require.Equal(t, lacks, codes)
			require.Equal(t, issuance.HandoverSignature, h.Asked)
		}
		refused(issuance.ErrNotPrinted, "not-printed", "no-taker")
		clerk.prints(t, c.ID, prints.Told{Printer: "P1", Outcome: prints.Failed, Cause: "色带用完"})
		refused(issuance.ErrNotPrinted, "not-printed", "no-taker")
		clerk.prints(t, c.ID, prints.Told{Printer: "P1", Outcome: prints.Printed})
		refused(issuance.ErrNoTaker, "no-taker")
		_, err := clerk.handOver(t, c.ID, issuance.Taker{}, nil)
		require.NoError(t, err)
		refused(issuance.ErrUnsigned, "unsigned")
		_, err = clerk.handOver(t, c.ID, issuance.Taker{}, signature(t, 200))
		require.NoError(t, err)
		codes, _ := clerk.lacks(t, c.ID)
		require.Empty(t, codes)

		// A face that was spoiled when it was printed again is not handed over.
		clerk.prints(t, c.ID, prints.Told{Printer: "P1", Outcome: prints.Failed, Cause: "卡纸", Reason: "照片偏色"})
		refused(issuance.ErrNotPrinted, "not-printed")
		clerk.prints(t, c.ID, prints.Told{Printer: "P1", Outcome: prints.Printed, Reason: "照片偏色"})
		// The next day is another visit.
		w.clock.Advance(24 * time.Hour)
		refused(issuance.ErrNoTaker, "no-taker")
		signed, err := clerk.handOver(t, c.ID, issuance.Taker{}, signature(t, 220))
		require.NoError(t, err)
		r, _, err := clerk.work(t, socket, issuance.EventActivate, c.ID, pin)
		require.NoError(t, err)
		require.Equal(t, issuance.StatusNormal, r.Status)

		require.Equal(t, 3, w.count(t, "handovers", "card_id = ? AND taker = 'holder' AND agent_sealed IS NULL", c.ID))
		require.Equal(t, 1, w.count(t, "attachments", "id = ? AND kind = 'signature' AND state = 'valid'", signed.Signature))
		require.Equal(t, 1, w.count(t, "attachments", "kind = 'signature' AND state = 'replaced'"))
		_, err = clerk.handOver(t, c.ID, issuance.Taker{}, nil)
		require.ErrorIs(t, err, issuance.ErrNotAllowed, "it is handed over already")
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// TestHandoverElsewhere: what a place asks for holds there and for what is made
// at its counters; a maker prints before it sends.
func TestHandoverElsewhere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w = w.asking(t)
		sent := w.sealed(t, w.first(t))
		codes, _ := w.clerk().lacks(t, sent.ID)
		require.Equal(t, []string{"no-taker"}, codes)
		_, err := w.clerk().onChip(t, sent.ID, issuance.EventActivate)
		require.ErrorIs(t, err, issuance.ErrNoTaker)

		elsewhere := registry.Actor{Operator: "dolma", Workstation: "W-7", Place: "632221"}
		a, err := counter{w, elsewhere, []string{registry.RoleClerk}}.request(t, issuance.Request{Person: w.person(t, "才让", "1990-01-01").ID, Kind: issuance.KindFirst})
		require.NoError(t, err)
		_, err = w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
		require.NoError(t, err)
		r, _, err := w.issuer().work(t, blank(t, makerKey), issuance.EventPersonalise, a.ID, "")
		require.NoError(t, err)
		codes, h := w.clerk().lacks(t, r.CardID)
		require.Empty(t, codes)
		require.Equal(t, issuance.HandoverNone, h.Asked)
		_, err = w.clerk().onChip(t, r.CardID, issuance.EventActivate)
		require.NoError(t, err)
	})
}

// TestHandoverAgent: an agent is named with document, relation and proof, kept
// sealed, and shown to who asks, on record; who may not take a card is told why.
func TestHandoverAgent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c := w.sealed(t, w.first(t))
		holder, err := w.db.PersonByID(t.Context(), c.PersonID)
		require.NoError(t, err)
		good := issuance.Agent{Name: "卓玛", Number: w.person(t, "卓玛", "1985-06-01").Number(), Relation: "妻", Authorisation: "WT-2026-7", Phone: "13997000003"}
		with := func(change func(a *issuance.Agent)) *issuance.Agent {
			changed := good
			change(&changed)
			return &changed
		}
		for name, test := range map[string]struct {
			taker issuance.Taker
			field string
		}{
			"the holder":       {issuance.Taker{Agent: with(func(a *issuance.Agent) { a.Number = holder.Number() }), Proof: "other"}, "agent.number"},
			"a wrong number":   {issuance.Taker{Agent: with(func(a *issuance.Agent) { a.Number = "632723198506010000" }), Proof: "other"}, "agent.number"},
			"no name":          {issuance.Taker{Agent: with(func(a *issuance.Agent) { a.Name = " " }), Proof: "other"}, "agent.name"},
			"no relation":      {issuance.Taker{Agent: with(func(a *issuance.Agent) { a.Relation = " " }), Proof: "other"}, "agent.relation"},
			"no proof":         {issuance.Taker{Agent: &good}, "proof"},
			"an unknown proof": {issuance.Taker{Agent: &good, Proof: "word of honour"}, "proof"},
			"no authorisation": {issuance.Taker{Agent: with(func(a *issuance.Agent) { a.Authorisation = "" }), Proof: "authorisation"}, "agent.authorisation"},
			"a holder's proof": {issuance.Taker{Proof: "other"}, "proof"},
		} {
			_, err := w.clerk().handOver(t, c.ID, test.taker, nil)
			var field *registry.FieldError
			require.ErrorAs(t, err, &field, name)
			require.Equal(t, test.field, field.Field, name)
			require.NotContains(t, field.ZH+field.EN, good.Number, name)
		}
		require.Zero(t, w.count(t, "handovers", "1 = 1"))

		_, err = w.clerk().handOver(t, c.ID, issuance.Taker{Agent: &good, Proof: "authorisation"}, signature(t, 210))
		require.NoError(t, err)
		var sealed [][]byte
		require.NoError(t, w.db.Read(t.Context()).Table("handovers").Pluck("agent_sealed", &sealed).Error)
		require.NotContains(t, string(sealed[0]), good.Number)
		require.NotContains(t, string(sealed[0]), good.Name)
		_, h := w.clerk().lacks(t, c.ID)
		require.Len(t, h.Handovers, 1)
		require.Equal(t, good.Number+" "+good.Relation, h.Handovers[0].Agent.Number+" "+h.Handovers[0].Agent.Relation)
		require.Equal(t, "authorisation", h.Handovers[0].Proof)
		require.Equal(t, 1, w.count(t, "audit_entries", "action = 'card.taker.read'"))

		// A child does not take a card alone; nobody takes that of the dead.
		child := w.sealed(t, issuance.Request{Person: w.person(t, "桑吉", "2018-05-01").ID, Kind: issuance.KindFirst})
		_, err = w.clerk().handOver(t, child.ID, issuance.Taker{}, nil)
		var field *registry.FieldError
		require.ErrorAs(t, err, &field)
		require.Equal(t, "taker", field.Field)
		_, err = w.clerk().handOver(t, child.ID, issuance.Taker{Agent: &good, Proof: "household-book"}, nil)
		require.NoError(t, err)
		w.dies(t, child.PersonID)
		_, err = w.clerk().handOver(t, child.ID, issuance.Taker{Agent: &good, Proof: "household-book"}, nil)
		require.ErrorIs(t, err, issuance.ErrDead)
	})
}
