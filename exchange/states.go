package exchange

import "fmt"

// State is where a transaction stands (交易状态).
type State string

// The states.
const (
	StatePending   State = "pending"
	StateConfirmed State = "confirmed"
	StateDeclined  State = "declined"
	StateUnknown   State = "unknown"
	StateReversing State = "reversing"
	StateReversed  State = "reversed"
	StateBlocked   State = "blocked"
)

// event is what happens to a transaction.
type event string

const (
	eventConfirm event = "confirm"
	eventDecline event = "decline"
	eventLose    event = "lose"
	eventReverse event = "reverse"
	eventUndo    event = "undo"
)

// states lists every state with its words. A transaction in an open state has
// no end yet: recovery works on it until it has.
var states = []struct {
	state State
	open  bool
	text  Text
}{
	{StatePending, true, Text{"处理中", "in progress"}},
	{StateConfirmed, false, Text{"已确认", "confirmed"}},
	{StateDeclined, false, Text{"已拒绝", "declined"}},
	{StateUnknown, true, Text{"结果未知，系统将自动核实并冲正", "outcome unknown: it is being asked for and will be reversed"}},
	{StateReversing, true, Text{"冲正中", "being reversed"}},
	{StateReversed, false, Text{"已冲正", "reversed"}},
	{StateBlocked, false, Text{"冲正先到，原交易已拦截", "reversed before it came: the original is blocked"}},
}

// transitions is the life of a transaction. What the table does not hold does
// not happen: an answer that comes after the deadline finds the transaction in
// another state and is not taken.
var transitions = []struct {
	from  State
	event event
	to    State
	why   string
}{
	{StatePending, eventConfirm, StateConfirmed, "the back end confirmed in time"},
	{StatePending, eventDecline, StateDeclined, "the back end refused in time"},
	{StatePending, eventLose, StateUnknown, "no answer, a wrong answer, or the platform stopped"},
	{StatePending, eventReverse, StateReversing, "the terminal gave up before the answer"},
	{StateUnknown, eventDecline, StateDeclined, "asked, the back end says that it refused: nothing was booked"},
	{StateUnknown, eventReverse, StateReversing, "booked late, never arrived, or given up by the terminal"},
	{StateConfirmed, eventReverse, StateReversing, "taken back by the institution"},
	{StateReversing, eventUndo, StateReversed, "the back end took the reversal"},
}

// next returns the state after an event, false when the event does not apply.
func next(from State, e event) (State, bool) {
	for _, t := range transitions {
		if t.from == from && t.event == e {
			return t.to, true
		}
	}
	return "", false
}

// Text returns the state in words for people.
func (s State) Text() Text {
	for _, known := range states {
		if known.state == s {
			return known.text
		}
	}
	return Text{fmt.Sprintf("未知状态 %s", string(s)), "unknown state " + string(s)}
}

// Open reports whether the transaction has no end yet.
func (s State) Open() bool {
	for _, known := range states {
		if known.state == s {
			return known.open
		}
	}
	return false
}
