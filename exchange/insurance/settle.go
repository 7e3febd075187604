package insurance

import (
	"slices"

	"onecard/exchange"
)

// standing is what a person has at the moment of a settlement.
type standing struct {
	balance    exchange.Fen // of the personal account
	deductible exchange.Fen // of the year's deductible, used so far
	fund       exchange.Fen // paid by the fund so far this year
}

// settlement is how a bill is borne.
type settlement struct {
	fund, account, cash exchange.Fen
	deductible          exchange.Fen // counted towards the year's deductible
	lines               []exchange.Line
}

// burden is a part of the bill that the patient bears.
type burden struct {
	cause  Cause
	amount exchange.Fen
	why    exchange.Text
}

// outpatient settles an out-patient bill (门诊结算):
//
//	bill = own + first of B + deductible + fund + co-payment + over the cap
//
// What the patient bears is paid from the personal account where the policy
// allows that cause and as long as the balance lasts, and in cash otherwise.
func outpatient(p Policy, level int, items []exchange.Item, s standing) (settlement, *exchange.Refusal) {
	ratio, known := p.Ratio[level]
	if !known {
		return settlement{}, ErrNoLevel
	}
	var burdens []burden
	bear := func(cause Cause, amount exchange.Fen, why exchange.Text) {
		if amount > 0 {
			burdens = append(burdens, burden{cause, amount, why})
		}
	}
	var covered exchange.Fen
	for _, item := range items {
		switch item.Category {
		case exchange.CategoryA:
			covered += item.Fen
		case exchange.CategoryB:
			rest := (whole - p.SelfFirst).of(item.Fen)
			bear(CauseSelfFirst, item.Fen-rest, whySelfFirst(p, item, item.Fen-rest))
			covered += rest
		default:
			bear(CauseOwn, item.Fen, whyOwn(item))
		}
	}
	left := max(p.Deductible-s.deductible, 0)
	deductible := min(covered, left)
	bear(CauseDeductible, deductible, whyDeductible(p, s, deductible))
	base := covered - deductible
	share := ratio.of(base)
	fund := min(share, max(p.Cap-s.fund, 0))
	bear(CauseCoPayment, base-share, whyCoPayment(base, share, ratio))
	bear(CauseOverCap, share-fund, whyOverCap(p, s, share, fund))

	result := settlement{fund: fund, deductible: deductible}
	if fund > 0 {
		result.line(exchange.PayerFund, fund, whyFund(covered, deductible, share, fund, ratio))
	}
	for _, b := range burdens {
		var fromAccount exchange.Fen
		if p.Account != nil && slices.Contains(p.Account.Outpatient, b.cause) {
			fromAccount = min(b.amount, s.balance-result.account)
		}
		result.pay(fromAccount, b.amount-fromAccount, b.why)
	}
	return result, nil
}

// purchase settles a pharmacy's bill (药店购药): from the personal account where
// the policy allows the category and as long as the balance lasts, otherwise in
// cash or not at all, as the policy says.
func purchase(p Policy, items []exchange.Item, s standing) (settlement, *exchange.Refusal) {
	if p.Account == nil {
		return settlement{}, ErrNoAccount
	}
	var result settlement
	for _, item := range items {
		allowed := slices.Contains(p.Account.Pharmacy, item.Category)
		var fromAccount exchange.Fen
		if allowed {
			fromAccount = min(item.Fen, s.balance-result.account)
		}
		if allowed && fromAccount < item.Fen && p.Account.WhenShort == shortRefuse {
			return settlement{}, ErrAccountShort
		}
		result.pay(fromAccount, item.Fen-fromAccount, whyPurchase(item, allowed, fromAccount))
	}
	return result, nil
}

// pay adds what the patient bears of one part of the bill.
func (s *settlement) pay(account, cash exchange.Fen, why exchange.Text) {
	s.account += account
	s.cash += cash
	if account > 0 {
		s.line(exchange.PayerAccount, account, why)
	}
	if cash > 0 {
		s.line(exchange.PayerCash, cash, why)
	}
}

func (s *settlement) line(payer exchange.Payer, amount exchange.Fen, why exchange.Text) {
	name := payerNames[payer]
	s.lines = append(s.lines, exchange.Line{Payer: payer, Fen: amount,
		Text: exchange.Text{ZH: name.ZH + "：" + why.ZH, EN: name.EN + ": " + why.EN}})
}

// outcome is the answer for a confirmed settlement.
func (s settlement) outcome(before standing) exchange.Outcome {
	return exchange.Outcome{Result: exchange.Confirmed, Fund: s.fund, Account: s.account, Cash: s.cash,
		Balance: before.balance - s.account, Lines: s.lines}
}
