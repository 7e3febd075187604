// Package bank is the bank's side of a card (金融账户): accounts opened, their
// status both ways, data changes, fees, reconciliation at the end of a day. It
// speaks to each bank by real-time messages and by files; the protocol is
// described for a bank's engineer in docs/bank.md.
//
// What a bank is asked to do is an order (银行指令) in a journal, written before
// it leaves:
//
//	begun ──send──▶ sent ──answer──▶ done, refused
//	  ▲               │ no usable answer
//	  └─not there── unknown ──asked: the bank has it──▶ done, refused
//
// An order keeps its id, so that the bank carries it out once however often it
// arrives; after silence the bank is asked for the true state before anything
// is repeated. An answer that does not fit its order (another amount, a wrong
// account) is not taken: the order is reversed at the bank (冲正).
package bank
