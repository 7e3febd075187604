package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"onecard/registry"
	"onecard/registry/inventory"
)

type inventoryCommand struct {
	settings
	CSV bool `name:"csv" help:"One line for each column. 每列一行。"`
}

// Run prints what every column of the three stores holds. It refuses when a
// column is not classified, is gone, or is less protected than its class asks.
func (c *inventoryCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		lines, list, err := p.inventory(ctx)
		if err != nil {
			return err
		}
		if c.CSV {
			return list.CSV(out.Out, lines)
		}
		return list.Markdown(out.Out, lines)
	})
}

// catalogue is a database that says which columns it has.
type catalogue interface {
	Columns(ctx context.Context) ([]registry.Column, error)
}

// inventory checks the schemas of the stores. One that is not configured is
// made up in a directory of its own: its schema is that of this program.
func (p *platform) inventory(ctx context.Context) (lines []inventory.Column, list *inventory.Inventory, err error) {
	if list, err = inventory.Read(); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "onecard-inventory")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	beside := p.config
	if beside.Stores.Exchange == "" {
		beside.Stores.Exchange = "sqlite:" + filepath.Join(dir, "exchange.db")
	}
	if beside.Stores.Decision == "" {
		beside.Stores.Decision = "sqlite:" + filepath.Join(dir, "decision.db")
	}
	exchange, err := beside.openExchange(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, exchange.Close()) }()
	decision, err := beside.openDecision(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, decision.Close()) }()
	databases := map[string]catalogue{"production": p.db, "exchange": exchange, "decision": decision}
	var wrong []error
	for _, store := range inventory.Stores {
		columns, err := databases[store].Columns(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", store, err)
		}
		checked, err := list.Check(store, columns)
		wrong = append(wrong, err)
		lines = append(lines, checked...)
	}
	return lines, list, errors.Join(wrong...)
}
