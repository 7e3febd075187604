// Package production has cards made by an approved card maker, a batch at a time
// (批量制卡): it owns batches and their rows, the suppliers that the ministry has
// approved, the chips that lie with them, what goes to a maker and what comes
// back, quality check, and the destruction of what was spoiled.
//
//	Create    open → ordered     applications of a place, one supplier, within its quota
//	(bank)    ordered → banked   an account for each holder, or the row leaves
//	Send      banked → sent      a chip and an intention for each row; the sealed, signed file
//	Take      sent → returned    a result for each card, from the maker's sealed, signed file
//	Inspect   returned → inspected   read at a counter by somebody else than who ordered
//	Scrap     a spoiled card is destroyed before the eyes of two
//	Close     inspected → closed  left + made + destroyed = ordered
//
// Whatever stops may be started again: the work is done in transactions of some
// hundred rows, each row knows how far it is, and a lease, which ends by itself,
// keeps two from working on one batch. Files carry their SHA-256 in their name,
// are never overwritten, and are sealed while they are written.
//
// Keys: the maker gets the own keys of each card as key blocks under a key of
// delivery that both sides agreed on in a ceremony, and no key of the hierarchy.
// The maker told beforehand which chips lie there, for a card's keys are its
// chip's. docs/production.md describes both files.
package production
