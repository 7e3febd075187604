package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Rule is the text of a rule as it stood from an instant on (规则版本).
type Rule struct {
	Name    string    `gorm:"column:name;primaryKey"`
	Version int64     `gorm:"column:version;primaryKey"`
	Since   time.Time `gorm:"column:since"`
	Content string    `gorm:"column:content"`
	By      string    `gorm:"column:changed_by"`
	On      string    `gorm:"column:changed_on"`
	Reason  string    `gorm:"column:change_reason"`
}

// TableName implements gorm's schema.Tabler.
func (Rule) TableName() string { return "rule_versions" }

// KeepRules puts the texts of rules on record, by name: each that differs from
// its last version becomes the next one. It returns the names of those. Several
// instances that start with the same texts record them once.
func (db *DB) KeepRules(ctx context.Context, actor Actor, reason string, texts map[string]string) (changed []string, err error) {
	for range maxAttempts {
		changed, err = db.keepRules(ctx, actor, reason, texts)
		if !errors.Is(err, ErrDuplicate) { // another instance was quicker: look again
			break
		}
	}
	return changed, err
}

func (db *DB) keepRules(ctx context.Context, actor Actor, reason string, texts map[string]string) (changed []string, err error) {
	err = db.InTx(ctx, actor, func(tx *Tx) error {
		changed = nil
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			var last Rule // the zero Rule when there is none
			if err := tx.gorm.Where("name = ?", name).Order("version DESC").Limit(1).Find(&last).Error; err != nil {
				return err
			}
			if last.Version > 0 && last.Content == texts[name] {
				continue
			}
			next := Rule{
				Name: name, Version: last.Version + 1, Since: tx.now, Content: texts[name],
				By: tx.actor.Operator, On: tx.actor.Workstation, Reason: reason,
			}
			if err := tx.gorm.Create(&next).Error; err != nil {
				return err
			}
			if err := tx.Audit("rule.changed", "rule:"+name, map[string]string{"version": fmt.Sprint(next.Version), "reason": reason}); err != nil {
				return err
			}
			changed = append(changed, name)
		}
		tx.replayed = len(changed) == 0 // nothing was written
		return nil
	})
	return changed, err
}

// Rules returns every version of every rule, without the texts.
func (db *DB) Rules(ctx context.Context) (rules []Rule, err error) {
	return rules, db.Read(ctx).Omit("content").Order("name, version").Find(&rules).Error
}

// RulesAt returns the rules as they stood at an instant, by name.
func (db *DB) RulesAt(ctx context.Context, at time.Time) (rules []Rule, err error) {
	at = at.UTC()
	last := db.Read(ctx).Table("rule_versions").Select("name, max(version)").Where("since <= ?", at).Group("name")
	return rules, db.Read(ctx).Where("(name, version) IN (?)", last).Order("name").Find(&rules).Error
}

// RuleAt returns a rule as it stood at an instant; ErrNotFound before its first
// version.
func (db *DB) RuleAt(ctx context.Context, name string, at time.Time) (rule Rule, err error) {
	return rule, db.Read(ctx).Where("name = ? AND since <= ?", name, at.UTC()).Order("version DESC").Take(&rule).Error
}
