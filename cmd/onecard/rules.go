package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"onecard/card/profile"
	"onecard/exchange"
	"onecard/exchange/authentication"
	"onecard/exchange/insurance"
	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
)

// issuanceText is the text of the parameters of issuance that are in force.
func (c config) issuanceText() ([]byte, error) {
	if c.Issuance == "" {
		return issuance.DefaultPolicies(), nil
	}
	text, err := os.ReadFile(c.Issuance)
	if err != nil {
		return nil, fmt.Errorf("%w: issuance: %w", errSetting, err)
	}
	return text, nil
}

// rules are the texts of the rules by which this platform works (规则), by name.
// Profiles and makers, and the mapping tables of peers, are told by their digests:
// the files are kept with the program.
func (c config) rules() (map[string]string, error) {
	parameters, err := c.issuanceText()
	if err != nil {
		return nil, err
	}
	profiles, err := profile.Texts(c.Profiles)
	if err != nil {
		return nil, err
	}
	tables, err := c.tables()
	if err != nil {
		return nil, err
	}
	mappings := map[string][]byte{}
	for name, table := range tables {
		mappings[name] = table.Text
	}
	return map[string]string{
		"issuance":       string(parameters),
		"workflow":       issuance.Report(&issuance.Applications, &issuance.Cards),
		"routes":         string(exchange.RoutesText()),
		"insurance":      string(insurance.PolicyText()),
		"authentication": string(authentication.PolicyText()),
		"profiles":       digests(profiles),
		"mappings":       digests(mappings),
	}, nil
}

func digests(texts map[string][]byte) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(texts[name]), name)
	}
	return b.String()
}

// keepRules puts on record by which rules the platform works from now on, where
// they differ from those before.
func (p *platform) keepRules(ctx context.Context) error {
	texts, err := p.config.rules()
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // a word for people
	actor := localActor(province)
	changed, err := p.db.KeepRules(ctx, actor, "平台启动 the platform was started on "+host, texts)
	if err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	if len(changed) > 0 {
		p.logger.InfoContext(ctx, "规则已更新 rules have changed", "rules", changed)
	}
	return nil
}

type rulesListCommand struct{ settings }

// Run lists the versions of the rules.
func (c *rulesListCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		rules, err := p.db.Rules(ctx)
		if err != nil {
			return err
		}
		for _, r := range rules {
			if _, err := fmt.Fprintf(out.Out, "%-16s %3d  %s  %s  %s\n", r.Name, r.Version, r.Since.In(gb.Beijing).Format(time.RFC3339), r.By, r.Reason); err != nil {
				return err
			}
		}
		return nil
	})
}

type rulesAtCommand struct {
	settings
	Name    string    `arg:"" help:"Rule: issuance, workflow, routes, insurance, authentication, profiles, mappings. 规则。"`
	Instant time.Time `arg:"" placeholder:"2026-03-02T09:00:00+08:00" help:"Instant (RFC 3339). 时点。"`
}

// Run prints the text of a rule as it stood.
func (c *rulesAtCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		rule, err := p.db.RuleAt(ctx, c.Name, c.Instant)
		if errors.Is(err, registry.ErrNotFound) {
			return fmt.Errorf("此时点没有此规则 no such rule at that instant: %.40q: %w", c.Name, err)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out.Err, "%s 第 %d 版 version，%s 起 since，%s %s：%s\n", rule.Name, rule.Version, rule.Since.In(gb.Beijing).Format(time.RFC3339), rule.By, rule.On, rule.Reason)
		_, err = fmt.Fprint(out.Out, rule.Content)
		return err
	})
}
