package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"onecard/issuance/bank"
	"onecard/issuance/production"
	"onecard/registry"
)

// batchAccounts has banks open the accounts of batches of cards: by the file
// of the same name where the bank takes files, and else by real-time messages.
type batchAccounts struct {
	config config
	banks  *bank.Service
}

// batchAccounts returns how banks are asked, nothing where none is configured.
func (p *platform) batchAccounts() (production.Accounts, error) {
	if len(p.config.Bank) == 0 {
		return nil, nil
	}
	banks, err := p.openBanks()
	return batchAccounts{p.config, banks}, err
}

// Bank implements production.Accounts.
func (a batchAccounts) Bank(code, number string) (string, error) {
	known, err := a.banks.Known(code)
	if err != nil {
		return "", &registry.FieldError{Field: "bank", ZH: "应为已配置银行的代码，如 95533 或 105", EN: "the code of a bank that is configured, such as 95533 or 105"}
	}
	if number == "" {
		return known.Code, nil // it will be one that anybody can be told
	}
	return known.Code, bank.CheckBatch(number)
}

// Banks implements production.Accounts.
func (a batchAccounts) Banks() []production.Bank {
	var known []production.Bank
	for _, b := range a.banks.Banks() {
		known = append(known, production.Bank{Code: b.Code, Name: b.Name})
	}
	return known
}

// Ask implements production.Accounts.
func (a batchAccounts) Ask(tx *registry.Tx, b production.Batch, applications []uuid.UUID) ([]production.Answer, error) {
	byFile, err := a.byFile(*b.Bank)
	if err != nil {
		return nil, err
	}
	name := ""
	if byFile {
		name = b.Number
	}
	_, known, err := a.banks.AskAccounts(tx, *b.Bank, name, applications)
	return answers(known), err
}

func (a batchAccounts) byFile(code string) (bool, error) {
	known, err := a.banks.Known(code)
	if err != nil {
		return false, err
	}
	where, err := a.config.bankOf(known)
	return where.Files != "", err
}

// write writes the account-opening file of a batch, or finds it.
func (a batchAccounts) write(ctx context.Context, actor registry.Actor, b production.Batch) (bank.Made, error) {
	known, err := a.banks.Known(*b.Bank)
	if err != nil {
		return bank.Made{}, err
	}
	where, err := a.config.bankOf(known)
	if err != nil || where.Files == "" {
		return bank.Made{}, err
	}
	made, err := a.banks.MakeFile(ctx, actor, *b.Bank, b.Number, where.out())
	if errors.Is(err, bank.ErrNoOrders) { // each of its accounts was asked for before
		return bank.Made{}, nil
	}
	return made, err
}

// accountsOpened tells batches of cards what became of the accounts that they
// wait for.
func (p *platform) accountsOpened(tx *registry.Tx, from string, opened []bank.Opened) error {
	return production.Answers{Issuance: p.issuance}.Take(tx, from, answers(opened))
}

func answers(opened []bank.Opened) []production.Answer {
	told := make([]production.Answer, len(opened))
	for i, o := range opened {
		told[i] = production.Answer{Application: o.Application, Account: o.Account}
		if o.Refused != nil {
			told[i].Reason = o.Refused.Error()
		}
	}
	return told
}

// writeAccounts writes the file that a batch's bank is to get.
func writeAccounts(ctx context.Context, out streams, s *production.Service, who production.Who, b production.Batch) error {
	accounts, able := s.Accounts.(batchAccounts)
	if !able || b.Bank == nil {
		return nil
	}
	made, err := accounts.write(ctx, who.Actor, b)
	switch {
	case err != nil:
		return err
	case made.Path == "":
		_, err = fmt.Fprintln(out.Out, "开户指令由平台以实时报文发送 the platform sends the orders of accounts as messages")
	default:
		_, err = fmt.Fprintf(out.Out, "开户文件 %d 人 file of accounts to open: %s\n", made.Rows, made.Path)
	}
	return err
}

// printAccounts says how far the bank is with the accounts of a batch, and how
// long it is waited for.
func printAccounts(out streams, s *production.Service, b production.Batch, counts map[string]int64) error {
	if b.Bank == nil {
		return nil
	}
	none, waits := counts[production.ItemNoAccount], int64(0)
	if b.State == production.StateOrdered {
		waits = counts[production.ItemOrdered]
	}
	// A row that left for another reason says nothing of its account.
	opened := b.Size - none - counts[production.ItemOrdered] - counts[production.ItemCancelled]
	fmt.Fprintf(out.Out, "  银行 bank %s：已开户 opened %d，未开户 none %d，待答复 awaited %d\n", *b.Bank, opened, none, waits)
	if waits == 0 {
		return nil
	}
	days, err := s.BankDays(b)
	fmt.Fprintf(out.Out, "  %d 天未答复的行自动冲正并退出批次 rows without an answer for %d days are reversed and leave the batch\n", days, days)
	return err
}

type batchAccountsCommand struct {
	signedIn
	Number string `arg:"" help:"批次号。"`
}

// Run says how far the bank is, and why who has no account has none.
func (c *batchAccountsCommand) Run(ctx context.Context, out streams) error {
	return c.withBatches(ctx, out, func(s *production.Service, who production.Who) error {
		b, err := s.Batch(ctx, c.Number)
		if err != nil {
			return err
		}
		counts, err := s.Counts(ctx, b.ID)
		if err != nil {
			return err
		}
		if err := printAccounts(out, s, b, counts); err != nil {
			return err
		}
		if b.State == production.StateOrdered {
			if err := writeAccounts(ctx, out, s, who, b); err != nil {
				return err
			}
		}
		return (&batchShowCommand{Rows: production.ItemNoAccount}).rows(ctx, out, s, b)
	})
}
