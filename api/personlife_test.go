package api

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// enter registers a resident of Xining's 城东区 and returns the answer.
func (w *world) enter(key, number, name, phone string) Person {
	w.t.Helper()
	body := fmt.Sprintf(`{"idNumber":%q,"name":%q,"ethnic":"04","place":"630102","phone":%q}`, number, name, phone)
	got := w.do(call{method: "POST", path: "/v1/persons", as: clerk, key: key, body: body})
	require.Equal(w.t, http.StatusCreated, got.status, got.body)
	return decode[Person](w.t, got)
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
