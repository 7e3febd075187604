package bank_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance/bank"
	"onecard/registry"

	sim "onecard/internal/sim/bank"
)

// batch enters applications and makes the file of their accounts.
func (w *world) batch(t *testing.T, name, out string, n int) (path string, applications []uuid.UUID) {
	t.Helper()
	for range n {
		id, _ := w.application(t, "ཚེ་རིང་ 才让·卓玛𠅤")
		applications = append(applications, id)
	}
	w.open(t, name, applications...)
	made, err := w.MakeFile(t.Context(), clerk, code, name, out)
	require.NoError(t, err)
	require.EqualValues(t, n, made.Rows)
	return made.Path, applications
}

// TestFiles: a batch goes out as one file and comes back as accounts, each
// once; again changes nothing; what the bank refuses or mixes up leaves the
// batch with a reason; a lost file is made anew with the same orders.
func TestFiles(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		out, back := t.TempDir(), t.TempDir()
		path, applications := w.batch(t, "B1", out, 7)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotContains(t, string(content), "才让")
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		again, err := w.MakeFile(t.Context(), clerk, code, "B1", out)
		require.NoError(t, err)
		require.True(t, again.Again)
		_, err = w.bank.OpenFile(path, back)
		require.NoError(t, err)
		require.NoError(t, os.Remove(path))
		anew, err := w.MakeFile(t.Context(), clerk, code, "B1", out)
		require.NoError(t, err)
		require.NotEqual(t, path, anew.Path)
		more, _ := w.application(t, "后来")
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error {
			_, err := w.OpenAccounts(tx, code, "B1", more)
			return err
		}), registry.ErrInvalid)

		answer, err := w.bank.OpenFile(anew.Path, back)
		require.NoError(t, err)
		taken, err := w.TakeFile(t.Context(), answer)
		require.NoError(t, err)
		require.Equal(t, bank.Taken{Kind: "account-return", Bank: code, Batch: "B1", Rows: 7, Done: 7}, taken)
		taken, err = w.TakeFile(t.Context(), answer)
		require.NoError(t, err)
		require.True(t, taken.Again)
		require.Equal(t, len(applications), w.count(t, "bank_accounts", "state = 'preopened' AND application_id IN ?", applications))
		require.Len(t, w.bank.Accounts(), 7, "the second file opened nothing")
		w.agrees(t)

		_, err = w.MakeFile(t.Context(), clerk, code, "B9", out)
		require.ErrorIs(t, err, bank.ErrNoOrders)
	})
}

// TestReturnRowByRow: rows that do not match leave with a reason and are undone
// at the bank; the others are taken.
func TestReturnRowByRow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		out, back := t.TempDir(), t.TempDir()
		path, _ := w.batch(t, "B2", out, 6)
		w.bank.SetFaults(sim.Faults{Repeat: 100}) // the last row is the first one again
		w.bank.Forge(func(_ *string, rows [][]string) [][]string {
			rows[1][2] = "别人"
			rows[2][4] = rows[2][4][:18] + string('0'+(rows[2][4][18]-'0'+1)%10)
			rows[3][4] = rows[0][4]
			return rows
		})
		answer, err := w.bank.OpenFile(path, back)
		require.NoError(t, err)
		w.bank.SetFaults(sim.Faults{})
		taken, err := w.TakeFile(t.Context(), answer)
		require.NoError(t, err)
		require.EqualValues(t, []int64{2, 4}, []int64{taken.Done, taken.Bad})
		outcomes, err := w.Outcomes(t.Context(), code, "B2")
		require.NoError(t, err)
		require.Len(t, outcomes, 4)
		require.Contains(t, outcomes[0].Reason, "姓名")
		require.Contains(t, outcomes[1].Reason, "账号")
		require.Contains(t, outcomes[2].Reason, "他人")
		require.Contains(t, outcomes[3].Reason, "重复")
		w.settle(t)
		w.agrees(t)
		require.Equal(t, 3, w.count(t, "bank_orders", "operation = 'account.open' AND state = 'reversed'"))
		require.Equal(t, 3, w.count(t, "bank_orders", "operation = 'account.open' AND state = 'done'"), "the one left out was asked about")
	})
}

// TestFileRefused: a file that is not whole, altered, signed by another or of
// another batch changes nothing.
func TestFileRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		out, back := t.TempDir(), t.TempDir()
		path, _ := w.batch(t, "B3", out, 3)
		w.bank.SetFaults(sim.Faults{HalfFile: 100})
		half, err := w.bank.OpenFile(path, back)
		require.NoError(t, err)
		w.bank.SetFaults(sim.Faults{})
		w.clock.Advance(time.Second)
		whole, err := w.bank.OpenFile(path, back)
		require.NoError(t, err)
		good, err := os.ReadFile(whole)
		require.NoError(t, err)
		lines := bytes.Split(bytes.TrimSpace(good), []byte("\n"))
		write := func(name string, lines ...[]byte) string {
			path := filepath.Join(t.TempDir(), name)
			require.NoError(t, os.WriteFile(path, append(bytes.Join(lines, []byte("\n")), '\n'), 0o600))
			return path
		}
		own, err := os.ReadFile(path)
		require.NoError(t, err)
		name := filepath.Base(whole)
		for want, file := range map[string]string{
			"signature":  half,
			"empty":      empty(t, name),
			"count":      write(name, lines[0], lines[len(lines)-1]),
			"record":     write(name, lines[0], lines[1], lines[1], lines[len(lines)-1]),
			"sealed":     write(name, lines[0], []byte("x"), lines[len(lines)-1]),
			"digest":     write(strings.Replace(name, name[len(name)-20:len(name)-4], "0000000000000000", 1), lines...),
			"name":       write("hello.ocf", lines...),
			"kind":       write("account-open_95533_B3_"+strings.Repeat("0", 64)+".ocf", own),
			"batch":      w.forged(t, path, func(batch *string, rows [][]string) [][]string { *batch = "B4"; return rows }),
			"count-open": w.forged(t, path, func(_ *string, rows [][]string) [][]string { return rows[1:] }),
			"row":        w.forged(t, path, func(_ *string, rows [][]string) [][]string { rows[0][5] = "maybe"; return rows }),
		} {
			_, err := w.TakeFile(t.Context(), file)
			var refused *bank.FileError
			require.True(t, errors.As(err, &refused), "%s: %v", want, err)
			require.Equal(t, strings.TrimSuffix(want, "-open"), refused.Code, want)
		}
		require.Zero(t, w.count(t, "bank_accounts", "1 = 1"))
		require.Zero(t, w.count(t, "bank_files", "kind <> 'account-open'"))
		taken, err := w.TakeFile(t.Context(), whole)
		require.NoError(t, err)
		require.EqualValues(t, 3, taken.Done)
	})
}

// forged is the return of an opening file as a forger at the bank would write it.
func (w *world) forged(t *testing.T, path string, alter func(batch *string, rows [][]string) [][]string) string {
	t.Helper()
	w.bank.Forge(alter)
	defer w.bank.Forge(nil)
	answer, err := w.bank.OpenFile(path, t.TempDir())
	require.NoError(t, err)
	return answer
}

func empty(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	return path
}

// TestFilesAndCrashes: a process that dies at any transaction of making or
// taking a file leaves it so that the next one ends it, once.
func TestFilesAndCrashes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		out, back := t.TempDir(), t.TempDir()
		line := &badLine{Wire: bank.Dial(w.peer)}
		died := 0
		until := func(work func() error) {
			t.Helper()
			for left := range 8 {
				process := w.process(t, line, left/2, left%2 == 0)
				err := work()
				if !process.dead {
					require.NoError(t, err)
					return
				}
				died++
			}
			require.Fail(t, "it never ends")
		}
		var applications []uuid.UUID
		for range 5 {
			id, _ := w.application(t, "卓玛")
			applications = append(applications, id)
		}
		w.open(t, "B5", applications...)
		var path, answer string
		until(func() error {
			made, err := w.MakeFile(t.Context(), clerk, code, "B5", out)
			path = made.Path
			return err
		})
		var err error
		answer, err = w.bank.OpenFile(path, back)
		require.NoError(t, err)
		until(func() error { _, err := w.TakeFile(t.Context(), answer); return err })
		statement, err := w.bank.Statement(w.today(), back)
		require.NoError(t, err)
		var taken bank.Taken
		until(func() error { taken, err = w.TakeFile(t.Context(), statement); return err })
		require.EqualValues(t, 5, taken.Day.Agreed)
		require.Greater(t, died, 5)
		w.agrees(t)
		require.Equal(t, 5, w.count(t, "bank_accounts", "1 = 1"))
		leftovers, err := filepath.Glob(filepath.Join(out, ".part*"))
		require.NoError(t, err)
		require.Empty(t, leftovers)
	})
}

// TestJoinedSideBySide: batches of a bank are filled beside each other, and no file
// is made of one while anybody joins it.
func TestJoinedSideBySide(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		if w.db.Read(t.Context()).Name() != "postgres" {
			t.Skip("the embedded database has one writer")
		}
		var ids []uuid.UUID
		for range 3 {
			id, _ := w.application(t, "卓玛")
			ids = append(ids, id)
		}
		w.open(t, "B1", ids[0])
		out := t.TempDir()
		w.change(t, func(tx *registry.Tx) error {
			_, err := w.OpenAccounts(tx, code, "B1", ids[1])
			require.NoError(t, err)
			w.open(t, "B2", ids[2])
			short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err = w.MakeFile(short, clerk, code, "B1", out)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			return nil
		})
		made, err := w.MakeFile(t.Context(), clerk, code, "B1", out)
		require.NoError(t, err)
		require.EqualValues(t, 2, made.Rows)
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error {
			_, err := w.OpenAccounts(tx, code, "B1", ids[2])
			return err
		}), registry.ErrInvalid)
	})
}
