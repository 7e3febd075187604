package insurance

import "onecard/exchange"

// The refusals of this back end. They come as the reason of a declined outcome.
var (
	ErrNoPolicy = &exchange.Refusal{Code: "noPolicy", Text: exchange.Text{
		ZH: "参保地没有该年度该险种的政策参数", EN: "the insured place has no policy for this year and kind of insurance"}}
	ErrNoLevel = &exchange.Refusal{Code: "noLevel", Text: exchange.Text{
		ZH: "政策没有规定该等级医院的报销比例", EN: "the policy has no ratio for this level of hospital"}}
	ErrNoAccount = &exchange.Refusal{Code: "noAccount", Text: exchange.Text{
		ZH: "该险种没有个人账户，请用现金购买", EN: "this kind of insurance has no personal account: pay in cash"}}
	ErrAccountShort = &exchange.Refusal{Code: "accountShort", Text: exchange.Text{
		ZH: "个人账户余额不足", EN: "the balance of the personal account does not suffice"}}
	ErrFundShort = &exchange.Refusal{Code: "fundShort", Text: exchange.Text{
		ZH: "统筹基金余额不足，请联系参保地经办机构", EN: "the pooled fund does not suffice: ask the agency of the insured place"}}
	ErrMoved = &exchange.Refusal{Code: "insuranceMoved", Text: exchange.Text{
		ZH: "参保地或险种已变更，请重新发起交易", EN: "the insured place or kind has changed: begin a new transaction"}}
	ErrNoBusiness = &exchange.Refusal{Code: "noBusiness", Text: exchange.Text{
		ZH: "本后台不办理该业务", EN: "this back end does not do this business"}}
)
