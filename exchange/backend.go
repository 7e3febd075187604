package exchange

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"onecard/internal/gb"
)

// Backend settles transactions (业务后台). Implementations honour the context,
// know a transaction by its id, and repeat the stored answer when the same
// message comes again. They may be called by several goroutines.
type Backend interface {
	// Submit carries out the message. An error means that the outcome is
	// unknown; a refusal is an Outcome with Result Declined.
	Submit(ctx context.Context, m Message) (Outcome, error)
	// Query tells what became of a transaction; Absent when it never arrived.
	Query(ctx context.Context, id uuid.UUID) (Outcome, error)
	// Reverse undoes a transaction (冲正). Reversing twice, or what was declined,
	// is a success. Reversing what never arrived is a success, too, and blocks
	// the original if it comes late.
	Reverse(ctx context.Context, id uuid.UUID) error
}

// Message is what a back end is told.
type Message struct {
	ID           uuid.UUID `json:"id"`
	Business     string    `json:"business"`
	PersonID     uuid.UUID `json:"person"`
	Insurance    Insurance `json:"insurance"`
	Site         Site      `json:"site"`
	Terminal     string    `json:"terminal"`
	SerialNumber int64     `json:"serial"`
	Date         gb.Date   `json:"date"`
	Total        Fen       `json:"total"`
	Items        []Item    `json:"items"`
}

// Insurance is how a person is insured for medical care (参保信息).
type Insurance struct {
	Kind  string `json:"kind"`  // 险种: KindEmployee or KindResident
	Place string `json:"place"` // 参保地 (aab301), six digits of GB/T 2260
}

// The kinds of medical insurance.
const (
	KindEmployee = "employee" // 职工基本医疗保险
	KindResident = "resident" // 城乡居民基本医疗保险
)

// Site is where a terminal stands (就医地).
type Site struct {
	Institution string `json:"institution"`
	Name        string `json:"name"`
	Kind        string `json:"kind"`  // registry.KindHospital, registry.KindPharmacy, …
	Level       int    `json:"level"` // 医院等级 1 to 3; 0 where there is none
	Place       string `json:"place"` // 就医地 (aab299), six digits of GB/T 2260
}

// Result is what a back end says of a transaction.
type Result string

// The results. Only Confirmed and Declined answer a Submit.
const (
	Confirmed Result = "confirmed"
	Declined  Result = "declined"
	Reversed  Result = "reversed"
	Absent    Result = "absent"
)

// Payer is who bears a part of the bill.
type Payer string

// The payers.
const (
	PayerFund    Payer = "fund"    // 统筹基金
	PayerAccount Payer = "account" // 个人账户
	PayerCash    Payer = "cash"    // 个人现金
)

// Line explains one part of the bill: who pays how much, and why. The lines of
// an outcome add up to the bill, so that every fen is explained once.
type Line struct {
	Payer Payer `json:"payer"`
	Text  Text  `json:"text"`
	Fen   Fen   `json:"fen"`
}

// Outcome is a back end's answer.
type Outcome struct {
	Result  Result   `json:"result"`
	Fund    Fen      `json:"fund"`    // 统筹基金支付
	Account Fen      `json:"account"` // 个人账户支付
	Cash    Fen      `json:"cash"`    // 个人现金支付
	Balance Fen      `json:"balance"` // 个人账户余额 after it
	Lines   []Line   `json:"lines,omitempty"`
	Reason  *Refusal `json:"reason,omitempty"` // when declined
}

// ErrWrongOutcome means that a back end's answer does not add up or makes no
// sense. It is treated like no answer: asked for, and reversed.
var ErrWrongOutcome = errors.New("exchange: the back end's answer does not add up")

// Check verifies a Submit's answer against the bill: the parts and the lines
// must add up to total, fen by fen.
func (o Outcome) Check(total Fen) error {
	switch o.Result {
	case Declined:
		if o.Reason == nil || o.Reason.Code == "" {
			return fmt.Errorf("%w: declined without a reason", ErrWrongOutcome)
		}
		return nil
	case Confirmed:
	default:
		return fmt.Errorf("%w: neither confirmed nor declined", ErrWrongOutcome)
	}
	parts := map[Payer]Fen{PayerFund: o.Fund, PayerAccount: o.Account, PayerCash: o.Cash}
	for payer, part := range parts {
		if part < 0 || part > total {
			return fmt.Errorf("%w: part %s is outside the bill", ErrWrongOutcome, payer)
		}
	}
	if o.Fund+o.Account+o.Cash != total {
		return fmt.Errorf("%w: the parts are not the total", ErrWrongOutcome)
	}
	if o.Balance < 0 {
		return fmt.Errorf("%w: balance below zero", ErrWrongOutcome)
	}
	for _, line := range o.Lines {
		part, known := parts[line.Payer]
		if !known || line.Fen < 1 || line.Fen > part {
			return fmt.Errorf("%w: a line is outside its part", ErrWrongOutcome)
		}
		parts[line.Payer] = part - line.Fen
	}
	for payer, left := range parts {
		if left != 0 {
			return fmt.Errorf("%w: part %s is not explained by its lines", ErrWrongOutcome, payer)
		}
	}
	return nil
}
