package registry_test

import (
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
	"onecard/registry"
	"onecard/registry/audit"
	"onecard/registry/registrytest"
)

// BenchmarkAuditVerify verifies 400,000 entries in eight chains: of the live
// database and of an export. entries/core-s counts the processor time of this
// process, as getrusage has it; the PostgreSQL server's own comes on top, and
// shows in entries/s.
func BenchmarkAuditVerify(b *testing.B) {
	const entries, perTransaction = 400_000, 1000
	dsns := map[string]string{"postgres": pgtest.DSN(b), "sqlite": "sqlite:" + filepath.Join(b.TempDir(), "audit.db")}
	for name, dsn := range dsns {
		db := registrytest.Open(b, registrytest.Config(dsn, registrytest.NewClock()))
		for i := range entries / perTransaction {
			actor := registry.Actor{Operator: "u-018f6f6e", Workstation: "W-O630102-01", Place: []string{"630102", "630103", "630104", "630105", "630121", "630122", "630123", "632723"}[i%8]}
			require.NoError(b, db.InTx(b.Context(), actor, func(tx *registry.Tx) error {
				for j := range perTransaction {
					subject := "card:018f6f6e-7c1a-7e3f-8a5b-" + strconv.Itoa(100000000000+i*perTransaction+j)
					if err := tx.Audit("card.status", subject, map[string]string{"event": "activate", "from": "0", "to": "1"}); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		b.Run(name, func(b *testing.B) {
			perCore(b, entries, func() (*audit.Report, error) { return db.CheckAudit(b.Context(), nil, nil) })
		})
		if name == "postgres" {
			o := newNotary(b)
			dir := filepath.Join(b.TempDir(), "export")
			_, err := db.ExportAudit(b.Context(), dir, o.sign)
			require.NoError(b, err)
			b.Run("export", func(b *testing.B) {
				perCore(b, entries, func() (*audit.Report, error) { return audit.VerifyExport(dir, o.roots, nil) })
			})
		}
	}
}

func perCore(b *testing.B, entries int, verify func() (*audit.Report, error)) {
	before, began := processorTime(b), time.Now()
	for range b.N {
		report, err := verify()
		require.NoError(b, err)
		require.NoError(b, report.Join())
		require.EqualValues(b, entries, report.Entries)
	}
	total := float64(entries) * float64(b.N)
	b.ReportMetric(total/(processorTime(b)-before).Seconds(), "entries/core-s")
	b.ReportMetric(total/time.Since(began).Seconds(), "entries/s")
	b.ReportMetric(0, "ns/op")
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
