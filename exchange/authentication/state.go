package authentication

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/registry"
)

// countRow is a row of authentication_counts.
type countRow struct {
	Subject string    `gorm:"column:subject"`
	Name    string    `gorm:"column:name"`
	BeganAt time.Time `gorm:"column:began_at"`
	Used    int       `gorm:"column:used"`
}

// TableName implements gorm's schema.Tabler.
func (countRow) TableName() string { return "authentication_counts" }

// challengeRow is a row of authentication_challenges.
type challengeRow struct {
	Subject   string    `gorm:"column:subject"`
	Key       string    `gorm:"column:key"`
	Challenge string    `gorm:"column:challenge"`
	UsedAt    time.Time `gorm:"column:used_at"`
}

// TableName implements gorm's schema.Tabler.
func (challengeRow) TableName() string { return "authentication_challenges" }

// reloadRow is a row of authentication_reloads.
type reloadRow struct {
	Subject     string    `gorm:"column:subject"`
	Workstation string    `gorm:"column:workstation"`
	Operator    string    `gorm:"column:operator"`
	BeganAt     time.Time `gorm:"column:began_at"`
}

// TableName implements gorm's schema.Tabler.
func (reloadRow) TableName() string { return "authentication_reloads" }

// count lets the request count against all limits of its service: first those
// of the card, then those of the terminal, so that two requests take the rows
// in one order.
func (p Policy) count(tx *registry.Tx, service, card, terminal string) error {
	for _, of := range []struct{ what, subject string }{{ofCard, card}, {ofTerminal, terminal}} {
		for _, l := range p.Limits {
			if l.Of != of.what || !slices.Contains(l.Services, service) {
				continue
			}
			if err := l.count(tx, of.subject); err != nil {
				return err
			}
		}
	}
	return nil
}

// count takes one from what is left of the window that runs; the row is locked
// until the transaction ends.
func (l Limit) count(tx *registry.Tx, subject string) error {
	fresh := countRow{Subject: subject, Name: l.Name, BeganAt: tx.Now()}
	if err := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(&fresh).Error; err != nil {
		return fmt.Errorf("authentication: limit %s: %w", l.Name, err)
	}
	var row countRow
	mine := func() *gorm.DB { return tx.DB().Where("subject = ? AND name = ?", subject, l.Name) }
	if err := mine().Clauses(clause.Locking{Strength: "UPDATE"}).Take(&row).Error; err != nil {
		return fmt.Errorf("authentication: limit %s: %w", l.Name, err)
	}
	ends := row.BeganAt.Add(l.window())
	switch {
	case !tx.Now().Before(ends):
		row.BeganAt, row.Used = tx.Now(), 0
	case row.Used >= l.Count:
		return limited(ends.Sub(tx.Now()))
	}
	err := mine().Model(&countRow{}).Updates(map[string]any{"began_at": row.BeganAt, "used": row.Used + 1}).Error
	if err != nil {
		return fmt.Errorf("authentication: limit %s: %w", l.Name, err)
	}
	return nil
}

// consume marks the challenges of a request as answered, each once within the
// window; what is older is forgotten.
func (p Policy) consume(tx *registry.Tx, card string, r *request) error {
	before := tx.Now().Add(-time.Duration(p.ReplayHours) * time.Hour)
	if err := tx.DB().Where("subject = ? AND used_at <= ?", card, before).Delete(&challengeRow{}).Error; err != nil {
		return fmt.Errorf("authentication: challenges: %w", err)
	}
	for key, challenge := range r.used() {
		row := challengeRow{Subject: card, Key: key, Challenge: strings.ToUpper(hex.EncodeToString(challenge)), UsedAt: tx.Now()}
		done := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		if done.Error != nil {
			return fmt.Errorf("authentication: challenges: %w", done.Error)
		}
		if done.RowsAffected == 0 {
			return ErrChallengeUsed
		}
	}
	return nil
}

// begin notes that round one of a reload was answered (PUK 外部认证).
func begin(tx *registry.Tx, card string, who Caller) error {
	row := reloadRow{Subject: card, Workstation: who.Workstation.ID, Operator: who.actor().Operator, BeganAt: tx.Now()}
	err := tx.DB().Clauses(clause.OnConflict{UpdateAll: true, Columns: []clause.Column{{Name: "subject"}, {Name: "workstation"}}}).Create(&row).Error
	if err != nil {
		return fmt.Errorf("authentication: reload: %w", err)
	}
	return nil
}

// follow ends round two: it is answered once after its round one, for the same
// card at the same terminal by the same operator, and in time.
func (p Policy) follow(tx *registry.Tx, card string, who Caller) error {
	var row reloadRow
	mine := func() *gorm.DB { return tx.DB().Where("subject = ? AND workstation = ?", card, who.Workstation.ID) }
	err := mine().Clauses(clause.Locking{Strength: "UPDATE"}).Take(&row).Error
	if errors.Is(err, registry.ErrNotFound) {
		return ErrNoRound
	}
	if err != nil {
		return fmt.Errorf("authentication: reload: %w", err)
	}
	late := tx.Now().Sub(row.BeganAt) > time.Duration(p.ReloadMinutes)*time.Minute
	if late || row.Operator != who.actor().Operator {
		return ErrNoRound
	}
	if err := mine().Delete(&reloadRow{}).Error; err != nil {
		return fmt.Errorf("authentication: reload: %w", err)
	}
	return nil
}
