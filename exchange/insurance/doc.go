// Package insurance is the reference back end of medical insurance (医疗保险参考
// 后台): a province without one can begin with it, and every adapter to another
// has the same face, exchange.Backend.
//
// It owns who is insured where (参保登记), the personal medical accounts (个人账户),
// the pooled funds by place (统筹基金), what is owed to institutions, and how much
// of the year's deductible and cap a person has used. It knows nothing of cards.
//
// # Money
//
// Every movement is a transfer row: debit account, credit account, amount above
// zero, in fen. Balances (credits less debits) change in the same database
// transaction, so that all balances together are always zero; personal
// accounts and funds cannot stand below zero by a CHECK. Nothing is ever changed
// or deleted: a reversal writes counter-transfers. Verify recomputes it all.
//
// # Benefits
//
// policy.yaml holds the parameters by insured place, year and kind: deductible
// (起付线), ratio by hospital level (报销比例), cap (封顶线), what is borne first of
// category B (乙类先自付) and what the personal account may pay. The values shipped
// are samples, marked so; the structure follows 医疗费总额 = 自费 + 乙类先自付 + 起付
// 标准 + 统筹支付 + 按比例自付 + 超封顶线. Fractions of a fen fall to the patient,
// and the explanation says so. Every fen of a bill stands in exactly one line.
//
// A transaction is known by its id: the same message again gets the stored
// answer, and a reversal that comes first blocks its original.
package insurance
