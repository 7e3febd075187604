// Package terminal is what runs wherever a reader stands: a county counter, a
// hospital's cash desk, a pharmacy (柜台、医院和药店终端).
//
// It owns the reader loop and its live state (Station), the work on a chip
// that the province drives (Perform: the opening script is run here, every
// further script comes from the platform, the answers go back), the holder's
// number (VerifyPIN, which never leaves the counter except to the chip), and
// a visit with its journal: the transaction's id is made and stored here
// before it is sent, and a transaction whose end is not known is asked for
// and reversed, never guessed.
//
// It holds no key and no database. The PC/SC stack comes in as Readers, the
// platform as an API client; the page of the counter is package desk.
package terminal
