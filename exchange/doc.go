// Package exchange carries card transactions (用卡交易): a terminal in a hospital
// or a pharmacy asks, the right back end of the province answers, and whatever
// breaks in between, money adds up and no transaction is left without an end.
//
// It owns the journal (交易流水), the states of a transaction, the routes (路由)
// and the recovery of what was left open. It computes no benefits: that is the
// back end's work, behind the interface Backend; exchange/insurance is the
// reference one. It knows neither HTTP nor the chip: what a chip proved comes in
// through Proofs, where a terminal stands through Sites, and where a person is
// insured through Insurances.
//
// # How a transaction flows
//
//  1. The terminal makes the id and stores it before it sends. Submit answers a
//     known id from the journal and does nothing else.
//  2. One database transaction: the card's status is read live, the route is
//     decided, and the intention stands in the journal as pending (处理中).
//  3. Outside any database transaction, with a deadline, the back end is asked.
//  4. One database transaction: the outcome is posted, confirmed (已确认) or
//     declined (已拒绝). No answer, a wrong answer or a crash: unknown (结果未知).
//  5. Recover asks the back end about what is unknown; whatever may have been
//     booked is reversed (冲正), never silently taken, because the terminal has
//     told the patient that it failed. A reversal may come before its original:
//     then the id is blocked (已拦截), and the late original is refused.
//
// states.go holds the states and the transitions as one table; the CHECK in
// registry/migrations/0003_exchange.sql and the texts follow it, held together
// by a test. routes.yaml holds who settles what; it is checked for gaps and
// overlaps before it is used, and the rule that decided is recorded.
//
// Money is integer fen (分). Reversal, repetition and late answers follow the
// practice of ISO 8583 message class 4; the duties of a reversal in medical
// insurance (冲正 accepted before its original, twice is a success) those of the
// national interface, transaction 2601.
package exchange
