package sample_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"onecard/internal/gb"
	"onecard/registry"
	"onecard/registry/registrytest"
	"onecard/registry/sample"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		require.ErrorIs(t, sample.Load(t.Context(), db), sample.ErrNotTrial)
		require.NoError(t, db.MarkTrial(t.Context(), registry.Actor{Operator: "test", Place: "630000"}))
		require.NoError(t, sample.Load(t.Context(), db))
		before := counts(t, db)
		require.NoError(t, sample.Load(t.Context(), db))
		require.Equal(t, before, counts(t, db), "loading again changes nothing, not even the audit log")
		require.NoError(t, db.VerifyAudit(t.Context()))

		province, err := sample.Read()
		require.NoError(t, err)
		require.Equal(t, []int{len(province.Institutions), len(province.Workstations), len(province.Operators), len(province.Residents)}, before[:4])
		for _, told := range province.Residents {
			number, err := gb.ParseIDNumber(told.IDNumber)
			require.NoError(t, err)
			person, err := db.PersonByIDNumber(t.Context(), number)
			require.NoError(t, err)
			require.Equal(t, told.Name, person.Name)
			require.Equal(t, told.NameTibetan, person.NameTibetan)
		}
		for _, operator := range province.Operators {
			station := workstationOf(t, province, operator)
			session, err := db.Authenticate(t.Context(), operator.Login, operator.Password, station)
			require.NoError(t, err, operator.Login)
			require.ElementsMatch(t, operator.Roles, session.Operator.Roles)
		}
	})
}

func workstationOf(t *testing.T, province sample.Province, operator sample.Operator) string {
	t.Helper()
	i := slices.IndexFunc(province.Workstations, func(w registry.Workstation) bool { return w.Institution == operator.Institution })
	require.GreaterOrEqual(t, i, 0, "%s has no workstation to sign in at", operator.Login)
	return province.Workstations[i].ID
}

func counts(t *testing.T, db *registry.DB) []int {
	t.Helper()
	var all []int
	for _, table := range []string{"institutions", "workstations", "operators", "persons", "audit_entries"} {
		var count int64
		require.NoError(t, db.Read(t.Context()).Table(table).Count(&count).Error)
		all = append(all, int(count))
	}
	return all
}

// TestResidents holds what the sample is for: every people of the province, the
// names that do not fit, and numbers that nobody can have.
func TestResidents(t *testing.T) {
	t.Parallel()
	province, err := sample.Read()
	require.NoError(t, err)
	ethnics := map[string]bool{}
	var long, rare, script int
	for _, person := range province.Residents {
		ethnics[person.Ethnic] = true
		number, err := gb.ParseIDNumber(person.IDNumber)
		require.NoError(t, err)
		for _, division := range gb.Divisions().All() {
			if division.Code == number.Area() {
				require.True(t, number.Birth().Before(division.From), "%s: the number could be somebody's", person.Name)
			}
		}
		normal, err := gb.NormaliseName(person.Name)
		require.NoError(t, err)
		require.Equal(t, normal, person.Name)
		if person.NameTibetan != "" {
			script++
		}
		encoded, err := simplifiedchinese.GBK.NewEncoder().String(person.Name)
		switch {
		case err != nil:
			rare++
		case len(encoded) > 30:
			require.LessOrEqual(t, len(encoded), 50)
			long++
		}
	}
	for _, code := range []string{"01", "02", "03", "04", "30", "35"} {
		require.True(t, ethnics[code], code)
	}
	require.Equal(t, []int{1, 1, 3}, []int{long, rare, script})
	require.Len(t, province.Residents, 12)
}

// TestStaff: every role is held, and who reviews at an office is not who enters.
func TestStaff(t *testing.T) {
	t.Parallel()
	province, err := sample.Read()
	require.NoError(t, err)
	held := map[string]bool{}
	for _, operator := range province.Operators {
		require.False(t, operator.Has(registry.RoleClerk) && operator.Has(registry.RoleReviewer), operator.Login)
		for _, role := range operator.Roles {
			held[role] = true
		}
	}
	for _, role := range []string{registry.RoleClerk, registry.RoleReviewer, registry.RoleIssuer, registry.RoleSupervisor, registry.RoleCashier, registry.RoleAdmin} {
		require.True(t, held[role], role)
	}
}
