package terminal_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/terminal"
)

var noon = time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)

func visit(id uuid.UUID) terminal.Visit {
	return terminal.Visit{ID: id, Business: "pharmacy.purchase", PIN: "314159", Items: []terminal.Item{
		{Code: "YP1", Name: "感冒灵颗粒", Category: "A", Fen: 1000}, {Code: "YP2", Name: "棉签", Category: "own", Fen: 250},
	}}
}

func journal(t *testing.T, dir string) *terminal.Journal {
	t.Helper()
	j, err := terminal.OpenJournal(dir)
	require.NoError(t, err)
	return j
}

// TestJournal: what was begun is on the disk, and a program started anew finds
// it, until its end is known.
func TestJournal(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "journal")
	j := journal(t, dir)
	proof := uuid.New()
	first, err := j.Begin(noon, proof, visit(uuid.Nil))
	require.NoError(t, err)
	require.Equal(t, int64(1250), first.TotalFen)
	require.Equal(t, "2026-03-02", first.Date)
	require.Equal(t, proof, first.Proof)
	require.Len(t, first.Items, 2)
	id := uuid.New()
	second, err := j.Begin(noon, proof, visit(id))
	require.NoError(t, err)
	require.Equal(t, id, second.Id)
	require.Equal(t, first.Serial+1, second.Serial)

	open, err := j.Open()
	require.NoError(t, err)
	require.Empty(t, open, "somebody waits for both answers")
	j.Leave(first.Id)
	open, err = j.Open()
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{first.Id}, open)

	// The power goes: nobody waits any more.
	again := journal(t, dir)
	open, err = again.Open()
	require.NoError(t, err)
	require.ElementsMatch(t, []uuid.UUID{first.Id, second.Id}, open)
	_, err = again.Begin(noon, proof, visit(id))
	require.ErrorIs(t, err, terminal.ErrUnknownEnd, "a visit sent twice is one transaction")
	for range 2 {
		require.NoError(t, again.End(first.Id))
	}
	third, err := again.Begin(noon, proof, visit(uuid.Nil))
	require.NoError(t, err)
	require.Equal(t, second.Serial+1, third.Serial)
}

// TestJournalHoldsNothingPersonal reads what is on the disk.
func TestJournalHoldsNothingPersonal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	request, err := journal(t, dir).Begin(noon, uuid.New(), visit(uuid.Nil))
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, request.Id.String()+".json"))
	require.NoError(t, err)
	require.NotContains(t, string(text), "314159")
	info, err := os.Stat(filepath.Join(dir, request.Id.String()+".json"))
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077)
}

func TestJournalBroken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "serial"), []byte("x"), 0o600))
	_, err := journal(t, dir).Begin(noon, uuid.New(), visit(uuid.Nil))
	require.ErrorContains(t, err, "serial number")

	file := filepath.Join(t.TempDir(), "a file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = terminal.OpenJournal(file)
	require.ErrorContains(t, err, "open journal")

	// What is no transaction is left alone.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "page.address"), []byte("127.0.0.1:1\n"), 0o600))
	open, err := journal(t, dir).Open()
	require.NoError(t, err)
	require.Empty(t, open)
}
