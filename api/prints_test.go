package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
)

func init() { openapi3filter.RegisterBodyDecoder("application/pdf", openapi3filter.FileBodyDecoder) }

// madeCard is a card of record for a small child, who needs no photograph,
// made by a maker.
func (w *world) madeCard(name string) uuid.UUID {
	w.t.Helper()
	child := w.enter("print-"+uuid.NewString()[:8], idNumber("630102", "20240105", 31), "桑杰", "13997000009")
	cards, roles := w.server.issuance, []string{registry.RoleClerk, registry.RoleReviewer, registry.RoleProducer}
	var card issuance.Card
	change := func(operator string, change func(tx *registry.Tx) error) {
		require.NoError(w.t, w.db.InTx(w.t.Context(), registry.Actor{Operator: operator, Place: "630102"}, change))
	}
	var application issuance.Application
	change("first", func(tx *registry.Tx) (err error) {
		application, err = cards.Apply(tx, issuance.Request{Person: child.Id, Kind: issuance.KindFirst, Method: issuance.MethodBatch})
		return err
	})
	change("second", func(tx *registry.Tx) (err error) {
		application, err = cards.Fire(tx, application.ID, issuance.Asked{Event: issuance.EventApprove, Roles: roles})
		return err
	})
	change("third", func(tx *registry.Tx) error {
		if _, _, err := cards.Batch(tx, application.ID, roles); err != nil {
			return err
		}
		day := gb.DateOf(tx.Now())
		var err error
		card, err = cards.Make(tx, application.ID, issuance.MadeCard{
			Number: application.CardNumber, ChipID: strings.Repeat("6", 32), ChipSerial: "00000001", ATR: "3B00", SpecVersion: "3.00", KeyVersion: 1,
			IssuedOn: day, ExpiresOn: gb.DateOf(tx.Now().AddDate(10, 0, 0)), Custody: "maker",
		}, "maker", roles)
		return err
	})
	// What the chip cannot hold the face may still show.
	change("fourth", func(tx *registry.Tx) error {
		_, err := tx.CorrectPerson(child.Id, 0, "更正", func(told *registry.NewPerson) { told.Name = name })
		return err
	})
	return card.ID
}

// TestPrintCard: the face is shown to whoever makes cards; what came of printing
// is told once.
func TestPrintCard(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		path := "/v1/cards/" + w.madeCard("桑杰㛃𠅤").String()
		got := w.do(call{method: "GET", path: path + "/face", as: clerk})
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, "application/pdf", got.header.Get("Content-Type"))
		require.True(t, strings.HasPrefix(got.body, "%PDF-"))
		require.Equal(t, http.StatusForbidden, w.do(call{method: "GET", path: path + "/face", as: reviewer}).status)
		require.Equal(t, http.StatusNotFound, w.do(call{method: "GET", path: "/v1/cards/" + uuid.NewString() + "/face", as: clerk}).status)

		told := call{method: "POST", path: path + "/prints", as: clerk, key: "print-0001", body: `{"printer":"P1","outcome":"failed","cause":"色带用完"}`}
		for range 2 {
			got = w.do(told)
			require.Equal(t, http.StatusCreated, got.status, got.body)
			require.Equal(t, 1, decode[CardPrint](t, got).Attempt)
		}
		got = w.do(call{method: "POST", path: path + "/prints", as: clerk, key: "print-0002", body: `{"printer":"P1","outcome":"printed"}`})
		require.Equal(t, http.StatusCreated, got.status, got.body)
		got = w.do(call{method: "POST", path: path + "/prints", as: clerk, key: "print-0003", body: `{"printer":"P1","outcome":"printed"}`})
		require.Equal(t, http.StatusUnprocessableEntity, got.status)
		require.Contains(t, got.body, "重打须说明原因")
		for who, printable := range map[string]bool{clerk: true, reviewer: false} {
			file := w.do(call{method: "GET", path: "/v1/persons?cardNumber=100000008", as: who})
			found := decode[PersonList](t, file).Persons[0]
			file = w.do(call{method: "GET", path: "/v1/persons/" + found.Id.String(), as: who})
			require.Equal(t, printable, strings.Contains(file.body, `"printable":true`), who)
		}
		state := decode[CardPrints](t, w.do(call{method: "GET", path: path + "/prints", as: reviewer}))
		require.True(t, state.Offered && state.Printed)
		require.Len(t, state.Attempts, 2)
	})
}

// TestNoGlyph: a character that no font has is named before anything is printed.
func TestNoGlyph(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		card := w.madeCard("张\U00031328")
		got := w.do(call{method: "GET", path: "/v1/cards/" + card.String() + "/face", as: clerk})
		require.Equal(t, http.StatusUnprocessableEntity, got.status)
		require.Contains(t, got.body, "U+31328")
		require.NotContains(t, w.log.String(), "\U00031328")
	})
}
