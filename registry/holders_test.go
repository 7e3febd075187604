package registry_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// in runs a change as a supervisor.
func in(t *testing.T, db *registry.DB, change func(tx *registry.Tx) error) error {
	t.Helper()
	return db.InTx(t.Context(), supervisor, change)
}

func date(t *testing.T, text string) gb.Date {
	t.Helper()
	day, err := gb.ParseDate(text)
	require.NoError(t, err)
	return day
}

// picture is a JPEG of a size; seed makes it another one.
func picture(t testing.TB, width, height int, seed byte) []byte {
	t.Helper()
	canvas := image.NewRGBA(image.Rect(0, 0, width, height))
	for x := range width {
		for y := range height {
			canvas.Set(x, y, color.RGBA{byte(x/8) * 8, byte(y/8) * 8, seed, 255})
		}
	}
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, canvas, nil))
	return b.Bytes()
}

// withComment puts a comment segment behind a JPEG's beginning.
func withComment(picture []byte, text string) []byte {
	segment := append([]byte{0xFF, 0xFE, 0, byte(len(text) + 2)}, text...)
	return append(append(append([]byte{}, picture[:2]...), segment...), picture[2:]...)
}

func attach(t *testing.T, db *registry.DB, person uuid.UUID, kind string, content []byte) registry.Attachment {
	t.Helper()
	checked, err := registry.CheckContent(kind, content)
	require.NoError(t, err)
	var made registry.Attachment
	require.NoError(t, in(t, db, func(tx *registry.Tx) (err error) {
		made, err = tx.Attach(person, checked, "到场拍摄")
		return err
	}))
	return made
}

// minor is a child with all that a file may hold; parent is registered.
func minor(t *testing.T, db *registry.DB) (child, parent registry.Person) {
	t.Helper()
	parent = addPerson(t, db, herderPerson(t))
	told := herderPerson(t)
	told.IDNumber, told.Name, told.Household, told.HouseholdRole = idNumber(t, "632723", "2015-06-01", 7), "尕藏卓玛", "H-7788", "女"
	child = addPerson(t, db, told)
	require.NoError(t, in(t, db, func(tx *registry.Tx) error {
		if err := tx.PutAddress(child.ID, registry.Address{Kind: "residence", Place: "632723", Locality: "632723100", Text: "称文镇白塔路一号", Postcode: "815100"}, "入学登记"); err != nil {
			return err
		}
		if err := tx.PutGuardian(child.ID, registry.Guardian{Relation: "father", Proof: "household-book", Name: parent.Name, Number: parent.Number()}, "户口簿"); err != nil {
			return err
		}
		mother := registry.Guardian{Relation: "mother", Proof: "birth-certificate", Name: "才让吉", Number: idNumber(t, "632723", "1990-02-03", 4)}
		if err := tx.PutGuardian(child.ID, mother, "出生证"); err != nil {
			return err
		}
		return tx.PutGroup(child.ID, "farmer-herder", date(t, "2015-06-01"), gb.Date{}, "农牧民家庭")
	}))
	return child, parent
}

// TestHolderFile: what belongs to a file besides the person, as it stands and
// as it stood.
func TestHolderFile(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		child, parent := minor(t, db)
		then := clock.Now()
		read, err := db.PersonByID(t.Context(), child.ID)
		require.NoError(t, err)
		require.Equal(t, "H-7788", read.Household)
		clock.Advance(time.Hour)
		require.NoError(t, in(t, db, func(tx *registry.Tx) error {
			if err := tx.PutAddress(child.ID, registry.Address{Kind: "residence", Text: "西宁市昆仑路二号"}, "迁居"); err != nil {
				return err
			}
			if err := tx.PutGroup(child.ID, "farmer-herder", date(t, "2015-06-01"), date(t, "2026-03-01"), "转为城镇居民"); err != nil {
				return err
			}
			return tx.PutGuardian(child.ID, registry.Guardian{Relation: "father", Proof: "other", Name: parent.Name, Number: parent.Number(), Until: date(t, "2026-03-01")}, "监护终止")
		}))
		for at, want := range map[time.Time]struct {
			address string
			until   string
			proof   string
		}{
			then:        {"称文镇白塔路一号", "", "household-book"},
			clock.Now(): {"西宁市昆仑路二号", "2026-03-01", "other"},
		} {
			addresses, err := db.AddressesAt(t.Context(), child.ID, at)
			require.NoError(t, err)
			require.Len(t, addresses, 1)
			require.Equal(t, want.address, addresses[0].Text)
			groups, err := db.GroupsAt(t.Context(), child.ID, at)
			require.NoError(t, err)
			require.Len(t, groups, 1)
			require.Equal(t, "农牧民", groups[0].ZH)
			require.Equal(t, want.until, groups[0].Until.String())
			guardians, err := db.GuardiansAt(t.Context(), child.ID, at)
			require.NoError(t, err)
			require.Len(t, guardians, 2)
			require.Equal(t, parent.ID, *guardians[0].Person, "known by the number")
			require.Equal(t, parent.Number(), guardians[0].Number)
			require.Equal(t, want.proof, guardians[0].Proof)
			require.Equal(t, "才让吉", guardians[1].Name)
		}
		before, err := db.AddressesAt(t.Context(), child.ID, then.Add(-time.Second))
		require.NoError(t, err)
		require.Empty(t, before)

		values, err := db.Unmask(t.Context(), clerk, child.ID, []string{"householdNumber", "addresses", "guardians"}, "核对户口簿")
		require.NoError(t, err)
		require.Equal(t, "H-7788", values["householdNumber"])
		require.Equal(t, "西宁市昆仑路二号", values["addresses.residence"])
		require.Equal(t, parent.Number(), values["guardians.father"])
		trail, err := db.AuditTrail(t.Context(), "person:"+parent.ID.String())
		require.NoError(t, err)
		require.True(t, holdsAction(trail, "person.unmasked"), "the guardian's number was shown")

		for name, change := range map[string]func(tx *registry.Tx) error{
			"kind": func(tx *registry.Tx) error {
				return tx.PutAddress(child.ID, registry.Address{Kind: "castle", Text: "x"}, "r")
			},
			"address": func(tx *registry.Tx) error {
				return tx.PutAddress(child.ID, registry.Address{Kind: "work", Text: " "}, "r")
			},
			"postcode": func(tx *registry.Tx) error {
				return tx.PutAddress(child.ID, registry.Address{Kind: "work", Text: "x", Postcode: "12"}, "r")
			},
			"place": func(tx *registry.Tx) error {
				return tx.PutAddress(child.ID, registry.Address{Kind: "work", Text: "x", Place: "999999"}, "r")
			},
			"label": func(tx *registry.Tx) error { return tx.PutGroup(child.ID, "king", gb.Date{}, gb.Date{}, "r") },
			"until": func(tx *registry.Tx) error {
				return tx.PutGroup(child.ID, "retired", date(t, "2026-01-02"), date(t, "2026-01-01"), "r")
			},
			"reason": func(tx *registry.Tx) error { return tx.PutGroup(child.ID, "retired", gb.Date{}, gb.Date{}, "") },
			"relation": func(tx *registry.Tx) error {
				return tx.PutGuardian(child.ID, registry.Guardian{Relation: "aunt", Proof: "other"}, "r")
			},
			"proof": func(tx *registry.Tx) error {
				return tx.PutGuardian(child.ID, registry.Guardian{Relation: "other", Proof: "hearsay"}, "r")
			},
			"idNumber": func(tx *registry.Tx) error {
				return tx.PutGuardian(child.ID, registry.Guardian{Relation: "other", Proof: "other", Name: child.Name, Number: child.Number()}, "r")
			},
			"name": func(tx *registry.Tx) error {
				return tx.PutGuardian(child.ID, registry.Guardian{Relation: "other", Proof: "other", Name: "别人", Number: parent.Number()}, "r")
			},
		} {
			var field *registry.FieldError
			require.ErrorAs(t, in(t, db, change), &field, name)
			require.Equal(t, name, field.Field)
		}
		require.ErrorIs(t, in(t, db, func(tx *registry.Tx) error { return tx.PutGroup(uuid.New(), "retired", gb.Date{}, gb.Date{}, "r") }), registry.ErrNotFound)
	})
}

func holdsAction(trail []registry.AuditRecord, action string) bool {
	for _, record := range trail {
		if record.Action == action {
			return true
		}
	}
	return false
}

// TestAttachments: a photograph is cleaned, sealed, replaced and refused, and
// the same one under two persons is a case.
func TestAttachments(t *testing.T) {
	t.Parallel()
	first, other := picture(t, 358, 441, 10), picture(t, 358, 441, 200)
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		clock := registrytest.NewClock()
		db := registrytest.Open(t, registrytest.Config(dsn, clock))
		child, parent := minor(t, db)
		before := attach(t, db, child.ID, "photo", withComment(first, "GPS 33.0N 97.0E"))
		_, content, err := db.OpenAttachment(t.Context(), clerk, child.ID, before.ID, "")
		require.NoError(t, err)
		require.NotContains(t, string(content), "GPS")
		require.EqualValues(t, len(content), before.Size)
		clock.Advance(time.Hour)
		now := attach(t, db, child.ID, "photo", other)
		attachments, err := db.AttachmentsAt(t.Context(), child.ID, clock.Now())
		require.NoError(t, err)
		require.Equal(t, []string{"replaced", "valid"}, []string{attachments[0].State, attachments[1].State})
		attachments, err = db.AttachmentsAt(t.Context(), child.ID, registrytest.Start)
		require.NoError(t, err)
		require.Len(t, attachments, 1)
		require.Equal(t, "valid", attachments[0].State, "as it stood")

		cases, err := db.OpenCases(t.Context(), "630000", uuid.Nil, 9)
		require.NoError(t, err)
		require.Empty(t, cases)
		_, stored, err := db.OpenAttachment(t.Context(), clerk, child.ID, now.ID, "")
		require.NoError(t, err)
		attach(t, db, parent.ID, "photo", stored)
		cases, err = db.OpenCases(t.Context(), "630000", uuid.Nil, 9)
		require.NoError(t, err)
		require.Len(t, cases, 1, "what was stored once is known again")
		require.Equal(t, registry.RulePhoto, cases[0].Rule)
		pairs, err := db.ScanDuplicates(t.Context(), supervisor)
		require.NoError(t, err)
		require.Equal(t, 1, pairs, "the batch finds the same pair, and opens no second case")

		paper := attach(t, db, child.ID, "household-book", []byte("%PDF-1.7\n1 0 obj\n%%EOF\n"))
		_, _, err = db.OpenAttachment(t.Context(), clerk, child.ID, paper.ID, "")
		require.ErrorIs(t, err, registry.ErrInvalid, "a paper needs a reason")
		_, _, err = db.OpenAttachment(t.Context(), clerk, parent.ID, paper.ID, "r")
		require.ErrorIs(t, err, registry.ErrNotFound, "another's")
		trail, err := db.AuditTrail(t.Context(), "person:"+child.ID.String())
		require.NoError(t, err)
		require.True(t, holdsAction(trail, "attachment.read"))

		admin := raw(t, dsn)
		for _, column := range []string{"attachments_history", "attachments"} {
			var text []byte
			err := admin.QueryRowContext(t.Context(), "SELECT content_sealed FROM "+column).Scan(&text)
			if column == "attachments_history" {
				require.Error(t, err, "no second copy")
				continue
			}
			require.NoError(t, err)
			require.NotContains(t, string(text), "JFIF")
		}
		_, err = admin.ExecContext(t.Context(), "UPDATE attachments SET content_sealed = (SELECT content_sealed FROM attachments WHERE state = 'replaced') WHERE state = 'valid'")
		require.NoError(t, err)
		_, _, err = db.OpenAttachment(t.Context(), clerk, child.ID, now.ID, "")
		require.ErrorContains(t, err, "unseal", "it opens in its own row only")

		refuse := func() error {
			return in(t, db, func(tx *registry.Tx) error { return tx.RefuseAttachment(child.ID, now.ID, "照片不合格") })
		}
		require.NoError(t, refuse())
		require.ErrorIs(t, refuse(), registry.ErrNotFound)
	})
}

func TestCheckContent(t *testing.T) {
	t.Parallel()
	var large bytes.Buffer
	require.NoError(t, png.Encode(&large, image.NewPaletted(image.Rect(0, 0, 4000, 3001), color.Palette{color.White})))
	good := picture(t, 358, 441, 1)
	for name, c := range map[string]struct {
		kind    string
		content []byte
		field   string
		says    string
	}{
		"no such kind":       {"castle", good, "kind", "known kind"},
		"nothing":            {"photo", nil, "content", "1 byte"},
		"above the limit":    {"other", make([]byte, registry.MaxAttachment+1), "content", "4 MiB"},
		"a program":          {"photo", []byte("MZ\x90\x00"), "content", "jpeg, png"},
		"pdf as photograph":  {"photo", []byte("%PDF-1.4 %%EOF"), "content", "jpeg, png"},
		"pdf without end":    {"other", []byte("%PDF-1.4"), "content", "jpeg, png, pdf"},
		"another size":       {"photo", picture(t, 441, 358, 1), "content", "358×441"},
		"cut off":            {"photo", good[:len(good)/2], "content", "decoded"},
		"beginning only":     {"id-front", good[:20], "content", "decoded"},
		"too many pixels":    {"id-front", large.Bytes(), "content", "12 million"},
		"gif, which is none": {"other", []byte("GIF89a"), "content", "jpeg, png, pdf"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := registry.CheckContent(c.kind, c.content)
			var field *registry.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, c.field, field.Field)
			require.Contains(t, field.EN, c.says)
		})
	}
	require.Len(t, registry.AttachmentKinds(), 9)
}

// FuzzCheckContent: whatever is brought, the answer is a content or a field.
func FuzzCheckContent(f *testing.F) {
	f.Add("photo", picture(f, 358, 441, 1))
	f.Add("other", []byte("%PDF-1.4 %%EOF"))
	f.Add("other", []byte("\x89PNG\r\n\x1A\n"))
	f.Fuzz(func(t *testing.T, kind string, content []byte) {
		if _, err := registry.CheckContent(kind, content); err != nil {
			require.ErrorIs(t, err, registry.ErrInvalid)
		}
	})
}

// TestPhoneAndName: the same telephone number and name with another number.
func TestPhoneAndName(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		told := herderPerson(t)
		addPerson(t, db, told)
		told.IDNumber = idNumber(t, "630102", "1901-01-01", 3)
		addPerson(t, db, told)
		told.IDNumber, told.Name = idNumber(t, "630102", "1931-01-01", 3), "女儿"
		addPerson(t, db, told)
		for range 2 {
			cases, err := db.OpenCases(t.Context(), "630000", uuid.Nil, 9)
			require.NoError(t, err)
			require.Len(t, cases, 1)
			require.Equal(t, registry.RulePhoneName, cases[0].Rule)
			pairs, err := db.ScanDuplicates(t.Context(), supervisor)
			require.NoError(t, err)
			require.Equal(t, 1, pairs)
		}
	})
}

// TestTellName: what a peer was told is a version of its own only when it is
// another than before.
func TestTellName(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		person := addPerson(t, db, herderPerson(t))
		tell := func(bytes string) {
			require.NoError(t, in(t, db, func(tx *registry.Tx) error {
				if err := tx.TellName(person.ID, registry.PeerName{Peer: "bank", Encoding: "GBK", Bytes: []byte(bytes)}, "开户"); err != nil {
					return err
				}
				return note(tx)
			}))
		}
		for _, bytes := range []string{"\xd4\xfa", "\xd4\xfa", "\xce\xf7"} {
			tell(bytes)
			clock.Advance(time.Hour)
		}
		for at, want := range map[time.Time]registry.PeerName{
			registrytest.Start: {Bytes: []byte("\xd4\xfa"), Stamp: registry.Stamp{Version: 1}},
			clock.Now():        {Bytes: []byte("\xce\xf7"), Stamp: registry.Stamp{Version: 2}},
		} {
			names, err := db.PeerNamesAt(t.Context(), person.ID, at)
			require.NoError(t, err)
			require.Len(t, names, 1)
			require.Equal(t, want.Bytes, names[0].Bytes)
			require.Equal(t, want.Stamp.Version, names[0].Stamp.Version)
		}
		err := in(t, db, func(tx *registry.Tx) error { return tx.TellName(uuid.New(), registry.PeerName{Peer: "bank"}, "r") })
		require.ErrorIs(t, err, registry.ErrNotFound)
	})
}

// TestMergeMovesTheFile: everything goes over and comes back, and opens in both
// places.
func TestMergeMovesTheFile(t *testing.T) {
	t.Parallel()
	photo := picture(t, 358, 441, 77)
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		clock := registrytest.NewClock()
		db := registrytest.Open(t, registrytest.Config(dsn, clock))
		child, parent := minor(t, db)
		attach(t, db, child.ID, "photo", photo)
		told := herderPerson(t)
		told.IDNumber, told.Name = idNumber(t, "632723", "2015-06-02", 9), "尕藏卓么"
		kept := addPerson(t, db, told)
		require.NoError(t, in(t, db, func(tx *registry.Tx) error {
			if err := tx.TellName(child.ID, registry.PeerName{Peer: "bank", Encoding: "GBK", Bytes: []byte("\xb8\xc1"), Cut: true}, "开户"); err != nil {
				return err
			}
			return tx.PutGroup(kept.ID, "unemployed", gb.Date{}, gb.Date{}, "本人")
		}))
		seen := func(person uuid.UUID) []string {
			at := clock.Now()
			var all []string
			addresses, err := db.AddressesAt(t.Context(), person, at)
			require.NoError(t, err)
			for _, a := range addresses {
				all = append(all, a.Text)
			}
			guardians, err := db.GuardiansAt(t.Context(), person, at)
			require.NoError(t, err)
			for _, g := range guardians {
				all = append(all, g.Name)
			}
			groups, err := db.GroupsAt(t.Context(), person, at)
			require.NoError(t, err)
			for _, g := range groups {
				all = append(all, g.Label)
			}
			attachments, err := db.AttachmentsAt(t.Context(), person, at)
			require.NoError(t, err)
			for _, a := range attachments {
				_, content, err := db.OpenAttachment(t.Context(), clerk, person, a.ID, "r")
				require.NoError(t, err)
				require.NotEmpty(t, content)
				all = append(all, a.Kind.Kind)
			}
			names, err := db.PeerNamesAt(t.Context(), person, at)
			require.NoError(t, err)
			for _, n := range names {
				all = append(all, n.Peer+string(n.Bytes))
			}
			return all
		}
		whole := seen(child.ID)
		require.Len(t, whole, 6)
		merge := func(kept, absorbed uuid.UUID) (id uuid.UUID) {
			clock.Advance(time.Hour)
			require.NoError(t, in(t, db, func(tx *registry.Tx) (err error) {
				id, err = tx.MergePersons(kept, absorbed, "同一人")
				return err
			}))
			return id
		}
		undo := func(id uuid.UUID) {
			clock.Advance(time.Hour)
			require.NoError(t, in(t, db, func(tx *registry.Tx) error { return tx.UndoMerge(id, "误并") }))
		}
		for range 2 { // a second time the history has the keys of the first
			id := merge(kept.ID, child.ID)
			require.ElementsMatch(t, append(append([]string{}, whole...), "unemployed"), seen(kept.ID))
			require.Empty(t, seen(child.ID))
			require.ErrorIs(t, in(t, db, func(tx *registry.Tx) error { return tx.PutGroup(child.ID, "retired", gb.Date{}, gb.Date{}, "r") }), registry.ErrConflict)
			undo(id)
			require.Equal(t, whole, seen(child.ID))
			require.Equal(t, []string{"unemployed"}, seen(kept.ID))
		}
		for _, until := range []string{"2030-01-01", "2031-01-01", "2032-01-01"} { // a row of its own where another's had been
			require.NoError(t, in(t, db, func(tx *registry.Tx) error {
				return tx.PutGroup(kept.ID, "farmer-herder", gb.Date{}, date(t, until), "本人")
			}))
		}
		// The guardian's file goes into another: the ward's follows.
		told.IDNumber, told.Name = idNumber(t, "632723", "1888-05-03", 11), "扎西"
		better := addPerson(t, db, told)
		id := merge(better.ID, parent.ID)
		guardian := func() uuid.UUID {
			guardians, err := db.GuardiansAt(t.Context(), child.ID, clock.Now())
			require.NoError(t, err)
			return *guardians[0].Person
		}
		require.Equal(t, better.ID, guardian())
		undo(id)
		require.Equal(t, parent.ID, guardian())
		merge(child.ID, parent.ID) // a ward is no guardian of their own
		require.Equal(t, parent.ID, guardian())
	})
}

// TestEveryTableFollowsOrStays: whoever adds a table about a person says what
// becomes of its rows when two files are made one.
func TestEveryTableFollowsOrStays(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		registrytest.Open(t, registrytest.Config(dsn, registrytest.NewClock()))
		query := `SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'person_id'
			UNION SELECT m.name || '.' || f."from" FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' AND f."table" = 'persons'`
		if strings.HasPrefix(dsn, "postgres") {
			query = `SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = current_schema() AND column_name = 'person_id'
				UNION SELECT conrelid::regclass || '.' || a.attname FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
				WHERE c.contype = 'f' AND c.confrelid = 'persons'::regclass`
		}
		rows, err := raw(t, dsn).QueryContext(t.Context(), query)
		require.NoError(t, err)
		defer rows.Close()
		dealt := registry.Dealt()
		found := map[string]bool{}
		for rows.Next() {
			var column string
			require.NoError(t, rows.Scan(&column))
			if table, _, _ := strings.Cut(column, "."); strings.HasSuffix(table, "_history") {
				continue
			}
			found[column] = true
			require.Contains(t, dealt, column, "registry/follow.go does not say what becomes of it")
		}
		require.NoError(t, rows.Err())
		for column := range dealt {
			require.Contains(t, found, column, "registry/follow.go names what there is not")
		}
	})
}
