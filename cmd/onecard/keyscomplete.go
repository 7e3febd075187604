package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"onecard/keys"
)

// missingFrom returns the keys of the province's hierarchy that a key file does
// not have: one made by an earlier release lacks those that came later.
func missingFrom(keeper *keys.Keeper) []keys.Spec {
	present := keeper.Keys()
	return slices.DeleteFunc(keys.Provincial(), func(spec keys.Spec) bool {
		return slices.ContainsFunc(present, func(info keys.Info) bool { return info.Name == spec.Name })
	})
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
		missing := slices.DeleteFunc(missingFrom(keeper), func(spec keys.Spec) bool {
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
		err := p.recorded(ctx, "keys.complete", "keys", map[string]string{"keys": names}, func() error { return keeper.Add(missing...) })
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
	for _, spec := range missingFrom(keeper) {
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
