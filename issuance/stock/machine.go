package stock

import (
	"onecard/issuance"
	"onecard/registry"
)

// Kinds of what is in stock.
const (
	Blank    = "blank" // 空白卡、预制卡, by serial
	Finished = "card"  // 成品卡, by card number
)

// The states of a card in stock. StateOutside is before its first movement.
const (
	StateOutside   = "outside"
	StateOrdered   = "ordered"
	StateStored    = "stored"
	StateSent      = "sent"
	StateIssued    = "issued"
	StateUsed      = "used"
	StateHanded    = "handed"
	StateSpoiled   = "spoiled"
	StateMissing   = "missing"
	StateDestroyed = "destroyed"
)

// The events.
const (
	eventOrder   = "order"
	eventEnter   = "enter"
	eventSend    = "send"
	eventReceive = "receive"
	eventDamage  = "damage"
	eventLose    = "lose"
	eventFind    = "find"
	eventLease   = "lease"
	eventReturn  = "return"
	eventUse     = "use"
	eventHand    = "hand"
	eventSpoil   = "spoil"
	eventDestroy = "destroy"
	eventPack    = "pack"
	eventOpen    = "open"
	eventDiffer  = "differ"
)

// NeedsWitness asks for a second person of the same place who signs with the
// first (双人).
const NeedsWitness = "witness"

var witness = map[string]text{NeedsWitness: {ZH: "第二人在场签字", EN: "a second person signs"}}

// Roles by their work.
var (
	keepers = []string{registry.RoleStorekeeper, registry.RoleSupervisor}
	makers  = []string{registry.RoleIssuer, registry.RoleClerk}
	heads   = []string{registry.RoleSupervisor}
	two     = []string{NeedsWitness}
)

type (
	text  = issuance.Text
	state = issuance.State
	rule  = issuance.Rule
)

// Blanks is the life of a blank card (空白卡).
var Blanks = issuance.Machine{
	Name: "blank", Title: text{ZH: "空白卡", EN: "blank card"}, Initial: StateOutside, Guards: witness,
	States: []state{
		{Name: StateOutside, Text: text{ZH: "未入账", EN: "not on the books"}},
		{Name: StateOrdered, Text: text{ZH: "已订购", EN: "ordered"}},
		{Name: StateStored, Text: text{ZH: "在库", EN: "in store"}},
		{Name: StateSent, Text: text{ZH: "在途", EN: "on the way"}},
		{Name: StateIssued, Text: text{ZH: "柜台领用", EN: "at a counter"}},
		{Name: StateUsed, Text: text{ZH: "已用", EN: "used"}},
		{Name: StateSpoiled, Text: text{ZH: "作废", EN: "spoiled"}},
		{Name: StateMissing, Text: text{ZH: "缺失", EN: "missing"}},
		{Name: StateDestroyed, Text: text{ZH: "已销毁", EN: "destroyed"}, Final: true},
	},
	Rules: []rule{
		{From: StateOutside, Event: eventOrder, To: StateOrdered, Roles: keepers, Text: text{ZH: "登记订货", EN: "order"}},
		{From: StateOrdered, Event: eventSend, To: StateSent, Roles: keepers, Text: text{ZH: "厂家发货", EN: "sent by the maker"}},
		{From: StateStored, Event: eventSend, To: StateSent, Roles: keepers, Text: text{ZH: "发出", EN: "send"}},
		{From: StateSent, Event: eventReceive, To: StateStored, Roles: keepers, Text: text{ZH: "入库", EN: "receive"}},
		{From: StateSent, Event: eventDamage, To: StateSpoiled, Roles: keepers, Needs: two, Text: text{ZH: "到货损坏", EN: "damaged on arrival"}},
		{From: StateSent, Event: eventLose, To: StateMissing, Roles: keepers, Needs: two, Reasons: "stock", Text: text{ZH: "到货缺失", EN: "missing on arrival"}},
		{From: StateStored, Event: eventLease, To: StateIssued, Roles: keepers, Text: text{ZH: "柜台领用", EN: "lease to a counter"}},
		{From: StateIssued, Event: eventReturn, To: StateStored, Roles: keepers, Text: text{ZH: "交回", EN: "return"}},
		{From: StateStored, Event: eventUse, To: StateUsed, Roles: makers, Text: text{ZH: "制卡使用", EN: "use"}},
		{From: StateIssued, Event: eventUse, To: StateUsed, Roles: makers, Text: text{ZH: "制卡使用", EN: "use"}},
		{From: StateUsed, Event: eventSpoil, To: StateSpoiled, Roles: heads, Reasons: "stock", Text: text{ZH: "作废", EN: "spoil"}},
		{From: StateStored, Event: eventSpoil, To: StateSpoiled, Roles: keepers, Needs: two, Reasons: "stock", Text: text{ZH: "作废", EN: "spoil"}},
		{From: StateIssued, Event: eventSpoil, To: StateSpoiled, Roles: keepers, Needs: two, Reasons: "stock", Text: text{ZH: "作废", EN: "spoil"}},
		{From: StateStored, Event: eventLose, To: StateMissing, Roles: keepers, Needs: two, Reasons: "stock", Text: text{ZH: "报失", EN: "report missing"}},
		{From: StateIssued, Event: eventLose, To: StateMissing, Roles: keepers, Needs: two, Reasons: "stock", Text: text{ZH: "报失", EN: "report missing"}},
		{From: StateSpoiled, Event: eventLose, To: StateMissing, Roles: keepers, Needs: two, Reasons: "stock", Text: text{ZH: "报失", EN: "report missing"}},
		{From: StateMissing, Event: eventFind, To: StateStored, Roles: keepers, Needs: two, Text: text{ZH: "找回", EN: "find"}},
		{From: StateSpoiled, Event: eventDestroy, To: StateDestroyed, Roles: keepers, Needs: two, Text: text{ZH: "销毁", EN: "destroy"}},
	},
}

// Cards is the life of a finished card while the stock keeps it (成品卡). A
// missing one is cancelled at once, so that one found again is waste.
var Cards = issuance.Machine{
	Name: "finished", Title: text{ZH: "成品卡", EN: "finished card"}, Initial: StateOutside, Guards: witness,
	States: []state{
		{Name: StateOutside, Text: text{ZH: "未入账", EN: "not on the books"}},
		{Name: StateOrdered, Text: text{ZH: "在厂家", EN: "at the maker's"}},
		{Name: StateStored, Text: text{ZH: "在库", EN: "in store"}},
		{Name: StateSent, Text: text{ZH: "在途", EN: "on the way"}},
		{Name: StateHanded, Text: text{ZH: "已领取", EN: "handed over"}, Final: true},
		{Name: StateSpoiled, Text: text{ZH: "作废", EN: "spoiled"}},
		{Name: StateMissing, Text: text{ZH: "缺失", EN: "missing"}},
		{Name: StateDestroyed, Text: text{ZH: "已销毁", EN: "destroyed"}, Final: true},
	},
	Rules: []rule{
		{From: StateOutside, Event: eventOrder, To: StateOrdered, Roles: keepers, Text: text{ZH: "登记制成", EN: "made"}},
		{From: StateOutside, Event: eventEnter, To: StateStored, Roles: keepers, Text: text{ZH: "入账", EN: "take over"}},
		{From: StateOrdered, Event: eventSend, To: StateSent, Roles: keepers, Text: text{ZH: "厂家发货", EN: "sent by the maker"}},
		{From: StateStored, Event: eventSend, To: StateSent, Roles: keepers, Text: text{ZH: "发出", EN: "send"}},
		{From: StateSent, Event: eventReceive, To: StateStored, Roles: keepers, Text: text{ZH: "入库", EN: "receive"}},
		{From: StateSent, Event: eventDamage, To: StateSpoiled, Roles: keepers, Needs: two, Text: text{ZH: "到货损坏", EN: "damaged on arrival"}},
		{From: StateSent, Event: eventLose, To: StateMissing, Roles: keepers, Needs: two, Reasons: "stock", Text: text{ZH: "到货缺失", EN: "missing on arrival"}},
		{From: StateStored, Event: eventHand, To: StateHanded, Roles: makers, Text: text{ZH: "领取", EN: "hand over"}},
		{From: StateStored, Event: eventSpoil, To: StateSpoiled, Roles: keepers, Needs: two, Reasons: "stock", Text: text{ZH: "作废", EN: "spoil"}},
		{From: StateStored, Event: eventLose, To: StateMissing, Roles: keepers, Needs: two, Reasons: "stock", Text: text{ZH: "报失", EN: "report missing"}},
		{From: StateSpoiled, Event: eventLose, To: StateMissing, Roles: keepers, Needs: two, Reasons: "stock", Text: text{ZH: "报失", EN: "report missing"}},
		{From: StateMissing, Event: eventFind, To: StateSpoiled, Roles: keepers, Needs: two, Text: text{ZH: "找回", EN: "find"}},
		{From: StateSpoiled, Event: eventDestroy, To: StateDestroyed, Roles: keepers, Needs: two, Text: text{ZH: "销毁", EN: "destroy"}},
	},
}

// The states of a box besides StateSent, and of a consignment.
const (
	StatePacked     = "packed"
	StateReceived   = "received"
	StateDifference = "difference"
	StateOpened     = "opened"
)

// Boxes is the life of a sealed box (箱). A received one may be sent on under
// the same seal. One that was accepted with a difference has been opened.
var Boxes = issuance.Machine{
	Name: "box", Title: text{ZH: "箱", EN: "box"}, Initial: StateOutside, Guards: witness,
	States: []state{
		{Name: StateOutside, Text: text{ZH: "未装箱", EN: "not packed"}},
		{Name: StatePacked, Text: text{ZH: "已装箱封签", EN: "packed and sealed"}},
		{Name: StateSent, Text: text{ZH: "在途", EN: "sent"}},
		{Name: StateReceived, Text: text{ZH: "已签收，未开箱", EN: "received, sealed"}},
		{Name: StateDifference, Text: text{ZH: "有差异签收", EN: "received with difference"}, Final: true},
		{Name: StateOpened, Text: text{ZH: "已开箱", EN: "opened"}, Final: true},
	},
	Rules: []rule{
		{From: StateOutside, Event: eventPack, To: StatePacked, Roles: keepers, Needs: two, Text: text{ZH: "装箱封签", EN: "pack and seal"}},
		{From: StatePacked, Event: eventSend, To: StateSent, Roles: keepers, Text: text{ZH: "发出", EN: "send"}},
		{From: StatePacked, Event: eventOpen, To: StateOpened, Roles: keepers, Needs: two, Text: text{ZH: "开箱", EN: "open"}},
		{From: StateSent, Event: eventReceive, To: StateReceived, Roles: keepers, Text: text{ZH: "签收", EN: "receive"}},
		{From: StateSent, Event: eventDiffer, To: StateDifference, Roles: keepers, Needs: two, Text: text{ZH: "有差异签收", EN: "receive with difference"}},
		{From: StateReceived, Event: eventSend, To: StateSent, Roles: keepers, Text: text{ZH: "转发", EN: "send on"}},
		{From: StateReceived, Event: eventOpen, To: StateOpened, Roles: keepers, Needs: two, Text: text{ZH: "开箱", EN: "open"}},
	},
}

// Consignments is the life of a consignment (发运).
var Consignments = issuance.Machine{
	Name: "consignment", Title: text{ZH: "发运", EN: "consignment"}, Initial: StateOutside, Guards: witness,
	States: []state{
		{Name: StateOutside, Text: text{ZH: "未发运", EN: "not sent"}},
		{Name: StateSent, Text: text{ZH: "在途", EN: "sent"}},
		{Name: StateReceived, Text: text{ZH: "已签收", EN: "received"}, Final: true},
		{Name: StateDifference, Text: text{ZH: "有差异签收", EN: "received with difference"}, Final: true},
	},
	Rules: []rule{
		{From: StateOutside, Event: eventSend, To: StateSent, Roles: keepers, Text: text{ZH: "发运", EN: "send"}},
		{From: StateSent, Event: eventReceive, To: StateReceived, Roles: keepers, Text: text{ZH: "签收", EN: "receive"}},
		{From: StateSent, Event: eventDiffer, To: StateDifference, Roles: keepers, Needs: two, Text: text{ZH: "有差异签收", EN: "receive with difference"}},
	},
}

// Machines are all of them.
var Machines = []*issuance.Machine{&Blanks, &Cards, &Boxes, &Consignments}
