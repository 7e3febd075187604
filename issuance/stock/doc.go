// Package stock keeps the cards that nobody holds yet (库存与保管): blank ones by
// serial and finished ones by card number, from the maker to the province, the
// prefecture, the county and the township.
//
// Everything is one ledger: a movement takes a card out of a place and a state
// into a place and a state, and refers to the movement before it. Where a card
// is follows from its last movement, what a place holds from the sum of them,
// and the database itself refuses a movement that does not go on from there.
// Boxes, consignments, leases, destructions and closed days are the papers on
// which the movements stand. What needs two persons is refused to one, here and
// in the database.
package stock
