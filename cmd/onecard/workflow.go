package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/issuance/bank"
	"onecard/issuance/ministry"
	"onecard/issuance/production"
	"onecard/issuance/stock"
	"onecard/registry"
)

type workflowCommand struct {
	settings
	Card   string `xor:"of" help:"The story of the holder of this card so far. 按卡号输出办理经过。"`
	Person string `xor:"of" help:"The story of this person, by id. 按人员编号输出办理经过。"`
}

// machines are all dimensions of state, in the order of a card's life.
func machines() []*issuance.Machine {
	all := append(issuance.Machines(), &issuance.Questions, &production.Batches, &bank.Accounts, &bank.Orders, &ministry.Copies)
	return append(all, stock.Machines...)
}

// Run prints the workflow as the program runs it (Markdown), or what has
// happened to a person's applications and cards.
func (c *workflowCommand) Run(ctx context.Context, out streams) error {
	if c.Card == "" && c.Person == "" {
		_, err := fmt.Fprint(out.Out, issuance.Report(machines()...))
		return err
	}
	return c.withRecords(ctx, out, func(p *platform) error {
		if err := p.assemble(); err != nil {
			return err
		}
		person, err := c.of(ctx, p)
		if err != nil {
			return err
		}
		story, err := p.issuance.Story(ctx, person)
		if err != nil {
			return err
		}
		return writeStory(out.Out, story)
	})
}

func (c *workflowCommand) of(ctx context.Context, p *platform) (uuid.UUID, error) {
	if c.Person != "" {
		id, err := uuid.Parse(c.Person)
		if err != nil {
			return uuid.Nil, &registry.FieldError{Field: "person", ZH: "应为人员编号（UUID）", EN: "a person's id (UUID)"}
		}
		_, err = p.db.PersonByID(ctx, id)
		return id, err
	}
	card, err := p.issuance.CardByNumber(ctx, c.Card)
	if errors.Is(err, registry.ErrNotFound) {
		return uuid.Nil, &registry.FieldError{Field: "card", ZH: "没有此卡号", EN: "no card of this number"}
	}
	return card.PersonID, err
}

func writeStory(out io.Writer, story []issuance.Line) error {
	var all []error
	for _, line := range story {
		who := line.Operator
		if line.Workstation != "" {
			who += "@" + line.Workstation
		}
		_, err := fmt.Fprintf(out, "%s  %s  %s  %s · %s\n", line.At.In(gb.Beijing).Format("2006-01-02 15:04:05"), line.Of, who, line.Text.ZH, line.Text.EN)
		all = append(all, err)
	}
	return errors.Join(all...)
}
