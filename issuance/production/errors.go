package production

import (
	"onecard/card/profile"
	"onecard/issuance"
)

func refusal(code, zh, en, remedyZH, remedyEN string) *issuance.Error {
	return &issuance.Error{Code: code, Text: profile.Text{ZH: zh, EN: en}, Remedy: profile.Text{ZH: remedyZH, EN: remedyEN}}
}

// The refusals.
var (
	ErrSupplier    = refusal("supplier-not-approved", "卡商或产品未获批准，或不在批准期内", "the supplier or product is not approved, or not now", "请先办理变更备案。", "Have the change filed with the ministry first.")
	ErrQuota       = refusal("over-quota", "超出该卡商获批数量", "more cards than the supplier is approved for", "请减少数量，或先办理数量变更备案。", "Order fewer, or have the number changed first.")
	ErrEmpty       = refusal("empty-batch", "没有可组批的申领", "there is no application to order", "", "")
	ErrLocked      = refusal("batch-locked", "批次正由他人处理", "somebody else works on the batch", "请稍后再试；对方中断的，锁定到期后自动解除。", "Try again later; the lock ends by itself.")
	ErrOther       = refusal("other-batch", "此批次号已用于内容不同的批次", "the number belongs to a batch of other contents", "请换一个批次号。", "Take another number.")
	ErrBankWaits   = refusal("accounts-awaited", "银行尚未答复全部开户", "the bank has not answered for all accounts yet", "请先处理银行回盘。", "Take the bank's return first.")
	ErrChips       = refusal("no-chips", "卡商清单中的空白芯片不足", "too few blank chips on the maker's list", "请卡商报送新的芯片清单。", "Ask the maker for a new list of chips.")
	ErrSigner      = refusal("return-signature", "文件不是该卡商签名的，或被改动", "the file is not signed by this maker, or was altered", "请勿使用，并通知卡商重新报送。", "Do not use it; ask the maker to send it again.")
	ErrReturn      = refusal("return-malformed", "回盘文件不合格式、不完整或数量不符", "the return is malformed, not whole, or its counts are wrong", "请通知卡商重新报送。", "Ask the maker to send it again.")
	ErrUndestroyed = refusal("undestroyed", "还有废卡没有销毁记录", "some spoiled cards are not recorded as destroyed", "请两人办理销毁。", "Have them destroyed before two persons.")
	ErrSample      = refusal("sample-incomplete", "质检数量未达到规定", "too few cards have been inspected", "请继续质检。", "Go on inspecting.")
	ErrInspector   = refusal("same-inspector", "组批人不能质检自己的批次", "whoever ordered the batch may not inspect it", "请由另一人质检。", "Let another person inspect it.")
	ErrWitness     = refusal("same-witness", "销毁须由另一人签字", "the second signature must be another person's", "请由另一人签字。", "Let another person sign.")
	ErrCompared    = refusal("not-compared", "没有此卡本人近期的比对记录", "there is no recent comparison of this card by you", "请在窗口读卡比对后再记录。", "Compare the card at a counter first.")
	ErrCardType    = refusal("card-type", "当地发行的卡类别与批次不符", "cards of another type are issued in the holder's place", "", "")
	ErrItem        = refusal("item-state", "此卡当前状态下不能办理此项", "not possible for this card in its present state", "", "")
)
