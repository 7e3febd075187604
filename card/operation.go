package card

import (
	"context"

	"onecard/apdu"
)

// Step is one command of a script with the status words it may answer.
type Step struct {
	Command apdu.Command
	// Accept lists the status words besides 9000 that do not end the script.
	Accept []apdu.SW
	// Secret marks a command whose data field is masked in every transcript.
	Secret bool
	// PIN marks the command into whose data field the runner puts the holder's
	// number, so that it goes to the chip and to nobody else.
	PIN bool
	// Expect ends the script, as a refusal does, at any answer but one: the
	// beginning of the SHA-256 of the command's data field and that answer. A
	// chip that fails its proof is asked nothing more.
	Expect []byte
	// Counts names the key whose attempts the chip counts with the command.
	Counts string
	// Label says for people what the step does, such as "write 姓名".
	Label string
}

// Script is a list of commands that a runner sends in order without asking
// anybody in between. The runner stops after the first answer that is neither
// 9000 nor in the step's Accept list, or not what the step expects, and hands
// back what it has.
type Script struct {
	Steps []Step `json:"steps"`
}

// Input is what an operation is given for its next turn.
type Input struct {
	// Responses are the answers to the last script, one per step, fewer when
	// the script stopped early. Empty on the first turn of an operation that
	// has no opening script.
	Responses []apdu.Response
	// PIN is the holder's number when the operation asked for it; it lives
	// for this turn only and is never part of the operation's state.
	PIN string
}

// Operation is work on a chip as a sequence of scripts (操作脚本). It does no
// I/O of its own: it is given the answers to the last script and returns the
// next one, or nil when it has ended. Between two turns it is a value that
// encoding/json stores and restores, so that a personalisation survives a
// crash of the platform and continues on any instance of it.
type Operation interface {
	Next(ctx context.Context, keeper Keeper, in Input) (*Script, error)
}
