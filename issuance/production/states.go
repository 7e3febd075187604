package production

import (
	"onecard/issuance"
	"onecard/registry"
)

// The states of a batch.
const (
	StateOpen      = "open"
	StateOrdered   = "ordered"
	StateBanked    = "banked"
	StateSent      = "sent"
	StateReturned  = "returned"
	StateInspected = "inspected"
	StateClosed    = "closed"
	StateCancelled = "cancelled"
)

// The states of a row of a batch (批次明细).
const (
	ItemOrdered   = "ordered"
	ItemAccounted = "accounted"
	ItemNoAccount = "no-account" // left: the bank opened none
	ItemCancelled = "cancelled"  // left before production
	ItemMaking    = "making"     // in the production file
	ItemMade      = "made"
	ItemInspected = "inspected"
	ItemKeyError  = "key-error" // 密钥错误: to be destroyed
	ItemFailed    = "failed"    // spoiled or rejected: to be destroyed
	ItemScrapped  = "scrapped"  // destroyed
)

// The kinds of batch.
const (
	KindNormal = "normal"
	// KindTest is for test cards (测试卡): made in the real environment, about
	// nobody, and never a card of record.
	KindTest = "test"
)

var (
	producers   = []string{registry.RoleProducer}
	supervisors = []string{registry.RoleSupervisor}
	closers     = []string{registry.RoleProducer, registry.RoleSupervisor}
)

// Batches is the workflow of a batch (制卡批次).
var Batches = issuance.Machine{
	Name: "batch", Title: issuance.Text{ZH: "制卡批次", EN: "production batch"}, Initial: StateOpen, Table: "batches", Column: "state",
	States: []issuance.State{
		{Name: StateOpen, Text: issuance.Text{ZH: "组批中", EN: "being filled"}},
		{Name: StateOrdered, Text: issuance.Text{ZH: "已组批，待银行开户", EN: "ordered, waits for accounts"}},
		{Name: StateBanked, Text: issuance.Text{ZH: "已开户，待制卡", EN: "ready for production"}},
		{Name: StateSent, Text: issuance.Text{ZH: "制卡文件已发出", EN: "with the maker"}},
		{Name: StateReturned, Text: issuance.Text{ZH: "已回盘，待质检", EN: "returned, waits for quality check"}},
		{Name: StateInspected, Text: issuance.Text{ZH: "质检合格", EN: "passed quality check"}},
		{Name: StateClosed, Text: issuance.Text{ZH: "已结批", EN: "closed"}, Final: true},
		{Name: StateCancelled, Text: issuance.Text{ZH: "已取消", EN: "cancelled"}, Final: true},
	},
	Rules: []issuance.Rule{
		{From: StateOpen, Event: "order", To: StateOrdered, Roles: producers, Text: issuance.Text{ZH: "组批", EN: "order"}},
		{From: StateOrdered, Event: "bank", To: StateBanked, By: issuance.ByBatch, Text: issuance.Text{ZH: "开户完成", EN: "accounts are answered"}},
		{From: StateBanked, Event: "send", To: StateSent, Roles: producers, Text: issuance.Text{ZH: "发制卡文件", EN: "send to the maker"}},
		{From: StateSent, Event: "take", To: StateReturned, Roles: producers, Text: issuance.Text{ZH: "回盘", EN: "take the return"}},
		{From: StateReturned, Event: "inspect", To: StateInspected, Roles: closers, Text: issuance.Text{ZH: "质检合格", EN: "pass"}},
		{From: StateInspected, Event: "close", To: StateClosed, Roles: supervisors, Text: issuance.Text{ZH: "结批", EN: "close"}},
		{From: StateOpen, Event: "cancel", To: StateCancelled, Roles: supervisors, Reasons: "unbatch", Text: issuance.Text{ZH: "取消", EN: "cancel"}},
		{From: StateOrdered, Event: "cancel", To: StateCancelled, Roles: supervisors, Reasons: "unbatch", Text: issuance.Text{ZH: "取消", EN: "cancel"}},
		{From: StateBanked, Event: "cancel", To: StateCancelled, Roles: supervisors, Reasons: "unbatch", Text: issuance.Text{ZH: "取消", EN: "cancel"}},
	},
}
