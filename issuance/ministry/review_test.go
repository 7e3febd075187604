package ministry_test

import (
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/card/profile"
	sim "onecard/internal/sim/ministry"
	"onecard/issuance"
	"onecard/issuance/ministry"
	"onecard/issuance/tell"
	"onecard/keys"
	"onecard/registry"
)

type signer struct{}

func (signer) Sign(payload any) (string, error) { return sign(payload) }

// review is a world in which cards are applied for and reviewed.
type review struct {
	*world
	*issuance.Service
	carrier *tell.Carrier
}

func newReview(w *world, demand string) *review {
	text := strings.Replace(string(issuance.DefaultPolicies()), "ministryQuery: none", "ministryQuery: "+demand, 1)
	policies, err := issuance.ParsePolicies([]byte(text))
	require.NoError(w.t, err)
	profiles, err := profile.Load()
	require.NoError(w.t, err)
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(w.t, err)
	keeper, err := keys.Create(filepath.Join(w.t.TempDir(), "keys.json"), kek, keys.Provincial())
	require.NoError(w.t, err)
	service, err := issuance.New(issuance.Config{DB: w.db, Profiles: profiles, Keeper: keeper, Signer: signer{}, Policies: policies, Demands: issuance.Demands{}})
	require.NoError(w.t, err)
	carrier := &tell.Carrier{DB: w.db, Place: "630000", Logger: slog.New(slog.DiscardHandler), Deliverers: map[string]tell.Deliverer{tell.Ministry: w.Service}}
	return &review{w, service, carrier}
}

// apply enters applications of new persons in one transaction.
func (r *review) apply(from, n int) (ids []uuid.UUID) {
	r.t.Helper()
	var requests []issuance.Request
	for i := range n {
		requests = append(requests, issuance.Request{Person: r.person(from + i).ID, Kind: issuance.KindFirst})
	}
	r.change(func(tx *registry.Tx) error {
		outcomes, err := r.ApplyAll(tx, requests)
		for _, o := range outcomes {
			require.NoError(r.t, o.Refused)
			ids = append(ids, o.Application.ID)
		}
		return err
	})
	return ids
}

// carry lets the platform carry what is due, after a time.
func (r *review) carry(after time.Duration) {
	r.t.Helper()
	r.clock.Advance(after)
	_, err := r.carrier.Turn(r.t.Context(), tell.Ministry)
	require.NoError(r.t, err)
}

func (r *review) stands(id uuid.UUID, state, province string) {
	r.t.Helper()
	a, err := r.Application(r.t.Context(), id)
	require.NoError(r.t, err)
	require.Equal(r.t, state+" "+province, a.Ministry+" "+a.MinistryProvince)
}

// fire lets an event happen to applications together and returns the code of
// each refusal.
func (r *review) fire(event, role string, ids ...uuid.UUID) (codes []string) {
	r.t.Helper()
	operator := map[string]string{registry.RoleClerk: "op-1", registry.RoleReviewer: "op-2"}[role]
	require.NoError(r.t, r.db.InTx(r.t.Context(), registry.Actor{Operator: operator, Place: "630102"}, func(tx *registry.Tx) error {
		scope, err := r.db.Scope(tx.Context(), "630000")
		if err != nil {
			return err
		}
		outcomes, err := r.FireAll(tx, ids, issuance.Asked{Event: event, Reason: "核对", Roles: []string{role}}, scope, issuance.ErrNoRight)
		for _, o := range outcomes {
			code := ""
			if o.Refused != nil {
				var why *issuance.Error
				require.ErrorAs(r.t, o.Refused, &why)
				require.NotEmpty(r.t, why.Text.ZH)
				require.NotEmpty(r.t, why.Remedy.EN)
				code = why.Code
			}
			codes = append(codes, code)
		}
		return err
	}))
	return codes
}

func (r *review) approve(ids ...uuid.UUID) []string {
	r.t.Helper()
	return r.fire(issuance.EventApprove, registry.RoleReviewer, ids...)
}

// TestRequired: where the place requires the ministry's answer, a set of
// applications is entered while the ministry is away, waits for the answer, and
// is approved by what it says.
func TestRequired(t *testing.T) {
	each(t, func(w *world) {
		r := newReview(w, issuance.MinistryRequired)
		r.sim.SetFaults(sim.Faults{Down: 1})
		ids := r.apply(1, 2)
		r.carry(0)
		r.stands(ids[0], "asked", "")
		require.Equal(w.t, []string{"ministry-unanswered", "ministry-unanswered"}, r.approve(ids...))

		r.sim.SetFaults(sim.Faults{Unknown: 1}) // asked again by itself after silence
		r.carry(time.Minute)
		r.stands(ids[0], "unknown", "")
		require.Equal(w.t, []string{"ministry-unanswered", "ministry-unanswered"}, r.approve(ids...))
		r.change(func(tx *registry.Tx) error { // it is under way: another question would be none
			_, err := r.AskMinistry(tx, ids[0])
			return err
		})
		r.sim.SetFaults(sim.Faults{})
		r.carry(time.Minute)
		r.stands(ids[0], "accepted", "")
		require.Equal(w.t, []string{"", ""}, r.approve(ids...))
		var questions []tell.Delivery
		require.NoError(w.t, w.db.Read(w.t.Context()).Where("peer = 'ministry'").Find(&questions).Error)
		require.Len(w.t, questions, 2, "one question each, whatever became of it")
		for _, q := range questions {
			require.Equal(w.t, []any{tell.Acknowledged, 3}, []any{q.State, q.Attempts})
		}
		require.NoError(w.t, w.db.VerifyAudit(w.t.Context()))
	})
}

// TestElsewhere: a card in another province is shown and refused, also after the
// application was returned and submitted again; asked anew when it is gone, it
// is approved.
func TestElsewhere(t *testing.T) {
	each(t, func(w *world) {
		r := newReview(w, issuance.MinistryRequired)
		r.sim.SetFaults(sim.Faults{DuplicateEvery: 1})
		id := r.apply(1, 1)[0]
		r.carry(0)
		r.stands(id, "duplicate", "540000")
		require.Equal(w.t, []string{"ministry-elsewhere"}, r.approve(id))
		require.Equal(w.t, []string{""}, r.fire("return", registry.RoleReviewer, id))
		require.Equal(w.t, []string{""}, r.fire(issuance.EventResubmit, registry.RoleClerk, id))
		r.stands(id, "asked", "")
		r.carry(time.Second)
		r.stands(id, "duplicate", "540000")

		r.sim.SetFaults(sim.Faults{})
		r.change(func(tx *registry.Tx) error {
			a, err := r.AskMinistry(tx, id)
			require.Equal(w.t, "asked", a.Ministry)
			return err
		})
		r.carry(time.Second)
		r.stands(id, "accepted", "")

		// What was answered is of the name of then: another name is asked about anew.
		a, err := r.Application(w.t.Context(), id)
		require.NoError(w.t, err)
		r.change(func(tx *registry.Tx) error {
			_, err := tx.CorrectPerson(a.PersonID, 0, "姓名有误", func(told *registry.NewPerson) { told.Name = "扎西·顿珠" })
			return err
		})
		require.Equal(w.t, []string{"ministry-unanswered"}, r.approve(id))
		r.carry(time.Second)
		require.Equal(w.t, []string{""}, r.approve(id))
		require.NoError(w.t, w.db.VerifyAudit(w.t.Context()))
	})
}

// TestLateAnswer: the answer to a question after which another was asked says
// nothing, and neither does one about an application that is gone.
func TestLateAnswer(t *testing.T) {
	each(t, func(w *world) {
		r := newReview(w, issuance.MinistryRequired)
		ids := r.apply(1, 2)
		var first tell.Delivery
		require.NoError(w.t, w.db.Read(w.t.Context()).Where("subject = ?", "application:"+ids[0].String()).Take(&first).Error)
		require.Equal(w.t, []string{""}, r.fire("return", registry.RoleReviewer, ids[0]))
		require.Equal(w.t, []string{""}, r.fire(issuance.EventResubmit, registry.RoleClerk, ids[0]))
		answer, err := r.Ask(w.t.Context(), first.ID, ids[0])
		require.NoError(w.t, err)
		require.True(w.t, answer.Acknowledged)
		r.stands(ids[0], "asked", "")

		require.Equal(w.t, []string{""}, r.fire("withdraw", registry.RoleClerk, ids[1]))
		answer, err = r.Deliver(w.t.Context(), delivery("application:"+ids[1].String()))
		require.NoError(w.t, err)
		require.Equal(w.t, "closed", answer.Code)
	})
}

// TestDemands: where nothing is asked nothing is sent; where the answer is for
// the reviewer only, it keeps nobody from approving. Once a place asks, those
// who were entered before are asked about.
func TestDemands(t *testing.T) {
	each(t, func(w *world) {
		none := newReview(w, issuance.MinistryNone)
		before := none.apply(1, 2)
		none.stands(before[0], "none", "")
		none.change(func(tx *registry.Tx) error {
			_, err := none.AskMinistry(tx, before[0])
			require.ErrorIs(w.t, err, issuance.ErrNotAllowed)
			return nil
		})
		sent := func() (n int64) {
			require.NoError(w.t, w.db.Read(w.t.Context()).Table("deliveries").Where("peer = 'ministry'").Count(&n).Error)
			return n
		}
		asked, err := none.AskUnasked(w.t.Context(), registry.Actor{Operator: "system", Place: "630000"})
		require.NoError(w.t, err)
		require.Zero(w.t, asked)
		require.Zero(w.t, sent())
		require.Equal(w.t, []string{""}, none.approve(before[1]))

		told := newReview(w, issuance.MinistryTold)
		told.sim.SetFaults(sim.Faults{DuplicateEvery: 1})
		id := told.apply(3, 1)[0]
		told.carry(0)
		told.stands(id, "duplicate", "540000")
		require.Equal(w.t, []string{""}, told.approve(id))

		required := newReview(w, issuance.MinistryRequired)
		require.Equal(w.t, []string{"ministry-not-asked"}, required.approve(before[0]))
		for _, want := range []int{1, 0} {
			asked, err = required.AskUnasked(w.t.Context(), registry.Actor{Operator: "system", Place: "630000"})
			require.NoError(w.t, err)
			require.Equal(w.t, want, asked)
		}
		required.stands(before[0], "asked", "")
		require.EqualValues(w.t, 2, sent())
		require.NoError(w.t, w.db.VerifyAudit(w.t.Context()))
	})
}

// TestQuestions: every answer of the schema is a line, and whatever was said may
// be asked anew.
func TestQuestions(t *testing.T) {
	t.Parallel()
	schema, err := ministry.BuiltIn()
	require.NoError(t, err)
	for code, event := range schema.Answers {
		rule, ok := issuance.Questions.Rule("asked", event)
		require.True(t, ok, code)
		require.NotEmpty(t, issuance.Questions.State(rule.To).Text.ZH)
	}
	for _, state := range issuance.Questions.States {
		_, ok := issuance.Questions.Rule(state.Name, "ask")
		require.Equal(t, state.Name != "asked", ok, state.Name)
	}
}
