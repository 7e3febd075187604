package bank

import "time"

// Faults is how often, of a hundred, something goes wrong.
type Faults struct {
	Slow         int // answers after Delay
	Down         int // closes the connection and does nothing
	Hang         int // does nothing and never answers
	LateSuccess  int // carries the message out after the caller has given up
	Garbage      int // carries it out and answers nonsense
	WrongAmounts int // books and tells another amount
	Repeat       int // tells a notice twice, and a file's row twice
	HalfFile     int // breaks a file off
	Refuse       int // opens no account: the document has expired
	Misnames     int // answers a row of a file with another name
	// Delay is how long a slow or late answer takes.
	Delay time.Duration
}

// strikes draws: the caller holds mu.
func (b *Bank) strikes(percent int) bool { return percent > 0 && b.rand.IntN(100) < percent }

// draw decides what goes wrong with the next message.
func (b *Bank) draw() (f Faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := func(percent int) int {
		if b.strikes(percent) {
			return 1
		}
		return 0
	}
	all := b.faults
	return Faults{Slow: one(all.Slow), Down: one(all.Down), Hang: one(all.Hang), LateSuccess: one(all.LateSuccess), Garbage: one(all.Garbage), Delay: all.Delay}
}

// SetFaults changes what goes wrong from now on.
func (b *Bank) SetFaults(f Faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = f
}
