package apdu

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Mask says of an exchange whether the data field of its command and of its
// response are to be masked in a transcript. For GET RESPONSE it is asked with
// the command whose answer is being fetched; where that is not known, the
// response is masked without asking. Where no answer came, the response is the
// zero Response.
type Mask func(c Command, r Response) (maskCommand, maskResponse bool)

// Recorder is a Transmitter that writes what passes through another to a
// transcript. The data of commands that carry a PIN or a key are always
// masked. It serves one goroutine at a time.
type Recorder struct {
	// Now, where set, is the clock by which each exchange is timed.
	Now func() time.Time

	transmitter Transmitter
	w           io.Writer
	mask        Mask
	asked       *Command // whose answer GET RESPONSE fetches; nil where not known
	open        []byte   // sent, and not written yet
	begun       time.Time
	err         error
}

// NewRecorder returns a recorder of what passes through t. A nil mask masks no
// more than PINs and keys.
func NewRecorder(t Transmitter, w io.Writer, mask Mask) *Recorder {
	if mask == nil {
		mask = func(Command, Response) (bool, bool) { return false, false }
	}
	return &Recorder{transmitter: t, w: w, mask: mask}
}

// Err returns the first failure to write. It is not an error of Transmit,
// because the chip did answer.
func (r *Recorder) Err() error { return r.err }

// Begin writes which card the following exchanges are with, and when and where
// that was. The last bytes of the answer to reset, as many as hide says, are
// masked.
func (r *Recorder) Begin(atr []byte, hide int, at time.Time, reader string) {
	r.asked = nil
	r.write(Conversation{ATR: octets(atr, max(0, len(atr)-hide), len(atr)), At: at, Reader: reader}.head())
}

func (r *Recorder) write(lines string) {
	if _, err := io.WriteString(r.w, lines); err != nil && r.err == nil {
		r.err = fmt.Errorf("transcript: %w", err)
	}
}

// Transmit implements Transmitter.
func (r *Recorder) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	r.open, r.begun = command, r.clock()
	answer, err := r.transmitter.Transmit(ctx, command)
	r.open = nil
	var seen []byte
	if err == nil {
		seen = answer
	}
	r.exchange(command, seen)
	return answer, err
}

// Together implements Batcher. A command that was given up is written like any
// other that got no answer.
func (r *Recorder) Together(ctx context.Context, work func(Transmitter) error) error {
	t := r.transmitter
	err := together(ctx, t, func(within Transmitter) error {
		r.transmitter = within
		return work(r)
	})
	r.transmitter = t
	if r.open != nil {
		r.exchange(r.open, nil)
		r.open = nil
	}
	return err
}

// exchange writes one exchange, with its time where there is a clock.
func (r *Recorder) exchange(command, answer []byte) {
	e := r.masked(command, answer)
	if r.Now != nil {
		e.Took = r.Now().Sub(r.begun)
	}
	r.write(e.String())
}

func (r *Recorder) clock() time.Time {
	if r.Now == nil {
		return time.Time{}
	}
	return r.Now()
}

// masked returns the exchange as it may be written. What is not an APDU is
// masked whole, because nobody can say what is in it.
func (r *Recorder) masked(command, answer []byte) Exchange {
	response, err := ParseResponse(answer)
	if err != nil {
		answer = nil // without a status word it is no answer
	}
	c, err := ParseCommand(command)
	if err != nil {
		r.asked = nil
		return Exchange{Command: octets(command, 4, len(command)), Response: octets(answer, 0, len(answer)-2)}
	}
	if c.INS != insGetResponse {
		r.asked = &c
	}
	hideCommand, hideResponse := false, true
	if r.asked != nil {
		hideCommand, hideResponse = r.mask(*r.asked, response)
	}
	from, to := 0, 0
	if hideCommand || secret(c.INS) {
		from, to = dataField(command, len(c.Data))
	}
	end := 0
	if hideResponse {
		end = len(response.Data)
	}
	return Exchange{Command: octets(command, from, to), Response: octets(answer, 0, end)}
}

// secret says whether an instruction carries a PIN or a key: VERIFY, PIN
// reload, CHANGE PIN and key loading.
func secret(ins byte) bool { return strings.IndexByte("\x20\x24\x5E\xD4", ins) >= 0 }

// dataField returns where the n bytes of data of an encoded command are: after
// Lc of one byte, or of three when the first is 00.
func dataField(command []byte, n int) (from, to int) {
	from = 5
	if len(command) > 4 && command[4] == 0 {
		from = 7
	}
	return from, from + n
}
