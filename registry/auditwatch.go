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
	// longer is followed by a pause of its own length. The ends are signed after
	// each pass; Keep is how often at most that is also stored in the database.
	Tail, Pass, Keep time.Duration
	Found            func(*audit.Finding) // is told each finding once
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
	stored map[string]audit.Point // as of the last statement in the database
	kept   time.Time              // when that was
	told   map[string]bool
}

// NewAuditWatcher makes a watcher.
func (db *DB) NewAuditWatcher(watch AuditWatch) *Watcher {
	return &Watcher{db: db, watch: watch, ends: map[string]audit.Point{}, stored: map[string]audit.Point{}, told: map[string]bool{}}
}

// Run watches until ctx ends. What goes wrong otherwise is logged and tried
// again.
func (w *Watcher) Run(ctx context.Context, log *slog.Logger) {
	tail, pass := time.NewTicker(w.watch.Tail), time.NewTimer(0)
	defer tail.Stop()
	defer pass.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-tail.C:
			err = w.Tail(ctx)
		case <-pass.C:
			began := time.Now()
			err = errors.Join(w.Pass(ctx), w.sign(ctx))
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

// sign states the ends that were verified: all of them in the anchor, and now
// and then those that moved in the database.
func (w *Watcher) sign(ctx context.Context) error {
	now := w.db.Now()
	moved := maps.Clone(w.ends)
	maps.DeleteFunc(moved, func(chain string, end audit.Point) bool { return w.stored[chain].Seq == end.Seq })
	if len(moved) == 0 {
		return nil
	}
	if w.kept.IsZero() || time.Since(w.kept) >= w.watch.Keep {
		part, err := w.watch.Sign(audit.NewStatement(now, moved))
		if err != nil {
			return fmt.Errorf("registry: sign audit heads: %w", err)
		}
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("registry: sign audit heads: %w", err)
		}
		if err := w.db.write.WithContext(ctx).Create(&auditCheckpoint{ID: id, At: now, Statement: part}).Error; err != nil {
			return fmt.Errorf("registry: sign audit heads: %w", translate(err))
		}
		maps.Copy(w.stored, moved)
		w.kept = time.Now()
	}
	whole, err := w.watch.Sign(audit.NewStatement(now, w.ends))
	if err != nil {
		return fmt.Errorf("registry: sign audit heads: %w", err)
	}
	return w.watch.Anchor.Store(whole)
}
