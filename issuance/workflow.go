package issuance

import "onecard/registry"

// The states and events that the code names. The others are in the table only.
const (
	StateDraft         = "draft"
	StateApplied       = "applied"
	StateReturned      = "returned"
	StateWithdrawn     = "withdrawn"
	StateNumbered      = "numbered"
	StateBatched       = "batched"
	StatePersonalising = "personalising"
	StateMade          = "made"
	StateHanded        = "handed"

	StatusSealed    = "0" // 封存
	StatusNormal    = "1" // 正常
	StatusLost      = "2" // 正式挂失
	StatusLocked    = "3" // 应用锁定
	StatusTempLost  = "4" // 临时挂失
	StatusCancelled = "9" // 注销

	EventSubmit      = "submit"
	EventResubmit    = "resubmit"
	EventApprove     = "approve"
	EventReopen      = "reopen"
	EventPersonalise = "personalise"
	EventSpoil       = "spoil"
	EventBatch       = "batch"
	EventUnbatch     = "unbatch"
	EventMake        = "make"
	EventRemake      = "remake"
	EventActivate    = "activate"
	EventLock        = "lock"
	EventUnlock      = "unlock"
	EventSuspend     = "suspend"
	EventScrap       = "scrap"
	EventSupersede   = "supersede"
	EventCancel      = "cancel"
	EventEndLoss     = "endLoss"
	EventLapse       = "lapse"
	EventExpire      = "expire"

	ChipLocked = "application-locked"
)

// Who is told of an event, in the order of danger: the terminals by the list of
// invalid cards (失效名单), the back ends by the exchange store, then bank,
// ministry and holder one by one.
const (
	TellTerminals = "terminals"
	TellBackEnds  = "back-ends"
	TellBank      = "bank"
	TellMinistry  = "ministry"
	TellHolder    = "holder"
)

var told = map[string]Text{
	TellTerminals: {"终端（失效名单）", "terminals"}, TellBackEnds: {"医保、社保、就业后台", "back ends"}, TellBank: {"银行", "bank"},
	TellMinistry: {"部级持卡库", "ministry"}, TellHolder: {"持卡人", "holder"},
}

// chipOperations are those that an event may wait for.
var chipOperations = []string{EventPersonalise, EventActivate, EventLock, EventUnlock}

// Roles by their work.
var (
	clerks      = []string{registry.RoleClerk}
	reviewers   = []string{registry.RoleReviewer}
	makers      = []string{registry.RoleClerk, registry.RoleIssuer}
	supervisors = []string{registry.RoleSupervisor}
	cashiers    = []string{registry.RoleCashier}
	producers   = []string{registry.RoleProducer}
	reopeners   = []string{registry.RoleClerk, registry.RoleReviewer, registry.RoleSupervisor}
)

var (
	toHolder  = []string{TellHolder}
	toAll     = []string{TellTerminals, TellBackEnds, TellBank, TellMinistry, TellHolder}
	toOffices = []string{TellTerminals, TellBackEnds, TellBank, TellMinistry}
	toEnabled = []string{TellBackEnds, TellBank, TellMinistry, TellHolder}
	toLocked  = []string{TellTerminals, TellBackEnds, TellMinistry}
)

// Applications is the workflow of an application (申领流程).
var Applications = Machine{
	Name: "application", Title: Text{"申领", "application"}, Initial: StateApplied, Also: []string{StateDraft}, Table: "applications", Column: "state", Refusals: applicationRefusals,
	States: []State{
		{StateDraft, Text{"草稿", "draft"}, false},
		{StateApplied, Text{"已申请，待复核", "applied"}, false},
		{StateReturned, Text{"已退回，待补正", "returned"}, false},
		{StateWithdrawn, Text{"已撤销", StateWithdrawn}, true},
		{StateNumbered, Text{"已复核取号，待制卡", "reviewed, with a card number"}, false},
		{StateBatched, Text{"已编入批次，工厂制卡中", "in a batch"}, false},
		{StatePersonalising, Text{"制卡中", "personalising"}, false},
		{StateMade, Text{"已制成，待领取", "made"}, false},
		{StateHanded, Text{"已领取启用", "handed over"}, true},
		{"cancelled", Text{"卡未领取即注销", "card cancelled before it was handed over"}, true},
	},
	Rules: []Rule{
		{From: StateDraft, Event: EventSubmit, To: StateApplied, Roles: clerks, Needs: []string{NeedsAlive}, Tell: toHolder, Text: Text{"提交", "submit"}},
		{From: StateDraft, Event: "withdraw", To: StateWithdrawn, Roles: clerks, Reasons: "withdraw", Text: Text{"撤销", "withdraw"}},
		{From: StateApplied, Event: EventApprove, To: StateNumbered, Roles: reviewers, Needs: []string{NeedsOtherPerson, NeedsOtherHand, NeedsAlive, NeedsNotElsewhere}, Tell: toHolder, Text: Text{"复核通过", "approve"}},
		{From: StateApplied, Event: "return", To: StateReturned, Roles: reviewers, Needs: []string{NeedsOtherPerson}, Reasons: "return", Tell: toHolder, Text: Text{"退回", "return"}},
		{From: StateApplied, Event: "withdraw", To: StateWithdrawn, Roles: clerks, Reasons: "withdraw", Tell: toHolder, Text: Text{"撤销", "withdraw"}},
		{From: StateReturned, Event: EventResubmit, To: StateApplied, Roles: clerks, Needs: []string{NeedsAlive}, Tell: toHolder, Text: Text{"补正后重新提交", "submit again"}},
		{From: StateReturned, Event: "withdraw", To: StateWithdrawn, Roles: clerks, Reasons: "withdraw", Tell: toHolder, Text: Text{"撤销", "withdraw"}},
		{From: StateNumbered, Event: EventPersonalise, To: StatePersonalising, Roles: makers, Needs: []string{NeedsAlive, NeedsUnchanged, NeedsInstant}, Chip: EventPersonalise, Text: Text{"制卡", "personalise"}},
		{From: StateNumbered, Event: EventBatch, To: StateBatched, Roles: producers, By: ByBatch, Needs: []string{NeedsAlive, NeedsUnchanged, NeedsBatch}, Text: Text{"编入批次", "put into a batch"}},
		{From: StateNumbered, Event: EventReopen, To: StateApplied, Roles: reopeners, Reasons: "reopen", Text: Text{"重新复核", "review again"}},
		{From: StateNumbered, Event: "withdraw", To: StateWithdrawn, Roles: supervisors, Reasons: "withdraw", Tell: toHolder, Text: Text{"撤销", "withdraw"}},
		{From: StateBatched, Event: EventUnbatch, To: StateNumbered, Roles: producers, By: ByBatch, Reasons: "unbatch", Text: Text{"退出批次", "take out of the batch"}},
		{From: StateBatched, Event: EventMake, To: StateMade, Roles: producers, By: ByBatch, Tell: toHolder, Text: Text{"工厂制成", "made by the maker"}},
		{From: StatePersonalising, Event: EventPersonalise, To: StateMade, Roles: makers, Chip: EventPersonalise, Tell: toHolder, Text: Text{"接续制卡", "continue"}},
		{From: StatePersonalising, Event: EventSpoil, To: StateNumbered, Roles: supervisors, Reasons: "spoil", Text: Text{"作废芯片", "spoil the chip"}},
		{From: StateMade, Event: EventActivate, To: StateHanded, Roles: clerks, By: ByCard, Text: Text{"领取启用", "hand over"}},
		{From: StateMade, Event: EventRemake, To: StateNumbered, Roles: producers, By: ByCard, Text: Text{"卡报废，重新制卡", "the card was scrapped: make another"}},
		{From: StateMade, Event: EventCancel, To: "cancelled", Roles: supervisors, By: ByCard, Tell: toHolder, Text: Text{"随卡注销", "with the card"}},
	},
}

// What else changes with a card's status: its custody and its chip, and when a
// loss report ends.
var (
	handedToHolder = map[string]any{"custody": "holder", "chip": "in-use"}
	chipLocked     = map[string]any{"chip": ChipLocked}
	chipInUse      = map[string]any{"chip": "in-use"}
	scrapped       = map[string]any{"production": "scrapped", "custody": "returned"}
)

// Cards is the workflow of the card's status AAZ502 (卡应用状态). The code set is the
// national one; other provinces' sets are mapped at the interface to them.
var Cards = Machine{
	Name: "card", Title: Text{"卡应用状态 AAZ502", "card status AAZ502"}, Initial: StatusSealed, Table: "cards", Column: "status", Refusals: cardRefusals,
	States: []State{
		{StatusSealed, Text{"封存", "sealed"}, false},
		{StatusNormal, Text{"正常", "normal"}, false},
		{StatusLost, Text{"正式挂失", "lost"}, false},
		{StatusLocked, Text{"应用锁定", "application locked"}, false},
		{StatusTempLost, Text{"临时挂失", "temporarily lost"}, false},
		{StatusCancelled, Text{"注销", "cancelled"}, true},
	},
	Rules: []Rule{
		{From: StatusSealed, Event: EventActivate, To: StatusNormal, Roles: clerks, Needs: []string{NeedsAlive, NeedsRegion, NeedsPrinted, NeedsTaker}, Chip: EventActivate, Also: EventActivate, Tell: toEnabled, Sets: handedToHolder, Text: Text{"启用", "activate"}},
		{From: StatusSealed, Event: EventScrap, To: StatusCancelled, Roles: []string{registry.RoleProducer, registry.RoleSupervisor}, Reasons: "scrap", Also: EventRemake, Tell: toOffices, Sets: scrapped, Text: Text{"报废重制", "scrap and make another"}},
		{From: StatusSealed, Event: EventCancel, To: StatusCancelled, Roles: supervisors, Needs: []string{NeedsRegion}, Reasons: "cancel", Also: EventCancel, Tell: toAll, Text: Text{"注销", "cancel"}},

		{From: StatusNormal, Event: "reportTemporaryLoss", To: StatusTempLost, Roles: clerks, Tell: toAll, Text: Text{"临时挂失", "report temporary loss"}},
		{From: StatusNormal, Event: "reportLoss", To: StatusLost, Roles: clerks, Tell: toAll, Text: Text{"正式挂失", "report loss"}},
		{From: StatusNormal, Event: EventLock, To: StatusLocked, Roles: supervisors, Chip: EventLock, Tell: toLocked, Sets: chipLocked, Text: Text{"锁定应用", "lock the application"}},
		{From: StatusNormal, Event: EventSuspend, To: StatusLocked, Roles: supervisors, Reasons: "suspend", Tell: toLocked, Text: Text{"停用（不插卡锁定）", "suspend without the card"}},
		{From: StatusNormal, Event: "holderDied", To: StatusLocked, By: ByFact, Tell: toLocked, Text: Text{"持卡人死亡，停用", "the holder died"}},
		{From: StatusNormal, Event: EventSupersede, To: StatusCancelled, By: ByCard, Tell: toOffices, Text: Text{"新卡启用，旧卡注销", "another card was activated in its place"}},
		{From: StatusNormal, Event: EventExpire, To: StatusCancelled, By: ByTimer, Tell: toAll, Text: Text{"临时卡到期", "the temporary card has expired"}},
		{From: StatusNormal, Event: EventCancel, To: StatusCancelled, Roles: supervisors, Needs: []string{NeedsRegion}, Reasons: "cancel", Tell: toAll, Text: Text{"注销", "cancel"}},

		{From: StatusTempLost, Event: "reportLoss", To: StatusLost, Roles: clerks, Tell: toAll, Text: Text{"正式挂失", "report loss"}},
		{From: StatusTempLost, Event: "cancelLoss", To: StatusNormal, Roles: clerks, Needs: []string{NeedsNoReplacement, NeedsAlone}, Tell: toAll, Text: Text{"解挂", "cancel the loss report"}},
		{From: StatusTempLost, Event: EventEndLoss, To: StatusNormal, By: ByTimer, Needs: []string{NeedsNoReplacement, NeedsAlone}, Tell: toAll, Text: Text{"临时挂失到期，自动解挂", "the temporary loss report has ended"}},
		{From: StatusTempLost, Event: "holderDied", To: StatusLocked, By: ByFact, Tell: toLocked, Text: Text{"持卡人死亡，停用", "the holder died"}},
		{From: StatusTempLost, Event: EventSupersede, To: StatusCancelled, By: ByCard, Tell: toOffices, Text: Text{"新卡启用，旧卡注销", "another card was activated in its place"}},
		{From: StatusTempLost, Event: EventCancel, To: StatusCancelled, Roles: supervisors, Needs: []string{NeedsRegion}, Reasons: "cancel", Tell: toAll, Text: Text{"注销", "cancel"}},

		{From: StatusLost, Event: "cancelLoss", To: StatusNormal, Roles: clerks, Needs: []string{NeedsRevocable, NeedsNoReplacement, NeedsAlone}, Reasons: "found", Tell: toAll, Text: Text{"解挂", "cancel the loss report"}},
		{From: StatusLost, Event: EventLapse, To: StatusCancelled, By: ByTimer, Needs: []string{NeedsNoReplacement}, Tell: toAll, Text: Text{"正式挂失期满注销", "the time after a loss report is over"}},
		{From: StatusLost, Event: "holderDied", To: StatusLocked, By: ByFact, Tell: toLocked, Text: Text{"持卡人死亡，停用", "the holder died"}},
		{From: StatusLost, Event: EventSupersede, To: StatusCancelled, By: ByCard, Tell: toOffices, Text: Text{"新卡启用，旧卡注销", "another card was activated in its place"}},
		{From: StatusLost, Event: EventCancel, To: StatusCancelled, Roles: supervisors, Needs: []string{NeedsRegion}, Reasons: "cancel", Tell: toAll, Text: Text{"注销", "cancel"}},

		{From: StatusLocked, Event: EventUnlock, To: StatusNormal, Roles: supervisors, Needs: []string{NeedsAlive, NeedsAlone}, Chip: EventUnlock, Tell: toLocked, Sets: chipInUse, Text: Text{"解锁应用", "unlock the application"}},
		{From: StatusLocked, Event: "lift", To: StatusNormal, Roles: supervisors, Needs: []string{NeedsAlive, NeedsOtherOfficer, NeedsChipOpen, NeedsAlone}, Reasons: "lift", Tell: toLocked, Text: Text{"恢复（不插卡解锁）", "lift the suspension"}},
		{From: StatusLocked, Event: EventCancel, To: StatusCancelled, Roles: supervisors, Needs: []string{NeedsRegion}, Reasons: "cancel", Tell: toAll, Text: Text{"注销", "cancel"}},
	},
}

// Machines are all dimensions that this package holds.
func Machines() []*Machine { return []*Machine{&Applications, &Cards} }
