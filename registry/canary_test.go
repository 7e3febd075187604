package registry_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/internal/pgtest"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// TestPersonalDataStaysSealed plants personal data, makes everything go wrong
// that can, and then looks for it in the files of the database (for PostgreSQL
// the whole cluster with its log), in the log and in the errors.
func TestPersonalDataStaysSealed(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		directory := t.TempDir()
		searchForPlanted(t, "sqlite:"+filepath.Join(directory, "registry.db"), directory)
	})
	t.Run("postgres", func(t *testing.T) {
		cluster := pgtest.New(t)
		searchForPlanted(t, cluster.DSN(t), cluster.Directory())
	})
}

func searchForPlanted(t *testing.T, dsn, directory string) {
	var log bytes.Buffer
	config := registrytest.Config(dsn, registrytest.NewClock())
	config.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	db := registrytest.Open(t, config)
	staff(t, db)
	told := registry.NewPerson{
		IDNumber: idNumber(t, "632725", "1877-07-07", 77), Name: "更尕才仁·罗松桑毛", NameTibetan: "ཀུན་དགའ་ཚེ་རིང",
		Ethnic: "04", Phone: "13977707770", Address: "囊谦县香达镇金丝雀路七号", Place: "632725",
	}
	errs := misuse(t, db, told)
	checkpoint(t, dsn)

	planted := []string{told.IDNumber, told.Name, "更尕才仁", told.NameTibetan, told.Phone, told.Address, "金丝雀路"}
	text := errors.Join(errs...).Error() + "\n" + log.String()
	files := contents(t, directory)
	require.True(t, holds(files, hospital.Name), "the search finds what is stored in clear")
	for _, value := range planted {
		require.False(t, holds([]byte(text), value), "in an error or the log")
		require.False(t, holds(files, value), "in a file of the database")
	}
}

// misuse stores and reads the person and returns the errors of all that is
// then done wrong with the same values.
func misuse(t *testing.T, db *registry.DB, told registry.NewPerson) []error {
	t.Helper()
	person := addPerson(t, db, told)
	_, _, err := db.Once(t.Context(), clerk, "key", []byte(told.IDNumber+told.Name), func(tx *registry.Tx) (any, error) { return told, note(tx) })
	require.NoError(t, err)
	_, err = db.PersonByIDNumber(t.Context(), person.IDNumber)
	require.NoError(t, err)
	_, err = db.PersonsByName(t.Context(), told.Name)
	require.NoError(t, err)
	require.NoError(t, db.RecordRead(t.Context(), clerk, "search", person.ID))

	var errs []error
	wrong := func(change func(tx *registry.Tx) error) {
		err := db.InTx(t.Context(), clerk, change)
		require.Error(t, err)
		errs = append(errs, err)
	}
	add := func(spoil func(*registry.NewPerson)) {
		wrong(func(tx *registry.Tx) error {
			spoiled := told
			spoil(&spoiled)
			_, err := tx.AddPerson(spoiled)
			return err
		})
	}
	add(func(*registry.NewPerson) {}) // a second time
	add(func(p *registry.NewPerson) { p.IDNumber = p.IDNumber[:17] + flip(p.IDNumber[17:]) })
	add(func(p *registry.NewPerson) { p.Name += "\u200b" })
	add(func(p *registry.NewPerson) { p.NameTibetan += p.Name })
	add(func(p *registry.NewPerson) { p.Phone += p.Address })
	add(func(p *registry.NewPerson) { p.Address = strings.Repeat(p.Address, 50) })
	add(func(p *registry.NewPerson) { p.Place = p.IDNumber })
	wrong(func(tx *registry.Tx) error { // a CHECK: PostgreSQL tells the whole row in its log
		return tx.DB().Exec("UPDATE persons SET version = version + 1, sex = '5' WHERE id = ?", person.ID).Error
	})
	_, _, err = db.Once(t.Context(), clerk, "key", []byte(told.Name), func(tx *registry.Tx) (any, error) { return told, note(tx) })
	require.ErrorIs(t, err, registry.ErrKeyReused)
	_, err = db.Authenticate(t.Context(), told.IDNumber, told.Phone, counter1.ID)
	require.ErrorIs(t, err, registry.ErrSignIn)
	_, parseErr := gb.ParseIDNumber(told.IDNumber + "0")
	return append(errs, err, parseErr)
}

// checkpoint writes what the database holds in memory into its files.
func checkpoint(t *testing.T, dsn string) {
	t.Helper()
	statement := "CHECKPOINT"
	if strings.HasPrefix(dsn, "sqlite:") {
		statement = "PRAGMA wal_checkpoint(PASSIVE)"
	}
	_, err := raw(t, dsn).ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

func contents(t *testing.T, directory string) []byte {
	t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file of the server
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		all.Write(content)
		return err
	})
	require.NoError(t, err)
	return all.Bytes()
}

// holds looks for a value as it is, in hex and in Base64.
func holds(content []byte, value string) bool {
	for _, form := range []string{
		value, hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))),
		base64.StdEncoding.EncodeToString([]byte(value)),
	} {
		if bytes.Contains(content, []byte(form)) {
			return true
		}
	}
	return false
}

// TestErrorsHoldNoValues: PostgreSQL repeats values in messages and details.
func TestErrorsHoldNoValues(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		counters(t, db)
		for _, c := range []struct {
			statement string
			value     any
		}{
			{"INSERT INTO counters VALUES (?, 1), ('a', 1)", "planted"},
			{"INSERT INTO counters VALUES (?, 1), ('b', 1000)", "planted"},
			{"UPDATE counters SET name = name || ?, value = value / 0, nothing = 1", "planted"},
			{"INSERT INTO persons (id, name_index) VALUES (?, NULL)", "planted"},
		} {
			err := db.InTx(t.Context(), clerk, func(tx *registry.Tx) error { return tx.DB().Exec(c.statement, c.value).Error })
			require.Error(t, err, c.statement)
			for unwrapped := range chain(err) {
				require.NotContains(t, unwrapped.Error(), "planted", c.statement)
			}
			var refused *registry.Error
			require.ErrorAs(t, err, &refused, c.statement)
			require.NotEmpty(t, refused.Code)
		}
	})
}

// chain yields an error and everything it wraps.
func chain(err error) func(func(error) bool) {
	return func(yield func(error) bool) {
		var walk func(error) bool
		walk = func(err error) bool {
			if err == nil {
				return true
			}
			if !yield(err) {
				return false
			}
			switch wrapper := err.(type) {
			case interface{ Unwrap() error }:
				return walk(wrapper.Unwrap())
			case interface{ Unwrap() []error }:
				for _, inner := range wrapper.Unwrap() {
					if !walk(inner) {
						return false
					}
				}
			}
			return true
		}
		walk(err)
	}
}
