// Package issuance owns the life of an application and of a card (申领与发卡): the
// workflow as one table, review by a second person, card numbers, the journal
// of personalisation, activation, loss and cancellation, and the list of
// invalid cards.
//
// Every change is made inside a registry.Tx, which writes its audit record
// with it. What has to do with a chip is a chip session (package session): the
// operation of package card is stored between two scripts, and whatever
// follows from its end (the card's row, the new state) is written in the
// transaction that closes the session.
//
// Keys come in as a card.Keeper. The package knows no HTTP.
package issuance
