package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/registry"
)

// Places of the matrix. The county is 湟中, which was 630122 until 2020 and
// 632124 until 1999; the township is 鲁沙尔镇, which was 630122100.
var (
	reaches = []struct{ login, place, locality string }{
		{"in-province", "630000", ""}, {"in-prefecture", "630100", ""}, {"in-county", "630106", ""}, {"in-township", "630106", "630106102"},
		{"in-village", "630106", "630106102200"}, {"in-haidong", "630200", ""}, {"in-other", "630123", ""},
	}
	// files are where records are filed, and who sees them.
	files = []struct {
		place, locality string
		seen            []string
	}{
		{"630106", "630106102", []string{"in-province", "in-prefecture", "in-county", "in-township"}},
		{"630122", "630122100", []string{"in-province", "in-prefecture", "in-county", "in-township"}},
		{"630122", "630122100200", []string{"in-province", "in-prefecture", "in-county", "in-township", "in-village"}},
		{"630106", "630106101", []string{"in-province", "in-prefecture", "in-county"}},
		{"632124", "", []string{"in-province", "in-prefecture", "in-county"}},
		{"630123", "", []string{"in-province", "in-prefecture", "in-other"}},
		{"632123", "", []string{"in-province", "in-haidong"}},
		{"632100", "", []string{"in-province", "in-haidong"}},
		{"630202", "630202001", []string{"in-province", "in-haidong"}},
	}
)

// TestRightsByPlace asks every list and every right by place as operators of
// every tier, over records that are filed under codes of today and of earlier
// years.
func TestRightsByPlace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		filed := w.filed()
		for _, r := range reaches {
			w.settle(r.login, r.place, r.locality)
			ask := func(c call) answer {
				c.token, c.at = w.tokens[r.login], "W-"+r.login
				return w.do(c)
			}
			var listed, cases []uuid.UUID
			for _, a := range decode[ApplicationList](t, ask(call{method: http.MethodGet, path: "/v1/applications?limit=100"})).Applications {
				listed = append(listed, a.PersonId)
			}
			for _, c := range decode[DuplicateList](t, ask(call{method: http.MethodGet, path: "/v1/duplicates"})).Duplicates {
				cases = append(cases, c.First.Id)
			}
			for i, f := range files {
				where := r.login + " " + f.place + " " + f.locality
				sees := slices.Contains(f.seen, r.login)
				require.Equal(t, sees, slices.Contains(listed, filed[i].person), "application: %s", where)
				require.Equal(t, sees, slices.Contains(cases, filed[i].person), "case: %s", where)
				got := ask(w.correction(filed[i].person))
				require.Equal(t, sees, got.status == http.StatusOK, "%s: %s", where, got.body)
				if sees {
					continue
				}
				require.Equal(t, "other-place", decode[Problem](t, got).Code, where)
				fire := call{method: http.MethodPost, path: "/v1/applications/" + filed[i].application.String() + "/events", body: `{"event":"approve"}`, key: uuid.NewString()}
				require.Equal(t, "other-place", decode[Problem](t, ask(fire)).Code, where)
			}
			found := decode[PersonList](t, ask(call{method: http.MethodGet, path: "/v1/persons?q=" + url.QueryEscape(filedName(0))}))
			finds := slices.ContainsFunc(found.Persons, func(p Person) bool { return p.Id == filed[0].person })
			require.True(t, finds, "any counter may serve any resident: %s", r.login)
		}
	})
}

type filing struct{ person, application uuid.UUID }

// filedName is the name of the residents of a row of files.
func filedName(i int) string { return "测试" + string([]rune("甲乙丙丁戊己庚辛壬")[i]) }

// filed enters two residents of one name for each row of files, the first with
// an application, and then files them where the row says, as years ago.
func (w *world) filed() []filing {
	w.t.Helper()
	filed := make([]filing, len(files))
	birth, err := gb.NewDate(1980, 5, 1)
	require.NoError(w.t, err)
	require.NoError(w.t, w.db.InTx(w.t.Context(), registry.Actor{Operator: "test", Place: "630000"}, func(tx *registry.Tx) error {
		for i, f := range files {
			for sequence := 2*i + 2; sequence > 2*i; sequence-- {
				number, err := gb.NewIDNumber("630102", birth, sequence)
				if err != nil {
					return err
				}
				person, err := tx.AddPerson(registry.NewPerson{IDNumber: number.String(), Name: filedName(i), Ethnic: "01", Place: "630102"})
				if err != nil {
					return err
				}
				if sequence%2 == 0 {
					filed[i].person = person.ID
				}
			}
			locality := any(nil)
			if f.locality != "" {
				locality = f.locality
			}
			if filed[i].application, err = tx.NewID(); err != nil {
				return err
			}
			for _, statement := range []struct {
				sql    string
				values []any
			}{
				{"UPDATE persons SET place = ?, locality = ?, version = version + 1 WHERE id = ?", []any{f.place, locality, filed[i].person}},
				{"UPDATE duplicate_cases SET place = ? WHERE first_id = ?", []any{f.place, filed[i].person}},
				{"INSERT INTO applications (id, person_id, kind, place, locality, state, entered_by, reason, created_at, changed_at) VALUES (?, ?, 'first', ?, ?, 'applied', 'test', '', ?, ?)",
					[]any{filed[i].application, filed[i].person, f.place, locality, tx.Now(), tx.Now()}},
			} {
				done := tx.DB().Exec(statement.sql, statement.values...)
				require.NoError(w.t, done.Error)
				require.EqualValues(w.t, 1, done.RowsAffected, statement.sql)
			}
		}
		return nil
	}))
	return filed
}

func (w *world) correction(id uuid.UUID) call {
	w.t.Helper()
	person, err := w.db.PersonByID(w.t.Context(), id)
	require.NoError(w.t, err)
	body, err := json.Marshal(Correction{Version: person.Stamp.Version, Reason: "试", Postcode: new("810000")})
	require.NoError(w.t, err)
	return call{method: http.MethodPost, path: "/v1/persons/" + id.String() + "/corrections", body: string(body), key: uuid.NewString()}
}

// settle puts an operator with every role into an office of a place.
func (w *world) settle(login, place, locality string) {
	const password = "Qinghai-2026"
	w.passwords[login] = password
	require.NoError(w.t, w.db.InTx(w.t.Context(), registry.Actor{Operator: "test", Place: "630000"}, func(tx *registry.Tx) error {
		if err := tx.AddInstitution(registry.Institution{ID: "I-" + login, Kind: registry.KindOffice, Name: "某经办机构", Place: place, Locality: locality}); err != nil {
			return err
		}
		station := registry.Workstation{ID: "W-" + login, Institution: "I-" + login, Place: place, Locality: locality, Kind: registry.KindCounter}
		if err := tx.AddWorkstation(station); err != nil {
			return err
		}
		return tx.AddOperator(registry.Operator{Login: login, Name: "某人", Roles: agency, Institution: "I-" + login, Place: place, Locality: locality}, password)
	}))
	w.enrol("W-" + login)
	w.tokens[login] = w.signIn(login, "W-"+login)
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			query, code, full string
			number            int
		}{
			{"", "630000", "青海省", 1},
			{"?within=630000", "630100", "西宁市", 8},
			{"?within=630000&day=2011-12-31", "632100", "海东地区", 8},
			{"?within=632124&limit=100", "630106102", "西宁市湟中区鲁沙尔镇", 17},
			{"?text=" + url.QueryEscape("鲁沙尔"), "630106102", "西宁市湟中区鲁沙尔镇", 1},
			{"?text=630122100200", "630106102200", "西宁市湟中区鲁沙尔镇水滩村委会", 1},
			{"?text=632123", "630202", "海东市乐都区", 1},
			{"?text=" + url.QueryEscape("鲁沙尔") + "&within=630200", "", "", 0},
		} {
			got := w.do(call{method: http.MethodGet, path: "/v1/places" + c.query, as: clerk})
			require.Equal(t, http.StatusOK, got.status, got.body)
			list := decode[PlaceList](t, got)
			require.False(t, list.More)
			require.Len(t, list.Places, c.number, c.query)
			if i := slices.IndexFunc(list.Places, func(p Place) bool { return p.Code == c.code }); c.number > 0 {
				require.GreaterOrEqual(t, i, 0, c.query)
				require.Equal(t, c.full, list.Places[i].FullName)
			}
		}
		require.Equal(t, http.StatusBadRequest, w.do(call{method: http.MethodGet, path: "/v1/places?within=6301", as: clerk}).status)
		require.True(t, decode[PlaceList](t, w.do(call{method: http.MethodGet, path: "/v1/places?within=630106&limit=2", as: clerk})).More)
	})
}
