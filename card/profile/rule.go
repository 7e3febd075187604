package profile

import (
	"fmt"
	"slices"
	"strings"
)

// The words of an access rule besides the names of keys.
const (
	Free   = "free"  // 自由
	Never  = "never" // 禁止
	PINKey = "PIN"   // 社保密码
)

// Allows evaluates an access rule (访问条件): "free", "never", one term, or
// terms joined by | (any of them) or by & (all of them). A term is "PIN" or
// the name of a key; has says whether it was proven.
func Allows(rule string, has func(term string) bool) bool {
	switch {
	case rule == Free:
		return true
	case rule == Never:
		return false
	case strings.Contains(rule, "&"):
		return !slices.ContainsFunc(strings.Split(rule, "&"), func(term string) bool { return !has(term) })
	}
	return slices.ContainsFunc(strings.Split(rule, "|"), has)
}

// checkRule refuses a rule whose terms the scope does not know.
func (s Scope) checkRule(rule string) error {
	if rule == Free || rule == Never {
		return nil
	}
	if strings.Contains(rule, "&") && strings.Contains(rule, "|") {
		return fmt.Errorf("rule %q mixes & and |", rule)
	}
	for _, term := range strings.FieldsFunc(rule+"|", func(r rune) bool { return r == '|' || r == '&' }) {
		known := slices.ContainsFunc(s.Keys, func(k Key) bool { return k.Name == term })
		if term != PINKey && !known {
			return fmt.Errorf("rule %q: %q is neither PIN nor a key of %s", rule, term, s.Name)
		}
	}
	if rule == "" {
		return fmt.Errorf("a rule is missing")
	}
	return nil
}
