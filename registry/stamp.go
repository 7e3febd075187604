package registry

import (
	"maps"
	"time"

	"gorm.io/gorm"
)

// Stamp says who made a row what it is (变更经办): which version it is, when it
// became that, by whom, at which workstation and why.
type Stamp struct {
	Version int64     `gorm:"column:version"`
	At      time.Time `gorm:"column:changed_at"`
	By      string    `gorm:"column:changed_by"`
	On      string    `gorm:"column:changed_on"` // workstation; empty for the platform itself
	Reason  string    `gorm:"column:change_reason"`
}

// maxReason bounds a reason, in characters.
const maxReason = 300

// Stamp returns the stamp of a new row.
func (tx *Tx) Stamp(reason string) Stamp {
	return Stamp{Version: 1, At: tx.now, By: tx.actor.Operator, On: tx.actor.Workstation, Reason: reason}
}

// Change returns values with what every change of a kept row writes besides:
// the next version and who made it.
func (tx *Tx) Change(values map[string]any, reason string) map[string]any {
	changed := maps.Clone(values)
	changed["version"] = gorm.Expr("version + 1")
	changed["changed_at"] = tx.now
	changed["changed_by"] = tx.actor.Operator
	changed["changed_on"] = tx.actor.Workstation
	changed["change_reason"] = reason
	return changed
}
