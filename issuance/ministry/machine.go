// Package ministry tells the ministry's base of card holders (部级持卡库) of the
// province's cards: registration, status, duplicate query, monthly statistics,
// and a daily comparison of its copy with ours. The ministry's interface is not
// public: its messages are data (schema.yaml), its transport is assumed.
package ministry

import (
	"onecard/issuance"
	"onecard/registry"
)

// States of the ministry's copy of a card, cards.ministry_state.
const (
	Unsent    = "unsent"
	Sent      = "sent"
	Accepted  = "accepted"
	Duplicate = "duplicate"
	Rejected  = "rejected"
	Unknown   = "unknown"
	Stale     = "stale"
)

// Events of the copy.
const (
	eventSend   = "send"
	eventLose   = "lose"
	eventDiffer = "differ"
)

// Who moves a copy: the platform's timers and operators at the console, and the
// ministry by its answers.
var (
	byUs   = []string{"system", registry.RoleAdmin}
	byThem = []string{"ministry"}
)

func text(zh, en string) issuance.Text { return issuance.Text{ZH: zh, EN: en} }

// Copies is what becomes of the ministry's copy of a card (部级副本状态).
var Copies = issuance.Machine{
	Name: "ministry", Title: text("部级持卡库副本", "the ministry's copy"), Initial: Unsent,
	States: []issuance.State{
		{Name: Unsent, Text: text("未上传", "not sent")},
		{Name: Sent, Text: text("已上传，待应答", "sent, no answer yet")},
		{Name: Accepted, Text: text("已入库", "accepted")},
		{Name: Duplicate, Text: text("他省有卡", "has a card in another province")},
		{Name: Rejected, Text: text("被退回", "rejected")},
		{Name: Unknown, Text: text("结果不明，待再问", "not known, to be asked again")},
		{Name: Stale, Text: text("副本陈旧，待重传", "stale, to be sent again")},
	},
	Rules: append(sends(),
		issuance.Rule{From: Sent, Event: "accept", To: Accepted, Roles: byThem, Text: text("入库", "accept")},
		issuance.Rule{From: Sent, Event: "elsewhere", To: Duplicate, Roles: byThem, Text: text("他省有卡", "has a card elsewhere")},
		issuance.Rule{From: Sent, Event: "refuse", To: Rejected, Roles: byThem, Text: text("退回", "refuse")},
		issuance.Rule{From: Sent, Event: "outdated", To: Stale, Roles: byThem, Text: text("版本陈旧", "older than theirs")},
		issuance.Rule{From: Sent, Event: eventLose, To: Unknown, Roles: byUs, Text: text("没有应答", "no answer")},
		issuance.Rule{From: Accepted, Event: eventDiffer, To: Stale, Roles: byUs, Text: text("核对不一致", "the copy differs")},
	),
}

// sends are the lines of what may be sent: anything may be told again.
func sends() []issuance.Rule {
	var rules []issuance.Rule
	for _, from := range []string{Unsent, Sent, Accepted, Duplicate, Rejected, Unknown, Stale} {
		rules = append(rules, issuance.Rule{From: from, Event: eventSend, To: Sent, Roles: byUs, Text: text("上传", "send")})
	}
	return rules
}
