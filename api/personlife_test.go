package api

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/registry"
)

// enter registers a resident of Xining's 城东区 and returns the answer.
func (w *world) enter(key, number, name, phone string) Person {
	w.t.Helper()
	body := fmt.Sprintf(`{"idNumber":%q,"name":%q,"ethnic":"04","place":"630102","phone":%q}`, number, name, phone)
	got := w.do(call{method: "POST", path: "/v1/persons", as: clerk, key: key, body: body})
	require.Equal(w.t, http.StatusCreated, got.status, got.body)
	return decode[Person](w.t, got)
}

var afar = registry.Actor{Operator: "op-9", Workstation: "ws-9", Place: "630102"}

// insuredAs records how a resident is insured.
func (w *world) insuredAs(person uuid.UUID, kind, state string) {
	w.t.Helper()
	require.NoError(w.t, w.db.InTx(w.t.Context(), afar, func(tx *registry.Tx) error {
		return tx.Insure(person, registry.Insured{Kind: kind, Place: "630102", State: state}, state+" since today")
	}))
}

func (w *world) keepRules(text string) {
	w.t.Helper()
	_, err := w.db.KeepRules(w.t.Context(), afar, "start", map[string]string{"issuance": text})
	require.NoError(w.t, err)
}

func (w *world) look(text string) PersonList {
	w.t.Helper()
	got := w.do(call{method: "GET", path: "/v1/persons?q=" + url.QueryEscape(text), as: clerk})
	require.Equal(w.t, http.StatusOK, got.status, got.body)
	return decode[PersonList](w.t, got)
}

// TestPersonLife is a file at a county's counter: entered twice, looked for in
// the ways that people remember, corrected, shown in clear for a reason, and
// made one.
func TestPersonLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		first := w.enter("life-0001", "630102600101123", "桑杰卓玛", "13997000001")
		start := w.clock.Now()
		w.clock.Advance(time.Minute)
		second := w.enter("life-0002", "630102196001011258", "桑吉卓么", "13997000002")
		for text, by := range map[string]string{
			"630102600101123": "number", "13997000001": "phone", "桑杰卓玛": "name", "sjzm 19600101": "initials", "sangjiezhuoma": "sound",
		} {
			found := w.look(text)
			require.NotEmpty(t, found.Persons, text)
			require.Equal(t, first.Id, found.Persons[0].Id, text)
			require.EqualValues(t, by, *found.Persons[0].FoundBy, text)
			require.NotContains(t, found.Persons[0].IdNumberMasked, "600101", "masked")
		}
		for _, text := range []string{"桑*", "%25", "18880501"} {
			require.Equal(t, http.StatusUnprocessableEntity, w.do(call{method: "GET", path: "/v1/persons?q=" + url.QueryEscape(text), as: clerk}).status, text)
		}

		path := "/v1/persons/" + first.Id.String()
		plain := w.do(call{method: "POST", path: path + "/unmask", as: clerk, body: `{"fields":["phone"],"reason":"电话通知领卡"}`})
		require.Equal(t, http.StatusOK, plain.status, plain.body)
		require.Contains(t, plain.body, "13997000001")
		require.Equal(t, http.StatusBadRequest, w.do(call{method: "POST", path: path + "/unmask", as: clerk, body: `{"fields":["phone"],"reason":""}`}).status)
		require.Equal(t, http.StatusForbidden, w.do(call{method: "POST", path: path + "/unmask", as: cashier, body: `{"fields":["phone"],"reason":"r"}`}).status)

		rename := `{"version":1,"reason":"户口簿更名","name":"桑吉卓玛"}`
		refused := w.do(call{method: "POST", path: path + "/corrections", as: clerk, key: "life-0003", body: rename})
		require.Equal(t, http.StatusForbidden, refused.status, "a clerk does not change a name")
		done := w.do(call{method: "POST", path: path + "/corrections", as: reviewer, key: "life-0004", body: rename})
		require.Equal(t, http.StatusOK, done.status, done.body)
		require.EqualValues(t, 2, *decode[Person](t, done).Version)
		again := w.do(call{method: "POST", path: path + "/corrections", as: reviewer, key: "life-0004", body: rename})
		require.JSONEq(t, done.body, again.body, "the same request again changes nothing")
		stale := w.do(call{method: "POST", path: path + "/corrections", as: clerk, key: "life-0005", body: `{"version":1,"reason":"r","phone":"13997000009"}`})
		require.Equal(t, http.StatusConflict, stale.status)
		require.Contains(t, stale.body, "stale")
		elsewhere := w.person("扎西·多杰")
		other := w.do(call{method: "POST", path: "/v1/persons/" + elsewhere.ID.String() + "/corrections", as: reviewer, key: "life-0006", body: `{"version":1,"reason":"r","phone":"13997000009"}`})
		require.Equal(t, http.StatusForbidden, other.status, other.body)
		require.Contains(t, other.body, "other-place")

		history := decode[PersonHistory](t, w.do(call{method: "GET", path: path + "/history", as: reviewer}))
		require.Len(t, history.Versions, 2)
		require.Equal(t, []string{"name"}, history.Versions[1].Fields)
		require.Equal(t, reviewer, history.Versions[1].By)
		at := w.do(call{method: "GET", path: path + "/at?instant=" + url.QueryEscape(start.Format(time.RFC3339)), as: reviewer})
		require.Equal(t, "桑杰卓玛", decode[PersonAt](t, at).Person.Name)
		require.Equal(t, clerk, decode[PersonAt](t, at).Made.By)
		w.insuredAs(first.Id, "medical", "insured")
		w.clock.Advance(time.Minute)
		between := w.clock.Now()
		w.clock.Advance(time.Minute)
		w.insuredAs(first.Id, "medical", "suspended")
		for instant, want := range map[time.Time]string{between: "insured", w.clock.Now(): "suspended"} {
			at = w.do(call{method: "GET", path: path + "/at?instant=" + url.QueryEscape(instant.Format(time.RFC3339)), as: reviewer})
			stood := decode[PersonAt](t, at).Insured
			require.Len(t, stood, 1)
			require.EqualValues(t, want, stood[0].State)
			require.Equal(t, Made{From: stood[0].Made.From, By: "op-9", On: "ws-9", Reason: want + " since today"}, *stood[0].Made)
		}
		w.keepRules("one")
		w.clock.Advance(time.Minute)
		past := w.clock.Now()
		w.clock.Advance(time.Minute)
		w.keepRules("two")
		for query, want := range map[string]string{"": "two", "?at=" + url.QueryEscape(past.Format(time.RFC3339)): "one"} {
			rules := decode[RuleList](t, w.do(call{method: "GET", path: "/v1/rules" + query, as: reviewer})).Rules
			require.Len(t, rules, 1)
			require.Equal(t, want, rules[0].Content)
			require.Equal(t, "ws-9", rules[0].Made.On)
		}
		require.Equal(t, http.StatusForbidden, w.do(call{method: "GET", path: "/v1/rules", as: clerk}).status)
		require.Equal(t, http.StatusBadRequest, w.do(call{method: "GET", path: "/v1/rules?at=yesterday", as: reviewer}).status)

		queue := decode[DuplicateList](t, w.do(call{method: "GET", path: "/v1/duplicates", as: reviewer}))
		require.Len(t, queue.Duplicates, 1)
		require.EqualValues(t, "same-sound-birth", queue.Duplicates[0].Rule)
		decision := call{
			method: "POST", path: "/v1/duplicates/" + queue.Duplicates[0].Id.String() + "/decision", as: reviewer, key: "life-0007",
			body: fmt.Sprintf(`{"same":true,"keep":%q,"reason":"同一人，本人到场核实"}`, first.Id),
		}
		require.Equal(t, http.StatusOK, w.do(decision).status)
		found := w.look("630102196001011258")
		require.Equal(t, first.Id, found.Persons[0].Id, "the absorbed file's number leads to the kept one")
		merges := decode[PersonHistory](t, w.do(call{method: "GET", path: "/v1/persons/" + second.Id.String() + "/history", as: reviewer})).Merges
		require.Len(t, merges, 1)
		undone := w.do(call{method: "POST", path: "/v1/merges/" + merges[0].Id.String() + "/undo", as: reviewer, key: "life-0008", body: `{"reason":"误并"}`})
		require.Equal(t, http.StatusOK, undone.status, undone.body)
		require.Equal(t, second.Id, w.look("630102196001011258").Persons[0].Id)
		merged := w.do(call{method: "POST", path: path + "/merges", as: reviewer, key: "life-0009", body: fmt.Sprintf(`{"absorbed":%q,"reason":"r"}`, second.Id)})
		require.Equal(t, http.StatusCreated, merged.status, merged.body)
		nobody := w.do(call{method: "POST", path: path + "/merges", as: reviewer, key: "life-0010", body: fmt.Sprintf(`{"absorbed":%q,"reason":"r"}`, uuid.New())})
		require.Equal(t, http.StatusNotFound, nobody.status)
		require.NotContains(t, w.log.String(), "13997")
	})
}
