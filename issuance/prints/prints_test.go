package prints_test

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/card/face"
	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/issuance/prints"
	"onecard/registry"
	"onecard/registry/registrytest"
)

var (
	fonts = face.NewFonts("")
	maker = registry.Actor{Operator: "op-1", Workstation: "ws-1", Place: "630102"}
)

type world struct {
	*prints.Service
	t  *testing.T
	db *registry.DB
	n  int
}

func each(t *testing.T, test func(w *world)) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, _ *registrytest.Clock) {
		layout, err := face.BuiltIn()
		require.NoError(t, err)
		test(&world{Service: &prints.Service{DB: db, Printer: face.NewPrinter(layout, fonts), Photos: prints.Attachments{DB: db}}, t: t, db: db})
	})
}

func (w *world) change(change func(tx *registry.Tx) error) {
	w.t.Helper()
	require.NoError(w.t, w.db.InTx(w.t.Context(), maker, func(tx *registry.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return tx.Audit("test.noted", "test", nil)
	}))
}

// card makes a card of record for a new person.
func (w *world) card(name, tibetan string, birth gb.Date, production, status string) issuance.Card {
	w.t.Helper()
	w.n++
	number, err := gb.NewIDNumber("632723", birth, w.n)
	require.NoError(w.t, err)
	c := issuance.Card{ID: uuid.New(), Number: "10000000" + string(rune('0'+w.n)), Production: production, Status: status, IssuedOn: gb.DateOf(registrytest.Start), ExpiresOn: gb.DateOf(registrytest.Start.AddDate(10, 0, 0))}
	w.change(func(tx *registry.Tx) error {
		person, err := tx.AddPerson(registry.NewPerson{IDNumber: number.String(), Name: name, NameTibetan: tibetan, Ethnic: "04", Place: "632723"})
		if err != nil {
			return err
		}
		c.PersonID = person.ID
		return tx.DB().Table("cards").Create(map[string]any{
			"id": c.ID, "number": c.Number, "chip_id": uuid.NewString()[:4] + "0000000000000000000000000000", "chip_serial": "00000001", "atr": c.Number, "person_id": person.ID,
			"spec_version": "3.00", "key_version": 1, "status": status, "production": production, "issued_on": c.IssuedOn.String(), "expires_on": c.ExpiresOn.String(),
			"created_at": tx.Now(), "changed_at": tx.Now(), "changed_by": "op-1",
		}).Error
	})
	return c
}

// picture is a made-up photograph.
func picture(t *testing.T) []byte {
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, image.NewGray(image.Rect(0, 0, 358, 441))))
	return out.Bytes()
}

// photo puts a photograph on record as the registry does.
func (w *world) photo(person uuid.UUID) {
	id, content := uuid.New(), picture(w.t)
	sealed, err := w.db.Seal(w.t.Context(), "attachments.content", id.String(), content)
	require.NoError(w.t, err)
	w.change(func(tx *registry.Tx) error {
		return tx.DB().Table("attachments").Create(map[string]any{
			"id": id, "person_id": person, "kind": "photo", "media_type": "image/png", "content_sealed": sealed, "content_index": make([]byte, 16),
			"size": len(content), "state": "valid", "changed_at": tx.Now(), "changed_by": "op-1", "changed_on": "ws-1", "change_reason": "",
		}).Error
	})
}

// account gives a card a bank account.
func (w *world) account(c issuance.Card, number string) {
	id := uuid.New()
	sealed, err := w.db.Seal(w.t.Context(), "bank_accounts.account", id.String(), []byte(number))
	require.NoError(w.t, err)
	w.change(func(tx *registry.Tx) error {
		err := tx.DB().Table("bank_accounts").Create(map[string]any{
			"id": id, "person_id": c.PersonID, "bank": "中国建设银行", "account_sealed": sealed, "account_index": make([]byte, 16), "state": "preopened",
			"changed_at": tx.Now(), "changed_by": "op-1", "changed_on": "ws-1", "change_reason": "",
		}).Error
		if err != nil {
			return err
		}
		return tx.DB().Table("cards").Where("id = ?", c.ID).Updates(tx.Change(map[string]any{"bank_account": id}, "")).Error
	})
}

func (w *world) record(c issuance.Card, told prints.Told) (attempt prints.Attempt, err error) {
	return attempt, w.db.InTx(w.t.Context(), maker, func(tx *registry.Tx) error {
		var err error
		attempt, err = w.Record(tx, c.ID, told)
		return err
	})
}

func (w *world) audited(action string) (n int64) {
	require.NoError(w.t, w.db.Read(w.t.Context()).Table("audit_entries").Where("action = ?", action).Count(&n).Error)
	return n
}

func date(t *testing.T, text string) gb.Date {
	d, err := gb.ParseDate(text)
	require.NoError(t, err)
	return d
}

// TestFace: name, Tibetan name, number, photograph and bank line come from the
// records, and that somebody has seen them is on record.
func TestFace(t *testing.T) {
	each(t, func(w *world) {
		c := w.card("扎西·多杰", "བཀྲ་ཤིས་རྡོ་རྗེ", date(w.t, "19750702"), "made", "0")
		_, err := w.Face(w.t.Context(), maker, c, nil)
		var field *registry.FieldError
		require.ErrorAs(w.t, err, &field)
		require.Equal(w.t, "photo", field.Field)
		require.Zero(w.t, w.audited("card.face"), "nothing was shown")

		w.photo(c.PersonID)
		w.account(c, "6217003012345678901")
		document, err := w.Face(w.t.Context(), maker, c, nil)
		require.NoError(w.t, err)
		require.True(w.t, bytes.Contains(document, []byte("/Subtype /Image")))
		require.EqualValues(w.t, 1, w.audited("card.face"))
		require.EqualValues(w.t, 1, w.audited("person.read"))
		file := filepath.Join(w.t.TempDir(), "face.pdf")
		require.NoError(w.t, os.WriteFile(file, document, 0o600))
		text, err := exec.CommandContext(w.t.Context(), "pdftotext", "-raw", file, "-").Output()
		require.NoError(w.t, err)
		for _, wanted := range []string{"扎西·多杰", "བཀྲ་ཤིས་རྡོ་རྗེ", c.Number, "中国建设银行", "6217 0030 1234 5678 901", "2026.03.02", "2036.03.02"} {
			require.Contains(w.t, string(text), wanted)
		}

		for _, no := range []issuance.Card{w.card("张一", "", date(w.t, "20240101"), "making", "0"), w.card("张二", "", date(w.t, "20240101"), "made", "9")} {
			_, err = w.Face(w.t.Context(), maker, no, nil)
			require.ErrorIs(w.t, err, prints.ErrNotMade)
		}
		_, err = w.Face(w.t.Context(), maker, w.card("张三", "", date(w.t, "20240101"), "inspected", "0"), nil)
		require.NoError(w.t, err, "a small child needs no photograph")
	})
}

// TestPrints: an attempt counts for what the operator says; a failure needs no
// reason to try again, a success does.
func TestPrints(t *testing.T) {
	each(t, func(w *world) {
		c := w.card("扎西", "", date(w.t, "19750702"), "made", "0")
		state, err := w.Of(w.t.Context(), c)
		require.NoError(w.t, err)
		require.Equal(w.t, prints.Prints{Offered: true, Attempts: []prints.Attempt{}}, state)

		for _, test := range []struct {
			told    prints.Told
			refused string
		}{
			{prints.Told{Printer: "P1", Outcome: "maybe"}, "outcome"},
			{prints.Told{Printer: " ", Outcome: prints.Printed}, "printer"},
			{prints.Told{Printer: "P1", Outcome: prints.Failed}, "cause"},
			{prints.Told{Printer: "P1", Outcome: prints.Printed, Cause: "色带用完"}, "cause"},
			{prints.Told{Printer: "P1", Outcome: prints.Printed, Reason: "重打"}, "reason"},
			{prints.Told{Printer: "P1", Outcome: prints.Failed, Cause: "色带用完 ribbon"}, ""},
			{prints.Told{Printer: "P1", Outcome: prints.Printed}, ""},
			{prints.Told{Printer: "P1", Outcome: prints.Printed}, "reason"},
			{prints.Told{Printer: "P1", Outcome: prints.Failed, Cause: "卡纸"}, "reason"},
			{prints.Told{Printer: "P2", Outcome: prints.Failed, Cause: "卡纸", Reason: "姓名有划痕"}, ""},
			{prints.Told{Printer: "P2", Outcome: prints.Printed, Reason: "姓名有划痕"}, ""},
		} {
			_, err := w.record(c, test.told)
			if test.refused == "" {
				require.NoError(w.t, err)
				continue
			}
			var field *registry.FieldError
			require.ErrorAs(w.t, err, &field, "%+v", test.told)
			require.Equal(w.t, test.refused, field.Field)
		}
		state, err = w.Of(w.t.Context(), c)
		require.NoError(w.t, err)
		require.True(w.t, state.Printed)
		require.Len(w.t, state.Attempts, 4)
		require.Equal(w.t, "op-1", state.Attempts[3].Operator)
		require.WithinDuration(w.t, registrytest.Start, state.Attempts[3].At, time.Second)
		require.EqualValues(w.t, 2, w.audited("card.printed"))
		require.EqualValues(w.t, 2, w.audited("card.failed"))

		_, err = w.record(w.card("张一", "", date(w.t, "19750702"), "making", "0"), prints.Told{Printer: "P1", Outcome: prints.Printed})
		require.ErrorIs(w.t, err, prints.ErrNotMade)
		_, err = w.record(issuance.Card{ID: uuid.New()}, prints.Told{Printer: "P1", Outcome: prints.Printed})
		require.ErrorIs(w.t, err, registry.ErrNotFound)
	})
}

// TestDatabase: the rules stand in the database, too.
func TestDatabase(t *testing.T) {
	each(t, func(w *world) {
		c := w.card("扎西", "", date(w.t, "19750702"), "made", "0")
		_, err := w.record(c, prints.Told{Printer: "P1", Outcome: prints.Printed})
		require.NoError(w.t, err)
		row := prints.Attempt{CardID: c.ID, Number: 2, Printer: "P", Outcome: prints.Printed, Operator: "x", At: registrytest.Start}
		for what, change := range map[string]func(a *prints.Attempt){
			"twice the same attempt":   func(a *prints.Attempt) { a.Number = 1 },
			"failed without a cause":   func(a *prints.Attempt) { a.Outcome = prints.Failed },
			"again without a reason":   func(a *prints.Attempt) { a.Again = true },
			"an outcome that is none":  func(a *prints.Attempt) { a.Outcome = "perhaps" },
			"of a card that is nobody": func(a *prints.Attempt) { a.CardID = uuid.New() },
		} {
			bad := row
			bad.ID = uuid.New()
			change(&bad)
			err := w.db.InTx(w.t.Context(), maker, func(tx *registry.Tx) error { return tx.DB().Create(&bad).Error })
			require.Error(w.t, err, what)
		}
	})
}
