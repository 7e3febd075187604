package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"onecard/card/profile"
	"onecard/keys"
)

// missingFrom returns the keys of the province's hierarchy that a key file does
// not have: one made by an earlier release lacks those that came later.
func missingFrom(keeper *keys.Keeper, profiles []*profile.Profile) []keys.Spec {
	present := keeper.Keys()
	return slices.DeleteFunc(wanted(profiles), func(spec keys.Spec) bool {
		return slices.ContainsFunc(present, func(info keys.Info) bool { return info.Name == spec.Name })
	})
}

// usages are those of a card's keys by their purpose in a profile.
var usages = map[string]keys.Usage{
	"internal": keys.Authentication, "external": keys.Authentication, "maintenance": keys.Maintenance, "master": keys.Master,
	"debit": keys.Debit, "credit": keys.Debit,
}

// wanted returns the keys of the province's hierarchy, and those that only a
// profile of the province's own names.
func wanted(profiles []*profile.Profile) []keys.Spec {
	specs := keys.Provincial()
	for _, p := range profiles {
		for _, scope := range p.Scopes {
			for _, key := range scope.Keys {
				name := p.KeeperKey(key.Name)
				if slices.ContainsFunc(specs, func(spec keys.Spec) bool { return spec.Name == name }) {
					continue
				}
				spec := keys.Spec{Name: name, Usage: usages[key.Purpose], Algorithm: keys.SM4, Depth: 2}
				if p.Algorithm == profile.TripleDES {
					spec.Algorithm = keys.TripleDES
				}
				specs = append(specs, spec)
			}
		}
	}
	return specs
}

func namesOf(specs []keys.Spec) []string {
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	return names
}

type keysCompleteCommand struct {
	settings
	Names []string `arg:"" optional:"" name:"name" help:"Only these. 只补这些密钥。"`
}

// Run makes the keys that are missing, but for those that come from elsewhere:
// of a province whose keys are delivered, only those named.
func (c *keysCompleteCommand) Run(ctx context.Context, out streams) error {
	return c.withKeys(ctx, out, func(p *platform, keeper *keys.Keeper) error {
		profiles, err := p.config.profiles()
		if err != nil {
			return err
		}
		missing := slices.DeleteFunc(missingFrom(keeper, profiles), func(spec keys.Spec) bool {
			return spec.Usage == keys.Transport || len(c.Names) > 0 && !slices.Contains(c.Names, spec.Name)
		})
		for _, name := range c.Names {
			if !slices.Contains(namesOf(missing), name) {
				return fmt.Errorf("密钥 key %.32q 已有，或不能在本机生成: %w", name, keys.ErrExists)
			}
		}
		if len(missing) == 0 {
			_, err := fmt.Fprintln(out.Out, "密钥齐全 no key is missing")
			return err
		}
		names := strings.Join(namesOf(missing), " ")
		err = p.recorded(ctx, "keys.complete", "keys", map[string]string{"keys": names}, func() error { return keeper.Add(missing...) })
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out.Out, "已生成 made:", names)
		return err
	})
}

// completeKeys gives the keys of a trial what they lack.
func completeKeys(c config, transport string) error {
	keeper, err := openKeeper(c)
	if err != nil {
		return err
	}
	profiles, err := c.profiles()
	if err != nil {
		return err
	}
	for _, spec := range missingFrom(keeper, profiles) {
		if spec.Usage == keys.Transport {
			err = importTransport(keeper, spec.Name, transport)
		} else {
			err = keeper.Add(spec)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
