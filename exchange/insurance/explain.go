package insurance

import (
	"fmt"

	"onecard/exchange"
)

// The explanations of a bill's parts, in words for the patient. Amounts are in
// yuan; each names the figures that it is computed from.

var payerNames = map[exchange.Payer]exchange.Text{
	exchange.PayerFund:    {ZH: "统筹基金支付", EN: "paid by the pooled fund"},
	exchange.PayerAccount: {ZH: "个人账户支付", EN: "paid from the personal account"},
	exchange.PayerCash:    {ZH: "现金支付", EN: "paid in cash"},
}

func whyOwn(item exchange.Item) exchange.Text {
	return exchange.Text{
		ZH: fmt.Sprintf("自费项目“%s”，医保不予支付", item.Name),
		EN: fmt.Sprintf("%s is not covered by insurance", item.Name)}
}

func whySelfFirst(p Policy, item exchange.Item, part exchange.Fen) exchange.Text {
	zh, en := fraction(p.SelfFirst.exact(item.Fen))
	return exchange.Text{
		ZH: fmt.Sprintf("乙类项目“%s”先自付 %s：%s × %s = %s%s", item.Name, p.SelfFirst, item.Fen, p.SelfFirst, part, zh),
		EN: fmt.Sprintf("%s is in category B, %s borne first: %s × %s = %s%s", item.Name, p.SelfFirst, item.Fen, p.SelfFirst, part, en)}
}

func whyDeductible(p Policy, s standing, part exchange.Fen) exchange.Text {
	return exchange.Text{
		ZH: fmt.Sprintf("起付标准以内：本年起付标准 %s，此前已累计 %s，本次 %s", p.Deductible, s.deductible, part),
		EN: fmt.Sprintf("below the deductible: %s a year, %s used before, %s now", p.Deductible, s.deductible, part)}
}

func whyFund(covered, deductible, share, fund exchange.Fen, ratio Share) exchange.Text {
	base := covered - deductible
	zh, en := "", ""
	if !ratio.exact(base) {
		zh, en = "（不足一分的部分舍去）", " (fractions of a fen left out)"
	}
	if fund < share {
		zh += fmt.Sprintf("，受年度封顶线限制支付 %s", fund)
		en += fmt.Sprintf(", limited by the year's cap to %s", fund)
	}
	return exchange.Text{
		ZH: fmt.Sprintf("（范围内费用 %s − 起付标准 %s）× %s = %s%s", covered, deductible, ratio, share, zh),
		EN: fmt.Sprintf("(covered %s − deductible %s) × %s = %s%s", covered, deductible, ratio, share, en)}
}

func whyCoPayment(base, share exchange.Fen, ratio Share) exchange.Text {
	return exchange.Text{
		ZH: fmt.Sprintf("按比例自付：%s − 报销 %s（%s）= %s", base, share, ratio, base-share),
		EN: fmt.Sprintf("the patient's share: %s − %s reimbursed (%s) = %s", base, share, ratio, base-share)}
}

func whyOverCap(p Policy, s standing, share, fund exchange.Fen) exchange.Text {
	return exchange.Text{
		ZH: fmt.Sprintf("超过年度封顶线：封顶线 %s，此前已支付 %s，应报销 %s，可支付 %s，其余 %s", p.Cap, s.fund, share, fund, share-fund),
		EN: fmt.Sprintf("above the year's cap: cap %s, paid before %s, due %s, payable %s, the rest %s", p.Cap, s.fund, share, fund, share-fund)}
}

func whyPurchase(item exchange.Item, allowed bool, fromAccount exchange.Fen) exchange.Text {
	switch {
	case !allowed:
		return exchange.Text{
			ZH: fmt.Sprintf("“%s”%s，不在个人账户支付范围", item.Name, item.Fen),
			EN: fmt.Sprintf("%s %s may not be paid from the account", item.Name, item.Fen)}
	case fromAccount < item.Fen:
		return exchange.Text{
			ZH: fmt.Sprintf("“%s”%s，个人账户余额不足，账户 %s，现金 %s", item.Name, item.Fen, fromAccount, item.Fen-fromAccount),
			EN: fmt.Sprintf("%s %s, the account does not suffice: account %s, cash %s", item.Name, item.Fen, fromAccount, item.Fen-fromAccount)}
	default:
		return exchange.Text{
			ZH: fmt.Sprintf("“%s”%s", item.Name, item.Fen),
			EN: fmt.Sprintf("%s %s", item.Name, item.Fen)}
	}
}

// fraction says that the patient bears what is below one fen.
func fraction(exact bool) (zh, en string) {
	if exact {
		return "", ""
	}
	return "（不足一分按一分计）", " (a fraction of a fen counts as one)"
}
