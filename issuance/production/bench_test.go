package production_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/card"
	"onecard/card/chip"
	"onecard/internal/gb"
	"onecard/internal/memory"
	"onecard/issuance"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// BenchmarkPrepare prepares one batch (chips bound, intentions stored, keys
// wrapped, file sealed and signed), and then its file once more from what is
// bound, beside the keeper's bare wrapping of the same keys. It reports the ratio
// of both to that, and the most memory in use. The number
// of cards is PRODUCTION_CARDS, 2000 by default; it is one run: -benchtime 1x.
// PRODUCTION_DATABASE is a DSN of PostgreSQL in the place of SQLite.
func BenchmarkPrepare(b *testing.B) {
	memory.Relax(0)
	n := 2000
	if text := os.Getenv("PRODUCTION_CARDS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	dsn := "sqlite:" + b.TempDir() + "/registry.db"
	if other := os.Getenv("PRODUCTION_DATABASE"); other != "" {
		dsn = other
	}
	clock := registrytest.NewClock()
	config := registrytest.Config(dsn, clock)
	keeper, err := province.keeper()
	require.NoError(b, err)
	config.Vault = keeper // the true one
	w := newWorld(b, registrytest.Open(b, config), clock)
	require.NoError(b, w.Approve(b.Context(), supervisor, supplier(int64(n)), "批复"))
	w.fill(b, n)
	bare := w.bare(b, n)
	runtime.GC()
	for b.Loop() {
		peak, stop := watchMemory()
		began := time.Now()
		file, err := w.Send(b.Context(), producer, "B-1")
		took := time.Since(began)
		stop()
		require.NoError(b, err)
		require.EqualValues(b, n, file.Records)
		// The file alone, from what is bound: the first one is lost.
		require.NoError(b, os.Remove(filepath.Join(w.config.Dir, file.Name)))
		began = time.Now()
		file, err = w.Send(b.Context(), producer, "B-1")
		again := time.Since(began)
		require.NoError(b, err)
		require.EqualValues(b, n, file.Records)
		b.ReportMetric(float64(n)/again.Seconds(), "file-cards/s")
		b.ReportMetric(bare.Seconds()/again.Seconds(), "file-ratio")
		b.ReportMetric(float64(n)/took.Seconds(), "cards/s")
		b.ReportMetric(float64(n)/bare.Seconds(), "bare-cards/s")
		b.ReportMetric(bare.Seconds()/took.Seconds(), "ratio")
		b.ReportMetric(float64(peak())/(1<<20), "peak-MiB")
		b.ReportMetric(float64(file.Size)/(1<<20), "file-MiB")
		b.ReportMetric(0, "ns/op")
	}
}

// bare wraps the keys of so many cards and does nothing else.
func (w *world) bare(b *testing.B, n int) time.Duration {
	p := province.profiles[0]
	var names []card.Key
	for _, slot := range card.KeySlots(p) {
		names = append(names, card.Key{Name: slot.Key, Version: 1})
	}
	began := time.Now()
	for from := 0; from < n; from += 250 {
		cards := make([][][]byte, min(250, n-from))
		for i := range cards {
			cards[i] = [][]byte{[]byte("639900sx"), fmt.Appendf(nil, "%08d", from+i)}
		}
		_, err := w.config.Keeper.WrapCards(b.Context(), card.Key{Name: "KTK"}, names, cards)
		require.NoError(b, err)
	}
	return time.Since(began)
}

// watchMemory notes the most heap in use.
func watchMemory() (peak func() uint64, stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	var most uint64
	go func() {
		defer close(ended)
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapInuse)
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() uint64 { return most }, func() { close(done); <-ended }
}

// fill makes a batch of n that is ready for production, by the shortest way.
func (w *world) fill(b *testing.B, n int) {
	birth, err := gb.ParseDate("1981-05-01")
	require.NoError(b, err)
	batch := uuid.New()
	w.change(b, func(tx *registry.Tx) error {
		return tx.DB().Exec("INSERT INTO batches (id, number, kind, supplier, card_type, place, most, state, size, ordered_by, lease_until, created_at, changed_at, changed_by, changed_on, change_reason) VALUES (?, 'B-1', 'normal', 'lab-300', '3', '630000', ?, 'open', ?, 'chenbin', ?, ?, ?, '', '', '')",
			batch, n, n, tx.Now(), tx.Now(), tx.Now()).Error
	})
	var last uuid.UUID
	for from := 0; from < n; from += 500 {
		rows := make([]registry.LoadRow, min(500, n-from))
		for i := range rows {
			k := from + i
			area := fmt.Sprintf("63%02d%02d", 1+k/1000%90, 1+k/90000%90)
			number, err := gb.NewIDNumber(area, birth, k%1000)
			require.NoError(b, err)
			told := registry.NewPerson{IDNumber: number.String(), Name: "扎西·多杰", Ethnic: "04", Place: "632723"}
			rows[i].Person, err = told.Check()
			require.NoError(b, err)
		}
		_, err := w.db.Load(b.Context(), registry.Actor{Operator: "admin", Place: "630000"}, "bench", rows, nil)
		require.NoError(b, err)
		var people []uuid.UUID
		require.NoError(b, w.db.Read(b.Context()).Table("persons").Order("id").Where("id > ?", last).Limit(len(rows)).Pluck("id", &people).Error)
		require.Len(b, people, len(rows))
		last = people[len(people)-1]
		applications := make([]uuid.UUID, len(people))
		w.change(b, func(tx *registry.Tx) error {
			for i, person := range people {
				applications[i] = uuid.New()
				err := tx.DB().Exec("INSERT INTO applications (id, person_id, kind, place, state, entered_by, reason, created_at, changed_at, method) VALUES (?, ?, 'first', '632723', 'applied', 'caiwang', '', ?, ?, 'batch')",
					applications[i], person, tx.Now(), tx.Now()).Error
				if err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(b, w.db.InTx(b.Context(), registry.Actor{Operator: "lihong", Place: "632723"}, func(tx *registry.Tx) error {
			scope, err := w.db.Scope(tx.Context(), "630000")
			if err != nil {
				return err
			}
			approved, err := w.config.Issuance.FireAll(tx, applications, issuance.Asked{Event: issuance.EventApprove, Roles: []string{registry.RoleReviewer}}, scope, issuance.ErrNoRight)
			if err != nil {
				return err
			}
			return w.fillRows(tx, batch, from, approved)
		}))
	}
	w.change(b, func(tx *registry.Tx) error {
		if err := tx.DB().Exec("UPDATE applications SET state = 'batched'").Error; err != nil {
			return err
		}
		for _, state := range []string{"ordered", "banked"} {
			if err := tx.DB().Exec("UPDATE batches SET state = ?", state).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) fillRows(tx *registry.Tx, batch uuid.UUID, from int, approved []issuance.Outcome) error {
	for i, outcome := range approved {
		if outcome.Refused != nil {
			return outcome.Refused
		}
		k, a := from+i, outcome.Application
		serial := [4]byte{1, byte(k >> 16), byte(k >> 8), byte(k)}
		image, err := chip.Blank(province.profiles[0], serial, transport)
		if err != nil {
			return err
		}
		for _, statement := range []struct {
			text   string
			values []any
		}{
			{"INSERT INTO batch_items (batch_id, seq, kind, application_id, person_id, card_number, state, changed_at) VALUES (?, ?, 'normal', ?, ?, ?, 'accounted', ?)",
				[]any{batch, k + 1, a.ID, a.PersonID, a.CardNumber, tx.Now()}},
			{"INSERT INTO production_chips (atr, supplier, chip_prefix, list_digest, state, changed_at) VALUES (?, 'lab-300', ?, ?, 'free', ?)",
				[]any{fmt.Sprintf("%X", []byte(image.ATR)), fmt.Sprintf("%X", []byte(image.Records["SSSE/EF05"][0][:12])), hex.EncodeToString(make([]byte, 32)), tx.Now()}},
		} {
			if err := tx.DB().Exec(statement.text, statement.values...).Error; err != nil {
				return err
			}
		}
	}
	return nil
}
