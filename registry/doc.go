// Package registry holds the facts of record of the province: persons (参保人员),
// divisions (行政区划), institutions (机构), operators (操作员) and workstations
// (工作站), and what every change of any table needs: the one place that opens
// transactions, the audit log, idempotency, migrations and the meaning of
// database errors. Whatever has a workflow lives with its workflow and brings
// its own tables; they share the one sequence of migrations in this folder.
//
// # A change
//
// [DB.InTx] opens the transaction, runs the caller's function and commits.
// Inside, rows are written through [Tx.DB] and every change is recorded by
// [Tx.Audit]; a transaction without an audit record is refused ([ErrNoAudit]).
// Rows, audit records and idempotency record ([DB.Once]) are committed
// together or not at all. The function may run again after a conflict with
// another transaction: it must have no effect outside its transaction.
// It must not call InTx or Once itself: SQLite has one writer.
//
// Isolation is READ COMMITTED on PostgreSQL and serial on SQLite. Code must
// hold on both: an invariant is a constraint of the schema or a row locked by
// [Tx.ForUpdate] before the decision (SQLite ignores the
// clause; its transactions are IMMEDIATE). Decisions are made on what the
// transaction reads, never on [DB.Read], which serves lists and pages and
// refuses writes.
//
// # Audit
//
// One hash chain per prefecture (市州), so that the log does not serialise the
// province: each entry's hash (SM3, GB/T 32905-2016) covers its fields and the
// hash of the entry before it. A foreign key ties each entry to its
// predecessor and the head of the chain to the last entry: both databases
// refuse to delete an entry or to change its place or hash. The head carries a
// keyed digest made by the Vault, so that who can write the tables but lacks
// the key cannot compute a whole new chain. [DB.VerifyAudit] names the first
// entry that is altered, missing or out of place.
//
// # Personal data
//
// Identity number, names, telephone and address are sealed by the Vault, each
// bound to its column and row; exact search goes through keyed digests (blind
// indexes). Errors carry the name of the constraint or the field and never a
// value; the database's own messages, which may, are dropped where errors are
// translated (see [Error]).
//
// # Signing in
//
// [DB.Authenticate] opens a session for an operator at a workstation of the
// same institution; [DB.SessionOperator] tells whose session a token is.
// Passwords are Argon2id hashes with their cost, tokens are stored as hashes,
// failures are counted by login, and a login that does not exist behaves like
// one that does.
//
// # Databases
//
// Two databases pass the same tests (see registrytest.Each): SQLite
// ("sqlite:/path") for trials and small sites, PostgreSQL 14 or later
// ("postgres://…") for the province.
package registry
