package bank

import (
	"slices"

	"onecard/issuance"
)

// Pseudo-roles of the tables: nobody can be given them.
const (
	roleBank   = "bank"
	roleSystem = "system"
)

// States of an account, as bank_accounts has them.
const (
	Preopened   = "preopened"    // 预开户
	Active      = "active"       // 正常
	OralLoss    = "oral-loss"    // 口头挂失
	WrittenLoss = "written-loss" // 书面挂失
	Frozen      = "frozen"       // 冻结
	Closed      = "closed"       // 销户
)

// notOpened is the state before there is an account.
const notOpened = ""

type text = issuance.Text

// Accounts is the life of an account (金融账户状态). The bank keeps the accounts:
// what it tells is held against this table, and what the table does not have is
// a difference for a person to look at.
var Accounts = issuance.Machine{
	Name: "bank-account", Title: text{ZH: "金融账户", EN: "bank account"}, Initial: notOpened,
	States: []issuance.State{
		{Name: notOpened, Text: text{ZH: "未开户", EN: "not opened"}},
		{Name: Preopened, Text: text{ZH: "预开户，未激活", EN: "pre-opened, not activated"}},
		{Name: Active, Text: text{ZH: "正常", EN: "active"}},
		{Name: OralLoss, Text: text{ZH: "口头挂失", EN: "lost, told by voice"}},
		{Name: WrittenLoss, Text: text{ZH: "书面挂失", EN: "lost, in writing"}},
		{Name: Frozen, Text: text{ZH: "冻结", EN: "frozen"}},
		{Name: Closed, Text: text{ZH: "销户", EN: "closed"}, Final: true},
	},
	Rules: accountRules(),
}

func accountRules() []issuance.Rule {
	both := []string{roleBank, roleSystem}
	banks := []string{roleBank}
	rules := []issuance.Rule{
		{From: notOpened, Event: "open", To: Preopened, Roles: both, Text: text{ZH: "开户", EN: "open"}},
		{From: Preopened, Event: ChangeActivate, To: Active, Roles: both, Text: text{ZH: "激活", EN: "activate"}},
	}
	for _, from := range []string{Preopened, Active} {
		rules = append(rules, issuance.Rule{From: from, Event: ChangeOralLoss, To: OralLoss, Roles: both, Text: text{ZH: "口头挂失", EN: "loss by voice"}})
	}
	for _, from := range []string{Preopened, Active, OralLoss} {
		rules = append(rules, issuance.Rule{From: from, Event: ChangeLoss, To: WrittenLoss, Roles: both, Text: text{ZH: "书面挂失", EN: "loss in writing"}})
	}
	for _, from := range []string{OralLoss, WrittenLoss, Frozen} {
		rules = append(rules,
			issuance.Rule{From: from, Event: ChangeUnloss, To: Active, Roles: both, Text: text{ZH: "解挂、解冻", EN: "found, unfrozen"}},
			issuance.Rule{From: from, Event: "restore", To: Preopened, Roles: banks, Text: text{ZH: "解挂，仍未激活", EN: "found, not yet activated"}})
	}
	for _, from := range []string{Preopened, Active, OralLoss, WrittenLoss} {
		rules = append(rules, issuance.Rule{From: from, Event: ChangeFreeze, To: Frozen, Roles: both, Text: text{ZH: "冻结", EN: "freeze"}})
	}
	for _, from := range []string{Preopened, Active, OralLoss, WrittenLoss, Frozen} {
		rules = append(rules, issuance.Rule{From: from, Event: ChangeClose, To: Closed, Roles: both, Text: text{ZH: "销户", EN: "close"}})
	}
	return rules
}

// leads says whether an account can go from one state to the other.
func leads(from, to string) bool {
	return slices.ContainsFunc(Accounts.Rules, func(r issuance.Rule) bool { return r.From == from && r.To == to })
}

// States of an order.
const (
	Begun    = "begun"    // 已登记
	Sent     = "sent"     // 已发出
	Unknown  = "unknown"  // 结果未知
	Done     = "done"     // 已完成
	Refused  = "refused"  // 银行拒绝
	Reversed = "reversed" // 已冲正
)

// Events of an order.
const (
	eventSend    = "send"
	eventConfirm = "confirm"
	eventRefuse  = "refuse"
	eventLose    = "lose"
	eventRepeat  = "repeat"
	eventReverse = "reverse"
)

// Orders is the life of an order (银行指令).
var Orders = issuance.Machine{
	Name: "bank-order", Title: text{ZH: "银行指令", EN: "order to a bank"}, Initial: Begun,
	States: []issuance.State{
		{Name: Begun, Text: text{ZH: "已登记，待发送", EN: "begun"}},
		{Name: Sent, Text: text{ZH: "已发出，待回应", EN: "sent"}},
		{Name: Unknown, Text: text{ZH: "结果未知，待查询", EN: "outcome unknown: the bank is asked"}},
		{Name: Done, Text: text{ZH: "已完成", EN: "done"}, Final: true},
		{Name: Refused, Text: text{ZH: "银行拒绝", EN: "refused"}, Final: true},
		{Name: Reversed, Text: text{ZH: "已冲正", EN: "reversed"}, Final: true},
	},
	Rules: []issuance.Rule{
		{From: Begun, Event: eventSend, To: Sent, Roles: []string{roleSystem}, Text: text{ZH: "发送", EN: "send"}},
		{From: Sent, Event: eventConfirm, To: Done, Roles: []string{roleBank}, Text: text{ZH: "银行确认", EN: "the bank confirms"}},
		{From: Sent, Event: eventRefuse, To: Refused, Roles: []string{roleBank}, Text: text{ZH: "银行拒绝", EN: "the bank refuses"}},
		{From: Sent, Event: eventLose, To: Unknown, Roles: []string{roleSystem}, Text: text{ZH: "超时或无法辨认的回应", EN: "no usable answer, or the platform stopped"}},
		{From: Unknown, Event: eventConfirm, To: Done, Roles: []string{roleBank}, Text: text{ZH: "查询：已办理", EN: "asked: done"}},
		{From: Unknown, Event: eventRefuse, To: Refused, Roles: []string{roleBank}, Text: text{ZH: "查询：已拒绝", EN: "asked: refused"}},
		{From: Unknown, Event: eventRepeat, To: Begun, Roles: []string{roleBank}, Text: text{ZH: "查询：未收到，重发", EN: "asked: never arrived, again"}},
		{From: Begun, Event: eventReverse, To: Reversed, Roles: []string{roleSystem}, Text: text{ZH: "冲正", EN: "reverse"}},
		{From: Sent, Event: eventReverse, To: Reversed, Roles: []string{roleSystem}, Text: text{ZH: "冲正", EN: "reverse"}},
		{From: Unknown, Event: eventReverse, To: Reversed, Roles: []string{roleSystem}, Text: text{ZH: "冲正", EN: "reverse"}},
	},
}
