package stock

import (
	"fmt"

	"onecard/card/profile"
	"onecard/issuance"
)

func refusal(code, zh, en, remedyZH, remedyEN string) *issuance.Error {
	return &issuance.Error{Code: code, Text: profile.Text{ZH: zh, EN: en}, Remedy: profile.Text{ZH: remedyZH, EN: remedyEN}}
}

// The refusals. ErrNoRight and ErrSamePerson are those of the workflow by their
// code.
var (
	ErrNoRight      = issuance.ErrNoRight
	ErrSamePerson   = refusal(issuance.ErrSamePerson.Code, "须由两个不同的人办理", "this takes two different persons", "请另一人到场确认。", "Let another person sign.")
	ErrWitness      = refusal("stock-witness", "须有第二人到场确认", "a second person has to sign", "请同机构另一人登录确认。", "Let a colleague of the same office sign.")
	ErrOtherPlace   = refusal("stock-other-place", "这不是您所在机构的库存", "not the stock of your office", "请由该机构办理。", "Ask that office.")
	ErrWay          = refusal("stock-way", "只能逐级发运：厂家、省、市州、县区、乡镇，或反向", "consignments go one step: maker, province, prefecture, county, township, or back", "请改为上一级或下一级机构。", "Choose the place one step up or down.")
	ErrNotThere     = refusal("stock-not-there", "卡不在此处库存，或当前状态不能办理", "the card is not in this stock in a state that allows this", "请查询该卡的流转记录。", "Look at the card's story.")
	ErrBoxed        = refusal("stock-boxed", "卡在封签的箱内", "the card lies in a sealed box", "请先由两人开箱。", "Let two persons open the box first.")
	ErrBoxState     = refusal("stock-box-state", "箱的当前状态不能办理此项", "not possible in the state of the box", "请刷新后再办。", "Refresh and look again.")
	ErrReceived     = refusal("stock-received", "此发运已签收，不能重复签收", "the consignment was accepted already", "请刷新列表。", "Refresh the list.")
	ErrKnown        = refusal("stock-known", "清单中的卡、箱或封签已在账上", "a card, a box or a seal of the list is on the books already", "请核对清单是否重复。", "See whether the list was entered before.")
	ErrNotFinished  = refusal("stock-not-finished", "没有待发的成品卡", "not a finished card that waits to be handed over", "请核对卡号；卡须已制成、未领取，且在本处保管。", "Check the number: made, not handed over, kept here.")
	ErrNotLeased    = refusal("stock-not-leased", "此空白卡未由本柜台领用，或领用已到期", "this blank was not leased to this counter, or the lease has ended", "请向库管员领用后再制卡。", "Ask the storekeeper for a lease.")
	ErrLeaseEnded   = refusal("stock-lease-ended", "领用已交回", "the lease has been returned", "请刷新列表。", "Refresh the list.")
	ErrDayClosed    = refusal("stock-day-closed", "该日已日结，不能再改", "the day is closed and does not change any more", "请在次日账中更正。", "Correct it in the next day's book.")
	ErrDayAhead     = refusal("stock-day-ahead", "不能对未到的日期日结", "a day that has not come cannot be closed", "请核对日期。", "Check the day.")
	ErrClosedIssue  = refusal("stock-incident-closed", "此异常已办结", "the incident is closed already", "请刷新列表。", "Refresh the list.")
	ErrUnknownOwner = refusal("stock-owner", "没有这名责任人", "no such operator to own the incident", "请填写操作员登录名。", "Name an operator by login.")
)

// naming is a refusal that names the card, box or place that it is about. A
// serial and a card number say nothing of a person.
func naming(e *issuance.Error, what string) error {
	named := *e
	named.Text = profile.Text{ZH: fmt.Sprintf("%s：%s", e.Text.ZH, what), EN: fmt.Sprintf("%s: %s", e.Text.EN, what)}
	return &named
}
