package apdu

import (
	"context"
	"fmt"
	"strings"
)

// Replayer is a Transmitter that answers from a transcript. The commands must
// come as recorded: the first that differs fails, and with it every later one.
// A masked byte of a command matches any; a masked byte of a response is
// played as zero.
type Replayer struct {
	exchanges []Exchange
	next      int
	err       error
}

// NewReplayer returns a replayer of the exchanges of a transcript.
func NewReplayer(exchanges []Exchange) *Replayer { return &Replayer{exchanges: exchanges} }

// Transmit implements Transmitter. The error is ErrTranscript for a command
// that differs and ErrNoAnswer for one that had no answer when it was
// recorded.
func (r *Replayer) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	got := octets(command, 4, len(command)).header()
	if r.next == len(r.exchanges) {
		r.err = fmt.Errorf("exchange %d: %w: it ends before command %s", r.next+1, ErrTranscript, got)
		return nil, r.err
	}
	e := r.exchanges[r.next]
	if at := e.Command.differs(command); at >= 0 {
		r.err = fmt.Errorf("exchange %d: %w: expected command %s of %d bytes, got %s of %d bytes: they differ at byte %d",
			r.next+1, ErrTranscript, e.Command.header(), len(e.Command), got, len(command), at+1)
		return nil, r.err
	}
	r.next++
	if len(e.Response) == 0 {
		return nil, fmt.Errorf("exchange %d: %w", r.next, ErrNoAnswer)
	}
	return e.Response.plain(), nil
}

// Done returns nil when the whole transcript was played, the first difference
// if there was one, and otherwise an ErrTranscript that names the commands not
// used.
func (r *Replayer) Done() error {
	if r.err != nil || r.next == len(r.exchanges) {
		return r.err
	}
	var unused []string
	for _, e := range r.exchanges[r.next:] {
		unused = append(unused, e.Command.header())
	}
	return fmt.Errorf("%w: commands not used from exchange %d: %s", ErrTranscript, r.next+1, strings.Join(unused, " "))
}
