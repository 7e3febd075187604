package registry

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"onecard/registry/audit"
)

// headProof is the keyed digest that the head of a chain carries. Who can write
// the tables can compute hashes anew, but not this.
func (db *DB) headProof(ctx context.Context, head auditHead) ([]byte, error) {
	value := binary.BigEndian.AppendUint64([]byte(head.Chain), uint64(head.Seq))
	return db.vault.Index(ctx, firstIndex, "audit-head", append(value, head.Hash...))
}

// VerifyAudit reads every chain from its first entry to its head and returns
// nil or what is wrong, each an [audit.Finding].
func (db *DB) VerifyAudit(ctx context.Context) error {
	report, err := db.CheckAudit(ctx, nil, nil)
	if err != nil {
		return err
	}
	return report.Join()
}

// CheckAudit reads every chain and says what is wrong: against its head, and
// against the points that somebody vouches for. from names entries after which
// to begin, such as the ends of an earlier report; a chain that it does not
// name is read from its beginning. Each chain is read at one instant, several
// side by side, and nothing is held up.
func (db *DB) CheckAudit(ctx context.Context, from map[string]audit.Point, points audit.Points) (*audit.Report, error) {
	chains, err := db.auditChains(ctx)
	if err != nil {
		return nil, fmt.Errorf("registry: verify audit: %w", err)
	}
	for _, chain := range slices.Concat(slices.Collect(maps.Keys(from)), slices.Collect(maps.Keys(points))) {
		if !slices.Contains(chains, chain) {
			chains = append(chains, chain) // gone as a whole
		}
	}
	report, err := audit.VerifyChains(chains, func(chain string) (audit.Verified, error) {
		return db.checkChain(ctx, chain, from[chain], points[chain])
	})
	if err != nil {
		return nil, fmt.Errorf("registry: verify audit: %w", err)
	}
	return report, nil
}

func (db *DB) checkChain(ctx context.Context, chain string, from audit.Point, points []audit.Point) (seen audit.Verified, err error) {
	err = db.inSnapshot(ctx, func(s snapshot) error {
		head, err := readHead(ctx, s, chain)
		if err != nil {
			return err
		}
		v := audit.NewVerifier(chain, from, points)
		err = readEntries(ctx, s, chain, from.Seq, func(e *audit.Entry) error {
			seen.Entries++
			v.Add(e)
			return nil
		})
		if err != nil {
			return err
		}
		var end *audit.Point
		if head != nil {
			end = &audit.Point{Seq: head.Seq, Hash: head.Hash}
		}
		seen.Findings, seen.End = v.Close(end), v.Last()
		if head == nil || head.Seq == 0 || len(seen.Findings) > 0 {
			return nil
		}
		proof, err := db.headProof(ctx, *head)
		if err == nil && !hmac.Equal(head.Proof, proof) {
			seen.Findings = append(seen.Findings, &audit.Finding{Chain: chain, Seq: head.Seq, Kind: audit.ErrHead})
		}
		return err
	})
	return seen, err
}

// ExportAudit writes the whole log into a directory, to be verified without
// this database. sign makes the signed statement of the chains' ends.
func (db *DB) ExportAudit(ctx context.Context, dir string, sign func(payload any) (string, error)) (*audit.Report, error) {
	export, err := audit.NewExport(dir)
	if err != nil {
		return nil, err
	}
	chains, err := db.auditChains(ctx)
	if err != nil {
		return nil, err
	}
	report := &audit.Report{Ends: map[string]audit.Point{}}
	for _, chain := range chains {
		if err := db.exportChain(ctx, export, chain, report); err != nil {
			return nil, err
		}
	}
	heads, err := sign(audit.NewStatement(db.Now(), report.Ends))
	if err != nil {
		return nil, err
	}
	checkpoints, err := db.AuditCheckpoints(ctx)
	if err != nil {
		return nil, err
	}
	return report, export.Finish(heads, checkpoints)
}

func (db *DB) exportChain(ctx context.Context, export *audit.Export, chain string, report *audit.Report) error {
	return db.inSnapshot(ctx, func(s snapshot) error {
		head, err := readHead(ctx, s, chain)
		if err != nil {
			return err
		}
		if head != nil && head.Seq > 0 {
			report.Ends[chain] = audit.Point{Seq: head.Seq, Hash: head.Hash}
		}
		return export.Chain(chain, func(take func(*audit.Entry) error) error {
			return readEntries(ctx, s, chain, 0, func(e *audit.Entry) error {
				report.Entries++
				return take(e)
			})
		})
	})
}
