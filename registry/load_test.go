package registry_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// resident makes the n-th of many made-up residents: born before 1900.
func resident(t testing.TB, n int) registry.LoadRow {
	t.Helper()
	birth, err := gb.ParseDate(fmt.Sprintf("%04d-%02d-%02d", 1800+n/300000%90, n/28%12+1, n%28+1))
	require.NoError(t, err)
	area := []string{"630102", "632723", "630121", "632821"}[n%4]
	number, err := gb.NewIDNumber(area, birth, n/336%1000)
	require.NoError(t, err)
	given := []rune("伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英")
	told := registry.NewPerson{
		IDNumber: number.String(), Name: fmt.Sprintf("%c%c%c", []rune("王李张马韩祁")[n%6], given[n/6%23], given[n/138%23]),
		Ethnic: "01", Phone: fmt.Sprintf("139%08d", n), Address: fmt.Sprintf("青海省某某县某某镇某某村 %d 号", n), Place: area,
		HouseholdKind: "rural", Household: fmt.Sprint(n / 4),
	}
	person, err := told.Check()
	require.NoError(t, err)
	return registry.LoadRow{
		Person: person, Numbers: []registry.OtherNumber{{System: "pension", Number: fmt.Sprintf("P%09d", n)}},
		Insured: []registry.Insured{{Kind: "pension", Place: area, State: "insured"}, {Kind: "medical", Place: area, State: "insured"}},
	}
}

func residents(t testing.TB, from, to int) []registry.LoadRow {
	rows := make([]registry.LoadRow, 0, to-from)
	for n := from; n < to; n++ {
		rows = append(rows, resident(t, n))
	}
	return rows
}

func counts(result registry.LoadResult) string {
	added, changed, unchanged, refused := result.Counts()
	return fmt.Sprint(added, changed, unchanged, refused)
}

// TestLoad: rows become persons once; again they are known; what was missing is
// filled in; another's number and another name are refused.
func TestLoad(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		load := func(rows []registry.LoadRow) registry.LoadResult {
			result, err := db.Load(t.Context(), clerk, "养老系统 pension", rows, nil)
			require.NoError(t, err)
			return result
		}
		rows := residents(t, 0, 700)
		require.Equal(t, "700 0 0 0", counts(load(rows)))
		require.Equal(t, "0 0 700 0", counts(load(rows)))

		person, err := db.PersonByIDNumber(t.Context(), rows[5].Person.IDNumber)
		require.NoError(t, err)
		want := rows[5].Person
		want.ID, want.Stamp = person.ID, person.Stamp
		require.Equal(t, want, person)
		numbers, err := db.NumbersOf(t.Context(), person.ID)
		require.NoError(t, err)
		require.Equal(t, "P000000005", numbers[0].Number)
		insured, err := db.InsuredAt(t.Context(), person.ID, db.Now())
		require.NoError(t, err)
		require.Len(t, insured, 2)

		other := residents(t, 0, 6)
		other[0].Person.Name = "韩梅梅"                    // another name
		other[1].Person.NameTibetan = "བཀྲ་ཤིས་རྡོ་རྗེ" // was missing
		other[2].Numbers[0].Number = "P000000003"       // another's
		other[3] = other[4]                             // twice in the file
		other[5].OldCard = &registry.OldCard{Pool: "630100", Number: "YB-1", State: "valid", Balance: 12345}
		result := load(other)
		require.Equal(t, "0 2 1 3", counts(result))
		require.Equal(t, []string{registry.RefusedOtherName, "", registry.RefusedNumber, "", registry.RefusedTwice, ""}, result.Refusal)
		filled, err := db.PersonByIDNumber(t.Context(), rows[1].Person.IDNumber)
		require.NoError(t, err)
		require.NotEmpty(t, filled.NameTibetan)
		require.EqualValues(t, 2, filled.Stamp.Version)
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

// TestLoadTogether: the same rows from several sides at once become one person each.
func TestLoadTogether(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		rows := residents(t, 0, 300)
		var mu sync.Mutex
		added := int64(0)
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				result, err := db.Load(context.WithoutCancel(t.Context()), clerk, "file", rows, nil)
				if err == nil {
					n, _, _, _ := result.Counts()
					mu.Lock()
					added += n
					mu.Unlock()
				} else {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.EqualValues(t, 300, added)
		var persons int64
		require.NoError(t, db.Read(t.Context()).Table("persons").Count(&persons).Error)
		require.EqualValues(t, 300, persons)
	})
}

// TestLoadRollsBack: when the caller's own part fails, nothing was loaded.
func TestLoadRollsBack(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		_, err := db.Load(t.Context(), clerk, "file", residents(t, 0, 10), func(*registry.Tx, registry.LoadResult) error { return registry.ErrInvalid })
		require.ErrorIs(t, err, registry.ErrInvalid)
		var persons int64
		require.NoError(t, db.Read(t.Context()).Table("persons").Count(&persons).Error)
		require.Zero(t, persons)
	})
}

// TestFind: the ways in which clerks look for people.
func TestFind(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		zhaxi := addPerson(t, db, herderPerson(t))
		old := herderPerson(t)
		old.IDNumber, old.Name, old.Phone, old.Place = "632723550501123", "才仁卓玛", "13900000002", "632701"
		cairen := addPerson(t, db, old)
		rare := herderPerson(t)
		rare.IDNumber, rare.Name, rare.Phone, rare.Place = idNumber(t, "630102", "1877-01-01", 3), "马㛃𠅤", "", "630102"
		maRare := addPerson(t, db, rare)
		passport := registry.NewPerson{IDType: registry.DocumentPassport, IDNumber: "e1234567", Name: "John A. Smith", Sex: "1", Birth: zhaxi.Birth, Ethnic: "01", Nationality: "USA", Place: "630102"}
		john := addPerson(t, db, passport)

		for text, want := range map[string]struct {
			person registry.Person
			why    string
		}{
			zhaxi.IDNumber.String():  {zhaxi, registry.FoundNumber},
			"632723550501123":        {cairen, registry.FoundNumber},
			cairen.IDNumber.String(): {cairen, registry.FoundNumber},
			"E1234567":               {john, registry.FoundNumber},
			"13900000002":            {cairen, registry.FoundPhone},
			"扎西·多杰":                  {zhaxi, registry.FoundName},
			"扎西.多杰":                  {zhaxi, registry.FoundName},
			"扎西多杰":                   {zhaxi, registry.FoundDots},
			"札西多吉":                   {zhaxi, registry.FoundSound},
			"zxdj":                   {zhaxi, registry.FoundInitials},
			"zhaxiduoji":             {zhaxi, registry.FoundSound},
			"crzm 632700":            {cairen, registry.FoundInitials},
			"次仁卓么":                   {cairen, registry.FoundSound},
			"马㛃𠅤":                    {maRare, registry.FoundName},
			"John A. Smith":          {john, registry.FoundName},
			"18880501 632723":        {zhaxi, registry.FoundBirth},
			"18880501 zxdj":          {zhaxi, registry.FoundInitials},
		} {
			told, err := registry.ParseQuery(text)
			require.NoError(t, err, text)
			found, err := db.Find(t.Context(), told.Query)
			require.NoError(t, err, text)
			require.Len(t, found.Hits, 1, text)
			require.Equal(t, want.person, found.Hits[0].Person, text)
			require.Equal(t, want.why, found.Hits[0].Why, text)
		}
		for _, text := range []string{"扎西*", "扎?", "%", "", "18880501", "zxdj 999999", "\u200b", "632723195505011230"} {
			told, err := registry.ParseQuery(text)
			if err == nil {
				_, err = db.Find(t.Context(), told.Query)
			}
			require.ErrorIs(t, err, registry.ErrInvalid, "%q", text)
		}
		near, err := db.Find(t.Context(), registry.Query{Latin: "zxdj", Near: "632723"})
		require.NoError(t, err)
		require.Equal(t, 50, near.Hits[0].Score)
	})
}
