package issuance_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
)

// demanding is a world that asks for what the province asks for.
func demanding(t *testing.T, w world) world {
	t.Helper()
	keeper, err := province.keeper()
	require.NoError(t, err)
	w.Service, err = issuance.New(issuance.Config{DB: w.db, Profiles: province.profiles, Keeper: keeper, Signer: province.signer})
	require.NoError(t, err)
	return w
}

// attach puts a picture into a person's file; shade tells pictures apart.
func (w world) attach(t must, person uuid.UUID, kind string, shade uint8) {
	t.Helper()
	size := image.Pt(8, 8)
	if kind == "photo" {
		size = image.Pt(358, 441)
	}
	picture := image.NewGray(image.Rectangle{Max: size})
	for i := range picture.Pix {
		picture.Pix[i] = 255
	}
	picture.SetGray(size.X/2, size.Y/2, color.Gray{Y: shade})
	var content bytes.Buffer
	require.NoError(t, png.Encode(&content, picture))
	checked, err := registry.CheckContent(kind, content.Bytes())
	require.NoError(t, err)
	w.change(t, func(tx *registry.Tx) error {
		_, err := tx.Attach(person, checked, "申领 applies")
		return err
	})
}

func date(t must, text string) gb.Date {
	t.Helper()
	d, err := gb.ParseDate(text)
	require.NoError(t, err)
	return d
}

// TestDemanded: what is missing is named, all of it; a draft may miss it, and
// is asked for it when it is submitted.
func TestDemanded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w = demanding(t, w)
		valid := issuance.Acting{ValidFrom: date(t, "2020-01-01"), ValidUntil: issuance.LongTerm}
		agent := &issuance.Agent{Name: "才仁", Number: "11010519491231002X", Authorisation: "委字 7 号", Phone: "13900000000"}
		adult, child, baby := w.person(t, "扎西", "1981-05-01"), w.person(t, "卓玛", "2016-05-01"), w.person(t, "仁青", "2025-05-01")
		w.change(t, func(tx *registry.Tx) error {
			return tx.AddInstitution(registry.Institution{ID: "school-1", Kind: "school", Name: "称多小学", Place: "632723"})
		})
		apply := func(person registry.Person, applicant string, acting issuance.Acting) error {
			_, err := w.clerk().request(t, issuance.Request{Person: person.ID, Kind: issuance.KindFirst, Applicant: applicant, Acting: acting})
			return err
		}
		for _, refused := range []struct {
			person    registry.Person
			applicant string
			acting    issuance.Acting
			is        error
			says      []string
		}{
			{adult, "", issuance.Acting{}, issuance.ErrMissing, []string{"证件有效期起止日期", "照片"}},
			{adult, "", issuance.Acting{ValidFrom: date(t, "2016-03-01"), ValidUntil: date(t, "2026-03-01")}, issuance.ErrMissing, []string{"有效期内的证件"}},
			{adult, "agent", valid, issuance.ErrMissing, []string{"代办人", "委托书编号", "委托书"}},
			{adult, "agent", issuance.Acting{Agent: &issuance.Agent{Name: "才仁", Number: "110105194912310020"}}, registry.ErrInvalid, nil},
			{adult, "school", valid, issuance.ErrMissing, []string{"申领单位"}},
			{adult, "employer", issuance.Acting{Institution: "school-1"}, registry.ErrInvalid, nil},
			{adult, "", issuance.Acting{ValidFrom: date(t, "2020-01-01"), ValidUntil: date(t, "2019-01-01")}, registry.ErrInvalid, nil},
			{child, "", issuance.Acting{}, issuance.ErrNeedsGuardian, nil},
			{child, "guardian", issuance.Acting{}, issuance.ErrMissing, []string{"监护人", "户口簿或出生医学证明", "照片"}},
			{baby, "guardian", issuance.Acting{}, issuance.ErrMissing, []string{"监护人"}},
		} {
			err := apply(refused.person, refused.applicant, refused.acting)
			require.ErrorIs(t, err, refused.is, refused.applicant)
			var e *issuance.Error
			for _, words := range refused.says {
				require.ErrorAs(t, err, &e)
				require.Contains(t, e.Text.ZH, words)
			}
		}
		require.Zero(t, w.count(t, "applications", "1 = 1"))

		draft, err := w.clerk().request(t, issuance.Request{Person: adult.ID, Kind: issuance.KindFirst, Draft: true})
		require.NoError(t, err)
		_, err = w.clerk().fire(t, draft.ID, issuance.EventSubmit, "")
		require.ErrorIs(t, err, issuance.ErrMissing)
		amend := func(who counter, to issuance.Amendment) error {
			return w.db.InTx(t.Context(), who.actor, func(tx *registry.Tx) error {
				_, err := w.Amend(tx, draft.ID, to, who.roles)
				return err
			})
		}
		to := issuance.Amendment{Applicant: "agent", Method: issuance.MethodBatch, Acting: issuance.Acting{Agent: agent, ValidFrom: valid.ValidFrom, ValidUntil: valid.ValidUntil}}
		require.ErrorIs(t, amend(w.reviewer(), to), issuance.ErrNoRight)
		require.NoError(t, amend(w.clerk(), to))
		w.attach(t, adult.ID, "photo", 1)
		w.attach(t, adult.ID, "authorisation", 2)
		draft, err = w.clerk().fire(t, draft.ID, issuance.EventSubmit, "")
		require.NoError(t, err)
		require.Equal(t, issuance.StateApplied, draft.State)
		require.ErrorIs(t, amend(w.clerk(), to), issuance.ErrNotAllowed)
		var told *issuance.Agent
		require.NoError(t, w.db.InTx(t.Context(), w.reviewer().actor, func(tx *registry.Tx) (err error) {
			told, err = w.AgentOf(tx, draft.ID)
			return err
		}))
		require.Equal(t, "才仁 11010519491231002X 委字 7 号", told.Name+" "+told.Number+" "+told.Authorisation)
		require.Zero(t, w.count(t, "applications", "agent_sealed LIKE ?", "%才仁%"))

		// A child below the age for a photograph, and one at a school.
		w.attach(t, baby.ID, "birth-certificate", 3)
		require.NoError(t, apply(baby, "guardian", issuance.Acting{Agent: &issuance.Agent{Name: "才仁", Number: "11010519491231002X", Relation: "father"}}))
		w.attach(t, child.ID, "photo", 4)
		require.NoError(t, apply(child, "school", issuance.Acting{Institution: "school-1"}))
	})
}

// TestConfirmed: a photograph that the applicant has not confirmed is not
// reviewed, and one that came after the review is reviewed again.
func TestConfirmed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		person := w.person(t, "扎西", "1981-05-01")
		a, err := w.clerk().apply(t, person.ID)
		require.NoError(t, err)
		confirm := func(digest string) error {
			return w.db.InTx(t.Context(), w.clerk().actor, func(tx *registry.Tx) error {
				_, err := w.ConfirmProof(tx, a.ID, digest)
				return err
			})
		}
		proof := func() (p issuance.ProofPicture) {
			require.NoError(t, w.db.InTx(t.Context(), w.clerk().actor, func(tx *registry.Tx) (err error) {
				p, err = w.ProofPicture(tx, a.ID)
				return err
			}))
			return p
		}
		require.Equal(t, "扎西", proof().Name)
		require.ErrorIs(t, confirm(""), issuance.ErrNoPhoto)
		w.attach(t, person.ID, "photo", 1)
		_, err = w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
		require.ErrorIs(t, err, issuance.ErrUnconfirmed)
		shown := proof()
		require.NoError(t, confirm(shown.Digest))
		require.Equal(t, "caiwang", proof().ConfirmedBy)
		w.attach(t, person.ID, "photo", 2)
		require.Nil(t, proof().ConfirmedAt, "another photograph is confirmed anew")
		require.ErrorIs(t, confirm(shown.Digest), registry.ErrStale)
		_, err = w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
		require.ErrorIs(t, err, issuance.ErrUnconfirmed)
		require.NoError(t, confirm(proof().Digest))
		_, err = w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
		require.NoError(t, err)
		require.ErrorIs(t, confirm(proof().Digest), issuance.ErrNotAllowed)
		w.attach(t, person.ID, "photo", 3)
		_, _, err = w.issuer().work(t, blank(t, makerKey), issuance.EventPersonalise, a.ID, "")
		require.ErrorIs(t, err, issuance.ErrReviewAgain)
	})
}

// TestChannels: each channel asks for what it may.
func TestChannels(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, _ := w.activated(t)
		w = demanding(t, w)
		for _, step := range []struct {
			channel, event string
			err            error
		}{
			{"phone", "reportLoss", issuance.ErrChannel},
			{"telegraph", "reportLoss", registry.ErrInvalid},
			{"web", "reportTemporaryLoss", nil},
			{"phone", "cancelLoss", issuance.ErrChannel},
			{"", "cancelLoss", nil},
		} {
			_, err := w.clerk().ask(t, c.ID, issuance.Asked{Event: step.event, Channel: step.channel})
			require.ErrorIs(t, err, step.err, step.channel)
		}
		other := w.person(t, "卓玛", "1981-05-01")
		for channel, method := range map[string]string{"web": issuance.MethodInstant, "phone": issuance.MethodBatch} {
			_, err := w.clerk().request(t, issuance.Request{Person: other.ID, Kind: issuance.KindFirst, Channel: channel, Method: method, Draft: true})
			require.ErrorIs(t, err, issuance.ErrChannel)
		}
	})
}

func TestParseDemands(t *testing.T) {
	t.Parallel()
	const good = "- {place: '630000', from: 2020-01-01, validityAge: 16, minors: [guardian], papers: [{any: [photo], photoAge: true}], channels: [{channel: counter, zh: 窗口, en: counter, events: ['*'], methods: [instant]}]}\n"
	all, err := issuance.ParseDemands([]byte(good))
	require.NoError(t, err)
	_, err = all.At("632723", date(t, "2026-01-01"))
	require.NoError(t, err)
	_, err = all.At("632723", date(t, "2019-01-01"))
	require.ErrorIs(t, err, issuance.ErrNoPolicy)
	for name, change := range map[string][2]string{
		"twice": {good, good + good}, "no place": {"630000", "999999"}, "key": {"minors", "adults"}, "applicant": {"guardian", "aunt"},
		"paper": {"[photo]", "[song]"}, "event": {"'*'", "'dance'"}, "method": {"instant", "magic"}, "counter": {"channel: counter", "channel: web"},
		"age": {"16", "160"}, "empty": {good, ""}, "documents": {good, good + "---\n" + good},
	} {
		_, err := issuance.ParseDemands(bytes.Replace([]byte(good), []byte(change[0]), []byte(change[1]), 1))
		require.ErrorIs(t, err, issuance.ErrDemands, name)
	}
}
