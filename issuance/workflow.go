package issuance

import "onecard/registry"

// The states and events that the code names. The others are in the table only.
const (
	StateApplied       = "applied"
	StateNumbered      = "numbered"
	StatePersonalising = "personalising"
	StateMade          = "made"
	StateHanded        = "handed"

	StatusSealed    = "0" // 封存
	StatusNormal    = "1" // 正常
	StatusLocked    = "3" // 应用锁定
	StatusCancelled = "9" // 注销

	EventApprove     = "approve"
	EventPersonalise = "personalise"
	EventSpoil       = "spoil"
	EventActivate    = "activate"
	EventLock        = "lock"
	EventUnlock      = "unlock"
)

// Who is told of an event: the terminals by the list of invalid cards (失效名单),
// the holder by message.
const (
	TellTerminals = "terminals"
	TellHolder    = "holder"
)

var told = map[string]Text{TellTerminals: {"终端（失效名单）", "terminals"}, TellHolder: {"持卡人", "holder"}}

// chipOperations are those that an event may wait for.
var chipOperations = []string{EventPersonalise, EventActivate, EventLock, EventUnlock}

// Roles by their work.
var (
	clerks      = []string{registry.RoleClerk}
	reviewers   = []string{registry.RoleReviewer}
	makers      = []string{registry.RoleClerk, registry.RoleIssuer}
	supervisors = []string{registry.RoleSupervisor}
	cashiers    = []string{registry.RoleCashier}
)

var (
	toHolder    = []string{TellHolder}
	toTerminals = []string{TellTerminals}
	toBoth      = []string{TellTerminals, TellHolder}
)

// Applications is the workflow of an application (申领流程).
var Applications = Machine{
	Name: "application", Title: Text{"申领", "application"}, Initial: StateApplied,
	States: []State{
		{StateApplied, Text{"已申请，待复核", "applied"}, false},
		{"returned", Text{"已退回", "returned"}, true},
		{"withdrawn", Text{"已撤销", "withdrawn"}, true},
		{StateNumbered, Text{"已复核取号，待制卡", "reviewed, with a card number"}, false},
		{StatePersonalising, Text{"制卡中", "personalising"}, false},
		{StateMade, Text{"已制成，待领取", "made"}, false},
		{StateHanded, Text{"已领取启用", "handed over"}, true},
		{"cancelled", Text{"卡未领取即注销", "card cancelled before it was handed over"}, true},
	},
	Rules: []Rule{
		{From: StateApplied, Event: EventApprove, To: StateNumbered, Roles: reviewers, Needs: []string{NeedsOtherPerson, NeedsAlive}, Tell: toHolder, Text: Text{"复核通过", "approve"}},
		{From: StateApplied, Event: "return", To: "returned", Roles: reviewers, Needs: []string{NeedsOtherPerson}, Reason: true, Tell: toHolder, Text: Text{"退回", "return"}},
		{From: StateApplied, Event: "withdraw", To: "withdrawn", Roles: clerks, Reason: true, Text: Text{"撤销", "withdraw"}},
		{From: StateNumbered, Event: EventPersonalise, To: StatePersonalising, Roles: makers, Needs: []string{NeedsAlive}, Chip: EventPersonalise, Text: Text{"制卡", "personalise"}},
		{From: StateNumbered, Event: "withdraw", To: "withdrawn", Roles: supervisors, Reason: true, Text: Text{"撤销", "withdraw"}},
		{From: StatePersonalising, Event: EventPersonalise, To: StateMade, Roles: makers, Chip: EventPersonalise, Tell: toHolder, Text: Text{"接续制卡", "continue"}},
		{From: StatePersonalising, Event: EventSpoil, To: StateNumbered, Roles: supervisors, Reason: true, Text: Text{"作废芯片", "spoil the chip"}},
		{From: StateMade, Event: EventActivate, To: StateHanded, Roles: clerks, Chip: EventActivate, Follows: true, Text: Text{"领取启用", "hand over"}},
		{From: StateMade, Event: "cancel", To: "cancelled", Roles: supervisors, Follows: true, Tell: toHolder, Text: Text{"随卡注销", "with the card"}},
	},
}

// What else changes with a card's status: its custody and its chip.
var (
	handedToHolder = map[string]any{"custody": "holder", "chip": "in-use"}
	chipLocked     = map[string]any{"chip": "application-locked"}
	chipInUse      = map[string]any{"chip": "in-use"}
)

// Cards is the workflow of the card's status AAZ502 (卡应用状态). The code set is the
// national one; other provinces' sets are mapped at the interface to them.
var Cards = Machine{
	Name: "card", Title: Text{"卡应用状态 AAZ502", "card status AAZ502"}, Initial: StatusSealed,
	States: []State{
		{StatusSealed, Text{"封存", "sealed"}, false},
		{StatusNormal, Text{"正常", "normal"}, false},
		{"2", Text{"正式挂失", "lost"}, false},
		{StatusLocked, Text{"应用锁定", "application locked"}, false},
		{"4", Text{"临时挂失", "temporarily lost"}, false},
		{StatusCancelled, Text{"注销", "cancelled"}, true},
	},
	Rules: []Rule{
		{From: StatusSealed, Event: EventActivate, To: StatusNormal, Roles: clerks, Needs: []string{NeedsAlive}, Chip: EventActivate, Also: EventActivate, Tell: toHolder, Sets: handedToHolder, Text: Text{"启用", "activate"}},
		{From: StatusSealed, Event: "cancel", To: StatusCancelled, Roles: supervisors, Reason: true, Also: "cancel", Tell: toBoth, Text: Text{"注销", "cancel"}},
		{From: StatusNormal, Event: "reportTemporaryLoss", To: "4", Roles: clerks, Tell: toBoth, Text: Text{"临时挂失", "report temporary loss"}},
		{From: StatusNormal, Event: "reportLoss", To: "2", Roles: clerks, Tell: toBoth, Text: Text{"正式挂失", "report loss"}},
		{From: StatusNormal, Event: EventLock, To: StatusLocked, Roles: supervisors, Chip: EventLock, Tell: toTerminals, Sets: chipLocked, Text: Text{"锁定应用", "lock the application"}},
		{From: StatusNormal, Event: "cancel", To: StatusCancelled, Roles: supervisors, Reason: true, Tell: toBoth, Text: Text{"注销", "cancel"}},
		{From: "4", Event: "reportLoss", To: "2", Roles: clerks, Tell: toBoth, Text: Text{"正式挂失", "report loss"}},
		{From: "4", Event: "cancelLoss", To: StatusNormal, Roles: clerks, Tell: toBoth, Text: Text{"解挂", "cancel the loss report"}},
		{From: "4", Event: "cancel", To: StatusCancelled, Roles: supervisors, Reason: true, Tell: toBoth, Text: Text{"注销", "cancel"}},
		{From: "2", Event: "cancelLoss", To: StatusNormal, Roles: clerks, Reason: true, Tell: toBoth, Text: Text{"解挂", "cancel the loss report"}},
		{From: "2", Event: "cancel", To: StatusCancelled, Roles: supervisors, Reason: true, Tell: toBoth, Text: Text{"注销", "cancel"}},
		{From: StatusLocked, Event: EventUnlock, To: StatusNormal, Roles: supervisors, Chip: EventUnlock, Tell: toTerminals, Sets: chipInUse, Text: Text{"解锁应用", "unlock the application"}},
		{From: StatusLocked, Event: "cancel", To: StatusCancelled, Roles: supervisors, Reason: true, Tell: toBoth, Text: Text{"注销", "cancel"}},
	},
}
