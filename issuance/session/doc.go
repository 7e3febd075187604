// Package session keeps the work on a chip between two scripts (芯片会话).
//
// A session is an operation of package card, stored: it is bound to operator,
// workstation, reader and chip, and belongs to whatever it is about (its
// subject). [Store.Open] makes the first script, [Store.Step] takes the chip's
// answers and gives the next one, until there is none. Any instance of the
// platform can take any step.
//
//	open ── step ── step ──► done          the operation has ended
//	  │       │
//	  │       └────────────► failed        the chip refused, or is not genuine
//	  └────────────────────► superseded    the same chip or reader began anew, or
//	                                       its owner ended it
//
// A step happens once. The same answers may come again, for lines break: they
// get the stored answer, or the same refusal; other answers are [ErrStep]. The
// keeper computes outside the database transaction; that nobody else took the
// step meanwhile is checked when it is stored (WHERE seq = …). A step that
// could not be stored leaves the session as it was and may come again.
//
// What follows from the end of an operation is the owner's ([Finish]), in the
// same transaction that closes the session.
//
// State and answers are sealed, for they hold what is written on a chip; the
// state is dropped when the operation has ended. The holder's number passes
// through a step and is never stored: repeated steps are recognised by a keyed
// digest (the Vault's) in which it cannot be found without the key.
package session
