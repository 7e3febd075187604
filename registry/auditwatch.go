package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/google/uuid"

	"onecard/registry/audit"
)

// maxCheckpoints is how many signed statements are held against a chain: an
// entry hashes all before it, so that the newest say most.
const maxCheckpoints = 256

// auditCheckpoint is a row of audit_checkpoints.
type auditCheckpoint struct {
	ID        uuid.UUID `gorm:"column:id;primaryKey"`
	At        time.Time `gorm:"column:at"`
	Statement string    `gorm:"column:statement"`
}

// TableName implements gorm's schema.Tabler.
func (auditCheckpoint) TableName() string { return "audit_checkpoints" }

// AuditCheckpoints returns the newest signed statements of the chains' ends, at
// most 256, the oldest first.
func (db *DB) AuditCheckpoints(ctx context.Context) (statements []string, err error) {
	newest := db.Read(ctx).Model(&auditCheckpoint{}).Select("at, statement").Order("at DESC").Limit(maxCheckpoints)
	return statements, db.Read(ctx).Table("(?) AS newest", newest).Order("at").Pluck("statement", &statements).Error
}

// AuditWatch is what watching the audit log needs.
type AuditWatch struct {
	// Sign makes a signed statement; Open returns what one says.
	Sign func(payload any) (string, error)
	Open func(token string) (audit.Statement, error)
	// Anchor keeps the newest statement of all ends outside the database.
	Anchor Anchor
	// Tail is how often new entries are verified, Pass how long after a pass
	// through all entries the next begins, at the earliest; a pass that took
	// longer is followed by a pause of its own length. Sign is how often the ends
	// are signed.
	Tail, Pass, Signing time.Duration
	Found               func(*audit.Finding) // is told each finding once
}

// Anchor keeps a signed statement where who can write the database cannot.
type Anchor interface {
	Load() (token string, err error) // "" when there is none
	Store(token string) error
}

// Watcher verifies the audit log while it grows (审计巡检).
type Watcher struct {
	db     *DB
	watch  AuditWatch
	ends   map[string]audit.Point // verified, and remembered: nothing before them may change
	signed map[string]audit.Point // as of the last statement that was stored
	told   map[string]bool
}

// NewAuditWatcher makes a watcher.
func (db *DB) NewAuditWatcher(watch AuditWatch) *Watcher {
	return &Watcher{db: db, watch: watch, ends: map[string]audit.Point{}, signed: map[string]audit.Point{}, told: map[string]bool{}}
}

// Run watches until ctx ends. What goes wrong otherwise is logged and tried
// again.
func (w *Watcher) Run(ctx context.Context, log *slog.Logger) {
	tail, signing, pass := time.NewTicker(w.watch.Tail), time.NewTicker(w.watch.Signing), time.NewTimer(0)
	defer tail.Stop()
	defer signing.Stop()
	defer pass.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-tail.C:
			err = w.Tail(ctx)
		case <-signing.C:
			err = w.Checkpoint(ctx)
		case <-pass.C:
			began := time.Now()
			err = w.Pass(ctx)
			pass.Reset(max(w.watch.Pass, time.Since(began)))
		}
		if err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "审计巡检未能进行 the audit log could not be verified", "error", err)
		}
	}
}

// Tail verifies what was added since, against what was there.
func (w *Watcher) Tail(ctx context.Context) error {
	from := maps.Clone(w.ends)
	report, err := w.db.CheckAudit(ctx, from, nil)
	return w.take(report, err)
}

// Pass verifies everything: against the heads, the signed statements, what was
// kept outside the database and what this watcher saw before.
func (w *Watcher) Pass(ctx context.Context) error {
	points := audit.Points{}
	for chain, end := range w.ends {
		points[chain] = append(points[chain], end)
	}
	statements, err := w.db.AuditCheckpoints(ctx)
	if err != nil {
		return err
	}
	anchor, err := w.watch.Anchor.Load()
	if err != nil {
		return err
	}
	if anchor != "" {
		statements = append(statements, anchor)
	}
	var bad []error
	for _, token := range statements {
		statement, err := w.watch.Open(token)
		if err == nil {
			err = points.Add(statement)
		}
		bad = append(bad, err)
	}
	report, err := w.db.CheckAudit(ctx, nil, points)
	return errors.Join(w.take(report, err), errors.Join(bad...))
}

// take remembers the ends of chains that are whole and tells what is new.
func (w *Watcher) take(report *audit.Report, err error) error {
	if err != nil {
		return err
	}
	broken := map[string]bool{}
	for _, f := range report.Findings {
		broken[f.Chain] = true
		if text := f.Error(); !w.told[text] {
			w.told[text] = true
			w.watch.Found(f)
		}
	}
	for chain, end := range report.Ends {
		if !broken[chain] && end.Seq > 0 {
			w.ends[chain] = end
		}
	}
	return nil
}

// Checkpoint signs the ends that were verified: those that moved into the
// database, all of them into the anchor.
func (w *Watcher) Checkpoint(ctx context.Context) error {
	moved := map[string]audit.Point{}
	for chain, end := range w.ends {
		if w.signed[chain].Seq != end.Seq {
			moved[chain] = end
		}
	}
	if len(moved) == 0 {
		return nil
	}
	now := w.db.Now()
	part, err := w.watch.Sign(audit.NewStatement(now, moved))
	if err != nil {
		return fmt.Errorf("registry: checkpoint: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("registry: checkpoint: %w", err)
	}
	if err := w.db.write.WithContext(ctx).Create(&auditCheckpoint{ID: id, At: now, Statement: part}).Error; err != nil {
		return fmt.Errorf("registry: checkpoint: %w", translate(err))
	}
	maps.Copy(w.signed, moved)
	whole, err := w.watch.Sign(audit.NewStatement(now, w.ends))
	if err != nil {
		return fmt.Errorf("registry: checkpoint: %w", err)
	}
	return w.watch.Anchor.Store(whole)
}
