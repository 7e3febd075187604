package registry_test

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/pki"
	"onecard/internal/signed"
	"onecard/registry"
	"onecard/registry/audit"
	"onecard/registry/registrytest"
)

// notary signs in the province's name.
type notary struct {
	t         testing.TB
	authority *pki.Authority
	roots     *x509.CertPool
	anchor    string
}

func newNotary(t testing.TB) *notary {
	authority, err := pki.Open(filepath.Join(t.TempDir(), "pki"), nil, func() time.Time { return registrytest.Start })
	require.NoError(t, err)
	o := &notary{t: t, authority: authority, roots: x509.NewCertPool()}
	require.True(t, o.roots.AppendCertsFromPEM(authority.CA()))
	return o
}

func (o *notary) sign(payload any) (string, error) {
	with, err := o.authority.Orders()
	if err != nil {
		return "", err
	}
	return signed.Sign(payload, with)
}

// Load and Store implement registry.Anchor.
func (o *notary) Load() (string, error)    { return o.anchor, nil }
func (o *notary) Store(token string) error { o.anchor = token; return nil }

func (o *notary) watcher(db *registry.DB, found func(*audit.Finding)) *registry.Watcher {
	return db.NewAuditWatcher(registry.AuditWatch{
		Sign: o.sign, Open: func(token string) (audit.Statement, error) { return audit.OpenStatement(token, o.roots) },
		Anchor: o, Tail: 5 * time.Millisecond, Pass: 20 * time.Millisecond, Keep: 10 * time.Millisecond, Found: found,
	})
}

// TestAuditExport: an export is verified with nothing but the certificate, and
// each way of tampering with its files is found and named.
func TestAuditExport(t *testing.T) {
	t.Parallel()
	o := newNotary(t)
	edit := func(change func(lines []string) []string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, "630102.tsv")
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			lines := change(strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n"))
			require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
		}
	}
	cases := map[string]struct {
		change func(t *testing.T, dir string)
		want   string
	}{
		"nothing": {func(*testing.T, string) {}, ""},
		"altered": {edit(func(l []string) []string { l[3] = strings.Replace(l[3], "card:", "card:9", 1); return l }), "altered (630102/3)"},
		"garbled": {edit(func(l []string) []string { l[3] = "3\t?\n"; return l }), "altered (630102/3)"},
		"missing": {edit(func(l []string) []string { return slices.Delete(l, 2, 3) }), "missing (630102/2)"},
		"twice":   {edit(func(l []string) []string { return slices.Insert(l, 4, l[3]) }), "inserted (630102/3)"},
		"inserted": {edit(func(l []string) []string {
			return slices.Insert(l, 4, strings.Replace(l[3], "card.written", "card.read", 1))
		}), "inserted (630102/3)"},
		"reordered": {edit(func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }), "out of its place (630102/3)"},
		"truncated": {edit(func(l []string) []string { return l[:6] }), "cut off before this entry (630102/6)"},
		"a chain gone": {func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "632723.tsv")))
		}, "cut off before this entry (632723/1–2)"},
		"a chain added": {func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(filepath.Join(dir, "632723.tsv"), filepath.Join(dir, "632801.tsv")))
		}, "altered (632801/1)"},
		"another head": {func(t *testing.T, dir string) {
			token, err := o.sign(audit.NewStatement(registrytest.Start, map[string]audit.Point{"630102": {Seq: 6, Hash: audit.Zero}}))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, audit.FileHeads), []byte(token), 0o600))
		}, "head of the audit chain does not match (630102/6)"},
		"rewritten since": {func(t *testing.T, dir string) {
			token, err := o.sign(audit.NewStatement(registrytest.Start, map[string]audit.Point{"630102": {Seq: 4, Hash: audit.Zero}}))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, audit.FileCheckpoints), []byte(token+"\n"), 0o600))
		}, "differs from what was signed at this entry (630102/4)"},
	}
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		chains(t, db)
		for name, c := range cases {
			dir := filepath.Join(t.TempDir(), "export")
			report, err := db.ExportAudit(t.Context(), dir, o.sign)
			require.NoError(t, err)
			require.EqualValues(t, 8, report.Entries)
			c.change(t, dir)
			report, err = audit.VerifyExport(dir, o.roots, nil)
			require.NoError(t, err, name)
			if c.want == "" {
				require.NoError(t, report.Join(), name)
				require.EqualValues(t, 8, report.Entries)
				continue
			}
			require.ErrorContains(t, report.Join(), c.want, name)
		}
		_, err := db.ExportAudit(t.Context(), t.TempDir()+"/..", o.sign)
		require.ErrorContains(t, err, "not empty")
	})
}

// TestAuditExportSigned: an export whose statement the province did not sign is
// refused as a whole.
func TestAuditExportSigned(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		chains(t, db)
		o, other := newNotary(t), newNotary(t)
		dir := filepath.Join(t.TempDir(), "export")
		_, err := db.ExportAudit(t.Context(), dir, other.sign)
		require.NoError(t, err)
		_, err = audit.VerifyExport(dir, o.roots, nil)
		require.ErrorIs(t, err, signed.ErrSignature)
		token, err := o.sign(map[string]any{"kind": "order", "at": registrytest.Start})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, audit.FileHeads), []byte(token), 0o600))
		_, err = audit.VerifyExport(dir, o.roots, nil)
		require.ErrorIs(t, err, audit.ErrStatement)
		require.NoError(t, os.Remove(filepath.Join(dir, audit.FileHeads)))
		_, err = audit.VerifyExport(dir, o.roots, nil)
		require.ErrorIs(t, err, os.ErrNotExist, "half an export")
	})
}

// TestAuditWatcher: what is done to the log while the platform runs is found
// and named, also what leaves a log that holds together by itself.
func TestAuditWatcher(t *testing.T) {
	t.Parallel()
	const where = " WHERE chain = '630102' AND seq "
	cases := map[string]struct {
		statements []string
		want       string
	}{
		"altered":   {[]string{"UPDATE audit_entries SET operator = 'x'" + where + "= 2"}, "altered (630102/2)"},
		"missing":   {[]string{"DELETE FROM audit_entries" + where + "= 3"}, "missing (630102/3)"},
		"truncated": {[]string{"DELETE FROM audit_entries" + where + "= 6"}, "cut off before this entry (630102/6)"},
		"inserted": {[]string{
			"INSERT INTO audit_entries SELECT chain, 7, at, operator, workstation, place, action, subject, detail, 6, prev_hash, hash FROM audit_entries" + where + "= 6",
		}, "inserted (630102/7)"},
		"reordered": {[]string{
			"UPDATE audit_entries SET seq = 99, prev_seq = 98" + where + "= 3",
			"UPDATE audit_entries SET seq = 3, prev_seq = 2" + where + "= 4",
			"UPDATE audit_entries SET seq = 4, prev_seq = 3" + where + "= 99",
		}, "out of its place (630102/3)"},
		"set back, with the head as it was": {[]string{"@back"}, "cut off before this entry (630102/5–6)"},
		"emptied": {[]string{
			"DELETE FROM audit_heads WHERE chain = '632723'", "DELETE FROM audit_entries WHERE chain = '632723' AND seq = 2",
			"DELETE FROM audit_entries WHERE chain = '632723' AND seq = 1",
		}, "cut off before this entry (632723/1–2)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registrytest.EachDSN(t, func(t *testing.T, dsn string) {
				db := registrytest.Open(t, registrytest.Config(dsn, registrytest.NewClock()))
				o := newNotary(t)
				statements := c.statements
				if statements[0] == "@back" {
					statements = setBack(t, db, dsn)
				} else {
					chains(t, db)
				}
				found := make(chan string, 100)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					o.watcher(db, func(f *audit.Finding) { found <- f.Error() }).Run(ctx, slog.New(slog.DiscardHandler))
				}()
				require.Eventually(t, func() bool {
					kept, err := db.AuditCheckpoints(ctx)
					return err == nil && len(kept) > 0
				}, time.Minute, 5*time.Millisecond)
				tamper(t, dsn, statements)
				for said := <-found; !strings.Contains(said, c.want); said = <-found {
					require.Contains(t, said, "the head of the audit chain", "found by the tail, before the pass finds what is gone")
				}
				stop()
				<-ended
				// Another watcher, which has not seen the log before, finds it too.
				var said []string
				require.NoError(t, o.watcher(db, func(f *audit.Finding) { said = append(said, f.Error()) }).Pass(t.Context()))
				require.NotEmpty(t, said)
			})
		})
	}
}

// setBack makes the chains and returns what sets the log back to what it was
// two entries earlier, its head with the right digest included.
func setBack(t *testing.T, db *registry.DB, dsn string) []string {
	t.Helper()
	for range 2 {
		require.NoError(t, db.InTx(t.Context(), clerk, note))
		require.NoError(t, db.InTx(t.Context(), clerk, note))
	}
	type head struct {
		Seq         int64
		Hash, Proof []byte
	}
	var was head
	require.NoError(t, db.Read(t.Context()).Table("audit_heads").Where("chain = '630102'").Take(&was).Error)
	require.EqualValues(t, 4, was.Seq)
	for range 2 {
		require.NoError(t, db.InTx(t.Context(), clerk, note))
	}
	literal := func(b []byte) string {
		if strings.HasPrefix(dsn, "sqlite:") {
			return "x'" + hex.EncodeToString(b) + "'"
		}
		return `'\x` + hex.EncodeToString(b) + "'"
	}
	return []string{
		"DELETE FROM audit_entries WHERE chain = '630102' AND seq = 6", "DELETE FROM audit_entries WHERE chain = '630102' AND seq = 5",
		"UPDATE audit_heads SET seq = 4, hash = " + literal(was.Hash) + ", proof = " + literal(was.Proof) + " WHERE chain = '630102'",
	}
}
