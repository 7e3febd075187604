package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// idNumber makes a synthetic identity number. Births before 1900 are of nobody.
func idNumber(t *testing.T, area, birth string, sequence int) string {
	t.Helper()
	day, err := gb.ParseDate(birth)
	require.NoError(t, err)
	number, err := gb.NewIDNumber(area, day, sequence)
	require.NoError(t, err)
	return number.String()
}

func herderPerson(t *testing.T) registry.NewPerson {
	return registry.NewPerson{
		IDNumber: idNumber(t, "632723", "1888-05-01", 11), Name: "扎西•多杰", NameTibetan: "བཀྲ་ཤིས་རྡོ་རྗེ",
		Ethnic: "04", Phone: "13900000001", Address: "青海省玉树藏族自治州称多县", Place: "632723",
	}
}

func addPerson(t *testing.T, db *registry.DB, told registry.NewPerson) registry.Person {
	t.Helper()
	var person registry.Person
	require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) (err error) {
		person, err = tx.AddPerson(told)
		return err
	}))
	return person
}

func TestPerson(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		told := herderPerson(t)
		added := addPerson(t, db, told)
		number, err := gb.ParseIDNumber(told.IDNumber)
		require.NoError(t, err)
		require.Equal(t, registry.Person{
			ID: added.ID, IDType: registry.DocumentResident, IDNumber: number, Name: "扎西·多杰", NameTibetan: told.NameTibetan, Sex: gb.Male, Ethnic: "04",
			Birth: number.Birth(), Phone: told.Phone, Address: told.Address, Place: "632723",
			Nationality: "CHN", Life: registry.LifeLiving, Police: "00", Ministry: "unsent",
			Stamp: registry.Stamp{Version: 1, At: registrytest.Start, By: clerk.Operator, On: clerk.Workstation},
		}, added)
		require.EqualValues(t, 7, added.ID.Version())

		byID, err := db.PersonByID(t.Context(), added.ID)
		require.NoError(t, err)
		require.Equal(t, added, byID)
		byNumber, err := db.PersonByIDNumber(t.Context(), number)
		require.NoError(t, err)
		require.Equal(t, added, byNumber)
		for _, typed := range []string{"扎西·多杰", "扎西・多杰", " 扎西 . 多杰 "} {
			byName, err := db.PersonsByName(t.Context(), typed)
			require.NoError(t, err)
			require.Equal(t, []registry.Person{added}, byName, typed)
		}
		require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			inside, err := tx.PersonByID(added.ID)
			require.Equal(t, added, inside)
			return errors.Join(err, note(tx))
		}))

		_, err = db.PersonByID(t.Context(), uuid.New())
		require.ErrorIs(t, err, registry.ErrNotFound)
		_, err = db.PersonByIDNumber(t.Context(), gb.IDNumber{})
		require.ErrorIs(t, err, registry.ErrNotFound)
		without, err := db.PersonsByName(t.Context(), "扎西多杰")
		require.NoError(t, err)
		require.Equal(t, []registry.Person{added}, without, "the dot is not asked for")
		none, err := db.PersonsByName(t.Context(), "扎西卓玛")
		require.NoError(t, err)
		require.Empty(t, none)
		_, err = db.PersonsByName(t.Context(), " ")
		require.ErrorIs(t, err, registry.ErrInvalid)
	})
}

func TestNamesakesAndBareFields(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		var namesakes []registry.Person
		for sequence := range 3 {
			namesakes = append(namesakes, addPerson(t, db, registry.NewPerson{
				IDNumber: idNumber(t, "630121", "1890-01-01", sequence), Name: "马海龙", Sex: "9", Ethnic: "03", Place: "630121",
			}))
		}
		found, err := db.PersonsByName(t.Context(), "马海龙")
		require.NoError(t, err)
		require.Equal(t, namesakes, found)
		require.Equal(t, gb.SexNotStated, found[0].Sex)
		require.Empty(t, found[0].Phone+found[0].Address+found[0].NameTibetan)
	})
}

func TestIdentityNumberIsRegisteredOnce(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		told := herderPerson(t)
		addPerson(t, db, told)
		told.Name = "另一人"
		err := db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			_, err := tx.AddPerson(told)
			return err
		})
		require.ErrorIs(t, err, registry.ErrDuplicate)
		var refused *registry.Error
		require.ErrorAs(t, err, &refused)
		require.Contains(t, refused.Constraint, "id_number")
		require.EqualValues(t, 1, rows(t, db, "persons"))
	})
}

func TestPersonRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil func(*registry.NewPerson)
		field string
	}{
		"check digit":    {func(p *registry.NewPerson) { p.IDNumber = p.IDNumber[:17] + flip(p.IDNumber[17:]) }, "idNumber"},
		"no number":      {func(p *registry.NewPerson) { p.IDNumber = "" }, "idNumber"},
		"no name":        {func(p *registry.NewPerson) { p.Name = " " }, "name"},
		"control":        {func(p *registry.NewPerson) { p.Name = "扎\x00西" }, "name"},
		"endless name":   {func(p *registry.NewPerson) { p.Name = strings.Repeat("扎", 51) }, "name"},
		"Tibetan":        {func(p *registry.NewPerson) { p.NameTibetan = "扎西" }, "nameTibetan"},
		"Tibetan NUL":    {func(p *registry.NewPerson) { p.NameTibetan = "བ\x00" }, "nameTibetan"},
		"sex":            {func(p *registry.NewPerson) { p.Sex = "3" }, "sex"},
		"ethnic":         {func(p *registry.NewPerson) { p.Ethnic = "57" }, "ethnic"},
		"phone":          {func(p *registry.NewPerson) { p.Phone = "打电话" }, "phone"},
		"address":        {func(p *registry.NewPerson) { p.Address = strings.Repeat("乡", 201) }, "address"},
		"address bytes":  {func(p *registry.NewPerson) { p.Address = "\xff" }, "address"},
		"unknown place":  {func(p *registry.NewPerson) { p.Place = "632799" }, "place"},
		"former place":   {func(p *registry.NewPerson) { p.Place = "632121" }, "place"},
		"place no digit": {func(p *registry.NewPerson) { p.Place = "称多县" }, "place"},
	}
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		for name, c := range cases {
			told := herderPerson(t)
			c.spoil(&told)
			err := db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
				_, err := tx.AddPerson(told)
				return err
			})
			require.ErrorIs(t, err, registry.ErrInvalid, name)
			var field *registry.FieldError
			require.ErrorAs(t, err, &field, name)
			require.Equal(t, c.field, field.Field, name)
			require.NotEmpty(t, field.ZH, name)
		}
		require.Zero(t, rows(t, db, "persons"))
	})
}

func flip(digit string) string {
	if digit == "0" {
		return "1"
	}
	return "0"
}

func TestReadingIsRecorded(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		person := addPerson(t, db, herderPerson(t))
		require.NoError(t, db.RecordRead(t.Context(), herder, "search", person.ID))
		require.NoError(t, db.RecordRead(t.Context(), herder, "search"))
		trail, err := db.AuditTrail(t.Context(), "person:"+person.ID.String())
		require.NoError(t, err)
		require.Len(t, trail, 2)
		for _, record := range trail {
			if record.Action == "person.read" {
				require.Equal(t, herder, record.Actor)
				require.Equal(t, map[string]string{"purpose": "search"}, record.Detail)
			}
		}
		trail, err = db.AuditTrail(t.Context(), "person")
		require.NoError(t, err)
		require.Len(t, trail, 1)
		require.Equal(t, "0", trail[0].Detail["found"])
	})
}

// TestSealedValuesStayInTheirPlace: a value moved to another row, or to another
// column, does not open.
func TestSealedValuesStayInTheirPlace(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		db := registrytest.Open(t, registrytest.Config(dsn, registrytest.NewClock()))
		first := addPerson(t, db, herderPerson(t))
		second := addPerson(t, db, registry.NewPerson{
			IDNumber: idNumber(t, "630121", "1890-01-01", 2), Name: "马海龙", Phone: "13900000002", Ethnic: "03", Place: "630121",
		})
		admin := raw(t, dsn)
		_, err := admin.ExecContext(t.Context(), "UPDATE persons SET phone_sealed = (SELECT phone_sealed FROM persons WHERE id = '"+
			first.ID.String()+"') WHERE id = '"+second.ID.String()+"'")
		require.NoError(t, err)
		_, err = db.PersonByID(t.Context(), second.ID)
		require.ErrorContains(t, err, "persons.phone")
		_, err = admin.ExecContext(t.Context(), "UPDATE persons SET address_sealed = phone_sealed WHERE id = '"+first.ID.String()+"'")
		require.NoError(t, err)
		_, err = db.PersonByID(t.Context(), first.ID)
		require.ErrorContains(t, err, "persons.address")
	})
}

func TestDivisionsAreLoaded(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		config := registrytest.Config(dsn, registrytest.NewClock())
		db := registrytest.Open(t, config)
		name := func(code string) (name string) {
			require.NoError(t, db.Read(t.Context()).Table("divisions").Where("code = ?", code).Pluck("name", &name).Error)
			return name
		}
		require.Equal(t, "大通回族土族自治县", name("630121"), "the last of its names")
		var successor string
		require.NoError(t, db.Read(t.Context()).Table("divisions").Where("code = '632321'").Pluck("successor", &successor).Error)
		require.Equal(t, "632301", successor)

		before := rows(t, db, "divisions")
		admin := raw(t, dsn)
		for _, statement := range []string{"UPDATE divisions SET name = '旧名' WHERE code = '632803'", "DELETE FROM divisions WHERE code = '630111'"} {
			_, err := admin.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		db = registrytest.Open(t, config)
		require.Equal(t, "茫崖市", name("632803"))
		require.Equal(t, before, rows(t, db, "divisions"))
	})
}

func TestPrefecture(t *testing.T) {
	t.Parallel()
	prefecture, err := registry.Prefecture("632857")
	require.NoError(t, err)
	require.Equal(t, "632800", prefecture)
	_, err = registry.Prefecture("6328")
	require.ErrorIs(t, err, registry.ErrInvalid)
}
