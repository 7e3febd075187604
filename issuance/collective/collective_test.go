package collective_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"image"
	"image/png"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"onecard/api/pki"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/internal/signed"
	"onecard/issuance"
	"onecard/issuance/collective"
	"onecard/keys"
	"onecard/registry"
	"onecard/registry/registrytest"
)

var clerk = registry.Actor{Operator: "caiwang", Workstation: "W-1", Place: "632723"}

type signer struct{ *pki.Authority }

func (s signer) Sign(payload any) (string, error) {
	with, err := s.Orders()
	if err != nil {
		return "", err
	}
	return signed.Sign(payload, with)
}

func newService(t testing.TB, db *registry.DB) *collective.Service {
	t.Helper()
	profiles, err := profile.Load()
	require.NoError(t, err)
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	keeper, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, keys.Provincial())
	require.NoError(t, err)
	authority, err := pki.Open(filepath.Join(t.TempDir(), "pki"), nil, func() time.Time { return registrytest.Start })
	require.NoError(t, err)
	service, err := issuance.New(issuance.Config{DB: db, Profiles: profiles, Keeper: keeper, Signer: signer{authority}})
	require.NoError(t, err)
	require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
		return tx.AddInstitution(registry.Institution{ID: "school-1", Kind: "school", Name: "称多小学", Place: "632723"})
	}))
	return &collective.Service{DB: db, Issuance: service}
}

func number(t testing.TB, birth string, n int) string {
	t.Helper()
	day, err := gb.ParseDate(birth)
	require.NoError(t, err)
	made, err := gb.NewIDNumber("632723", day, n)
	require.NoError(t, err)
	return made.String()
}

func (w world) withPhoto(t *testing.T, name, number string) {
	t.Helper()
	var person registry.Person
	require.NoError(t, w.DB.InTx(t.Context(), clerk, func(tx *registry.Tx) (err error) {
		person, err = tx.AddPerson(registry.NewPerson{IDNumber: number, Name: name, Ethnic: "04", Place: "632723"})
		return err
	}))
	w.photograph(t, person.ID)
}

type world struct{ *collective.Service }

// TestList: each row has an outcome of its own; the same list again does
// nothing twice, and tries again what was refused.
func TestList(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		w := world{newService(t, db)}
		w.withPhoto(t, "卓玛", number(t, "2016-05-01", 1))
		w.withPhoto(t, "仁青", number(t, "2016-05-01", 2))
		lines := []string{
			"序号,姓名,身份证号码,民族,班级",
			"1,卓玛," + number(t, "2016-05-01", 1) + ",藏族,一班",     // 2: known, with a photograph
			"2,扎西," + number(t, "2016-05-01", 2) + ",藏,一班",      // 3: another name is registered
			"3,央金," + number(t, "2016-05-01", 3) + ",藏族,一班",     // 4: new, no photograph
			"4,才仁," + number(t, "2021-05-01", 4) + ",藏族,一班",     // 5: new, needs no photograph
			"5,才让,632723201605010000,藏族,一班",                     // 6: no number
			"6,尼玛," + number(t, "2016-05-01", 5) + ",,一班",       // 7: new, but of no group
			"7,卓玛," + number(t, "2016-05-01", 1) + ",藏族,二班",     // 8: twice in the list
			"8,=cmd," + number(t, "2016-05-01", 6) + ",高山流水,一班", // 9
		}
		list := collective.List{Institution: "school-1", Content: []byte(strings.Join(lines, "\n"))}
		want := []string{
			"2 applied ", "3 refused invalid", "4 draft missing", "5 applied ", "6 refused invalid", "7 refused invalid", "8 refused application-running", "9 refused invalid",
		}
		outcomes := func(id [16]byte) (all []string) {
			rows, err := w.Rows(t.Context(), id, 0, 100)
			require.NoError(t, err)
			for _, r := range rows {
				all = append(all, fmt.Sprintf("%d %s %s", r.Number, r.Outcome, r.Code))
			}
			return all
		}
		// Stopped after each two rows, and gone on with.
		list.Most = 2
		var order collective.Order
		for calls := 1; ; calls++ {
			var err error
			order, err = w.Run(t.Context(), clerk, list)
			require.NoError(t, err)
			if order.State == collective.Done {
				require.Equal(t, 4, calls)
				break
			}
		}
		list.Most = 0
		require.Equal(t, want, outcomes(order.ID))
		require.Equal(t, [3]int{2, 1, 5}, [3]int{order.Applied, order.Draft, order.Refused})
		persons, err := db.CountPersons(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 4, persons, "who is refused is not registered")

		again, err := w.Run(t.Context(), clerk, list)
		require.NoError(t, err)
		require.Equal(t, order, again)
		// What was wrong is put right: the same list takes that row now.
		found, err := db.Find(t.Context(), registry.Query{Number: number(t, "2016-05-01", 2)})
		require.NoError(t, err)
		require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			_, err := tx.CorrectPerson(found.Hits[0].Person.ID, 0, "姓名有误", func(told *registry.NewPerson) { told.Name = "扎西" })
			return err
		}))
		again, err = w.Run(t.Context(), clerk, list)
		require.NoError(t, err)
		require.Equal(t, 3, again.Applied)

		var result, handout bytes.Buffer
		require.NoError(t, w.WriteResult(t.Context(), order.ID, &result))
		require.Contains(t, result.String(), "缺少：照片")
		require.NotContains(t, result.String(), "卓玛")
		require.NoError(t, w.WriteHandout(t.Context(), clerk, order.ID, &handout))
		require.Equal(t, 5, strings.Count(handout.String(), "\n"))
		require.Contains(t, handout.String(), "卓玛,6327**********")
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

func (w world) fire(t *testing.T, id uuid.UUID, event string) {
	t.Helper()
	require.NoError(t, w.DB.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
		_, err := w.Issuance.Fire(tx, id, issuance.Asked{Event: event, Reason: "不再需要", Roles: []string{registry.RoleClerk}})
		return err
	}))
}

func (w world) photograph(t *testing.T, person uuid.UUID) {
	t.Helper()
	require.NoError(t, w.DB.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
		var content bytes.Buffer
		if err := png.Encode(&content, image.NewGray(image.Rect(0, 0, 358, 441))); err != nil {
			return err
		}
		photo, err := registry.CheckContent("photo", content.Bytes())
		if err != nil {
			return err
		}
		_, err = tx.Attach(person, photo, "学校采集")
		return err
	}))
}

// TestDraftsAgain: the same list again submits the drafts that are complete now,
// in steps; the others say what they still lack, and no row has two
// applications.
func TestDraftsAgain(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		w := world{newService(t, db)}
		lines := []string{"姓名,身份证号码,民族"}
		for n := range 6 { // of an age for which a photograph is asked for
			lines = append(lines, "才仁,"+number(t, "2016-05-01", n+1)+",藏族")
		}
		list := collective.List{Institution: "school-1", Content: []byte(strings.Join(lines, "\n"))}
		run := func() collective.Order {
			order, err := w.Run(t.Context(), clerk, list)
			require.NoError(t, err)
			return order
		}
		first := run()
		require.Equal(t, [4]int{0, 6, 0, 0}, [4]int{first.Applied, first.Draft, first.Refused, first.Withdrawn})
		rows, err := w.Rows(t.Context(), first.ID, 0, 100)
		require.NoError(t, err)
		persons := make([]uuid.UUID, len(rows))
		for i, row := range rows {
			application, err := w.Issuance.Application(t.Context(), *row.Application)
			require.NoError(t, err)
			persons[i] = application.PersonID
		}
		for _, i := range []int{0, 2, 3, 5} {
			w.photograph(t, persons[i])
		}
		w.fire(t, *rows[1].Application, "withdraw")
		w.fire(t, *rows[2].Application, issuance.EventSubmit) // at the counter, before the list comes again
		require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			_, err := tx.CorrectPerson(persons[5], 0, "死亡登记", func(told *registry.NewPerson) { told.Life = registry.LifeDead })
			return err
		}))

		list.Most = 4
		half := run()
		require.Equal(t, collective.Open, half.State)
		require.Equal(t, [4]int{3, 2, 0, 1}, [4]int{half.Applied, half.Draft, half.Refused, half.Withdrawn})
		second := run()
		require.Equal(t, collective.Done, second.State)
		require.Equal(t, [4]int{3, 2, 0, 1}, [4]int{second.Applied, second.Draft, second.Refused, second.Withdrawn})
		again, err := w.Rows(t.Context(), second.ID, 0, 100)
		require.NoError(t, err)
		for i, want := range []string{"applied ", "withdrawn withdrawn", "applied ", "applied ", "draft missing", "draft not-alive"} {
			require.Equal(t, want, again[i].Outcome+" "+again[i].Code, i)
			require.Equal(t, rows[i].Application, again[i].Application, i)
		}
		require.Contains(t, again[4].ZH, "缺少：照片")
		w.photograph(t, persons[4])
		list.Most = 0
		third := run()
		require.Equal(t, [4]int{4, 1, 0, 1}, [4]int{third.Applied, third.Draft, third.Refused, third.Withdrawn})

		var states []string
		require.NoError(t, db.Read(t.Context()).Table("applications").Order("state").Pluck("state", &states).Error)
		require.Equal(t, []string{"applied", "applied", "applied", "applied", "draft", "withdrawn"}, states, "no row has two applications")
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

// TestTwoRuns: two counters with one list make one application of each row.
func TestTwoRuns(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		w := world{newService(t, db)}
		lines := []string{"姓名,身份证号码,民族"}
		for n := range 6 {
			lines = append(lines, "才仁,"+number(t, "2021-05-01", n+1)+",藏族")
		}
		list := collective.List{Institution: "school-1", Content: []byte(strings.Join(lines, "\n"))}
		ended := make(chan error, 2)
		for range 2 {
			go func() { _, err := w.Run(context.WithoutCancel(t.Context()), clerk, list); ended <- err }()
		}
		for range 2 {
			require.NoError(t, <-ended)
		}
		order, err := w.Run(t.Context(), clerk, list)
		require.NoError(t, err)
		require.Equal(t, [3]int{6, 0, 0}, [3]int{order.Applied, order.Draft, order.Refused})
		var n int64
		require.NoError(t, db.Read(t.Context()).Table("applications").Count(&n).Error)
		require.EqualValues(t, 6, n)
	})
}

func TestListsRefused(t *testing.T) {
	t.Parallel()
	w := world{newService(t, registrytest.Open(t, registrytest.Config("sqlite:"+filepath.Join(t.TempDir(), "r.db"), registrytest.NewClock())))}
	book := excelize.NewFile()
	require.NoError(t, book.SetSheetRow("Sheet1", "A1", &[]any{"姓名", "社会保障号码", "民族", "证件有效期止"}))
	require.NoError(t, book.SetSheetRow("Sheet1", "A2", &[]any{"才仁", number(t, "2021-05-01", 1), "藏族", "长期"}))
	excel, err := book.WriteToBuffer()
	require.NoError(t, err)
	elsewhere := clerk
	elsewhere.Place = "630102"
	for name, c := range map[string]struct {
		actor   registry.Actor
		list    collective.List
		refused bool
	}{
		"excel":            {clerk, collective.List{Institution: "school-1", Content: excel.Bytes()}, false},
		"elsewhere":        {elsewhere, collective.List{Institution: "school-1", Content: excel.Bytes()}, true},
		"no institution":   {clerk, collective.List{Institution: "school-2", Content: excel.Bytes()}, true},
		"empty":            {clerk, collective.List{Institution: "school-1"}, true},
		"no number column": {clerk, collective.List{Institution: "school-1", Content: []byte("姓名\n才仁\n")}, true},
		"unknown column":   {clerk, collective.List{Institution: "school-1", Content: []byte("姓名,身份证号,血型\n")}, true},
		"column twice":     {clerk, collective.List{Institution: "school-1", Content: []byte("姓名,身份证号,证件号码\n")}, true},
		"half an excel":    {clerk, collective.List{Institution: "school-1", Content: excel.Bytes()[:900]}, true},
		"an old excel":     {clerk, collective.List{Institution: "school-1", Content: []byte{0xd0, 0xcf, 0x11, 0xe0, 1}}, true},
		"no kind":          {clerk, collective.List{Institution: "school-1", Kind: "second", Content: excel.Bytes()}, true},
		"another kind":     {clerk, collective.List{Institution: "school-1", Kind: "first", Content: []byte("姓名,身份证号\n")}, false},
	} {
		_, err := w.Run(t.Context(), c.actor, c.list)
		if c.refused {
			require.ErrorIs(t, err, registry.ErrInvalid, name)
			continue
		}
		require.NoError(t, err, name)
	}
}

// TestRefusedRows: the rows that were refused come out as they were brought, with
// the reasons, and go in again when they are corrected; another file does not fit.
func TestRefusedRows(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		w := world{newService(t, db)}
		list := collective.List{Institution: "school-1", Content: []byte(strings.Join([]string{
			"姓名,身份证号码,未受理原因,民族,所在县区",
			"卓玛," + number(t, "2021-05-01", 1) + ",,藏族,632723",
			"扎西," + number(t, "2021-05-01", 2) + ",以前的原因,高山流水,632723",
			"=央金,632723201605010000,,藏族,632723",
		}, "\n"))}
		order, err := w.Run(t.Context(), clerk, list)
		require.NoError(t, err)
		require.Equal(t, [3]int{1, 0, 2}, [3]int{order.Applied, order.Draft, order.Refused})
		var file bytes.Buffer
		require.NoError(t, w.WriteRefused(t.Context(), order.ID, list, &file))
		book, err := excelize.OpenReader(&file)
		require.NoError(t, err)
		rows, err := book.GetRows("Sheet1")
		require.NoError(t, err)
		require.Equal(t, [][]string{
			{"姓名", "身份证号码", "民族", "所在县区", "未受理原因"},
			{"扎西", number(t, "2021-05-01", 2), "高山流水", "632723", "民族：不是国家标准的民族名称或代码"},
			{"=央金", "632723201605010000", "藏族", "632723", "社会保障号码：应为 18 位公民身份号码，校验位相符"},
		}, rows)
		formula, err := book.GetCellFormula("Sheet1", "A3")
		require.NoError(t, err)
		require.Empty(t, formula)

		require.NoError(t, book.SetCellStr("Sheet1", "C2", "藏族"))
		corrected, err := book.WriteToBuffer()
		require.NoError(t, err)
		again, err := w.Run(t.Context(), clerk, collective.List{Institution: "school-1", Content: corrected.Bytes()})
		require.NoError(t, err)
		require.Equal(t, [3]int{1, 0, 1}, [3]int{again.Applied, again.Draft, again.Refused})
		require.ErrorIs(t, w.WriteRefused(t.Context(), order.ID, collective.List{Content: corrected.Bytes()}, &file), registry.ErrInvalid)

		scope, err := db.Scope(t.Context(), "632700")
		require.NoError(t, err)
		orders, err := w.Orders(t.Context(), scope, 10)
		require.NoError(t, err)
		require.Equal(t, []collective.Order{again, order}, orders, "the newest first")
		units, err := w.Units(t.Context(), scope, 10)
		require.NoError(t, err)
		require.Equal(t, []collective.Unit{{ID: "school-1", Kind: "school", Name: "称多小学", Place: "632723"}}, units)
		elsewhere, err := db.Scope(t.Context(), "630100")
		require.NoError(t, err)
		orders, err = w.Orders(t.Context(), elsewhere, 10)
		require.NoError(t, err)
		require.Empty(t, orders)
	})
}
