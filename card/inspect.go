package card

import (
	"context"
	"errors"

	"onecard/apdu"
	"onecard/card/profile"
)

// InspectScripts is the number of scripts of an inspection, opening included.
const InspectScripts = 3

// Inspect looks at a card as it is, whatever is wrong with it (卡检视): what a
// reading refuses is here a result. A chip that does not prove itself is asked
// nothing that it could count as a failed attempt.
type Inspect struct {
	work
	// Askable says that the chip can be asked for more than it says freely.
	Askable bool  `json:"askable"`
	Proof   proof `json:"proof"`
	Proven  bool  `json:"proven"`
	// PIN is the status word that tells how many attempts at the holder's
	// number are left (63Cx, 6983); 0 where it was not asked.
	PIN apdu.SW `json:"pin,omitempty"`
	// Reading is what the chip answered to the key that opens its records; 0
	// where it was not asked.
	Reading apdu.SW `json:"reading,omitempty"`
	All     []Value `json:"values,omitempty"`
	// Unread lists by name the elements that the chip did not give as the
	// profile has them.
	Unread []string `json:"unread,omitempty"`
	Ended  bool     `json:"ended"`
}

// NewInspect begins an inspection of a card that the opening script identified,
// as far as it could. The province's keys are used if usable says so and the
// card is one that can be read.
func NewInspect(p *profile.Profile, id *Identity, usable bool) *Inspect {
	o := &Inspect{work: work{Identity: id, profile: p}, All: id.Free}
	o.Askable = usable && id.personalised() == nil && id.Version == p.Version && len(id.CardID) == cardIDLength
	return o
}

// attemptsLeft are the answers to VERIFY without data that do not end a script:
// those with a number of attempts, and those of chips that do not tell.
var attemptsLeft = []apdu.SW{
	0x63C0, 0x63C1, 0x63C2, 0x63C3, 0x63C4, 0x63C5, 0x63C6, 0x63C7, 0x63C8, 0x63C9, 0x63CA, 0x63CB, 0x63CC, 0x63CD, 0x63CE, 0x63CF,
	0x6700, 0x6982, 0x6983, 0x6984, 0x6985, 0x6A80, 0x6A86, 0x6A88, 0x6D00, 0x6E00,
}

// Next implements Operation.
func (o *Inspect) Next(ctx context.Context, keeper Keeper, in Input) (*Script, error) {
	switch {
	case !o.Askable || o.Ended:
		o.Ended = true
		return nil, nil
	case o.Turn == 0:
		question, err := o.prove(ctx, keeper, &o.Proof)
		if errors.Is(err, ErrUnknownKeys) { // it tells a key that nobody has: it cannot be proven
			o.Ended = true
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		pin := Step{Command: apdu.Command{INS: insVerify}, Accept: attemptsLeft, Label: "查询密码剩余次数"}
		return o.out(pin, question, challengeCommand(factorLength)), nil
	case len(in.Responses) == 0 || len(in.Responses) > len(o.Steps):
		return nil, ErrIncomplete
	case o.Turn == 1:
		return o.read(ctx, keeper, in.Responses)
	}
	return nil, o.take(in)
}

// read judges the proof and opens the records.
func (o *Inspect) read(ctx context.Context, keeper Keeper, responses []apdu.Response) (*Script, error) {
	o.PIN = responses[0].SW
	o.Proven = o.judge(&o.Proof, 1, responses) == nil
	if !o.Proven {
		o.Ended, o.Steps = true, nil
		return nil, nil
	}
	if err := o.answers(Input{Responses: responses}); err != nil {
		return nil, err
	}
	var open []Step
	if o.guarded() {
		step, err := o.authenticate(ctx, keeper, readKey, lastData(responses))
		if err != nil {
			return nil, err
		}
		open = append(open, step)
	}
	steps := o.readAll(false)
	for i := range steps {
		steps[i].Accept = []apdu.SW{0x6982, 0x6985, 0x6A82, 0x6A83}
	}
	return o.out(append(open, steps...)...), nil
}

// take takes what could be read.
func (o *Inspect) take(in Input) error {
	read := in.Responses
	o.Reading = apdu.OK
	if o.guarded() {
		o.Reading, read = read[0].SW, read[1:]
	}
	if o.Reading == apdu.OK {
		if err := o.answers(in); err != nil {
			return err
		}
		for _, path := range []string{issuerFile, holderFile} {
			file, _ := o.profile.File(path)
			for i := range file.Elements {
				if e := &file.Elements[i]; !opened(path, file, e) {
					o.element(path, e, read[0])
					read = read[1:]
				}
			}
		}
	}
	o.Ended, o.Steps = true, nil
	return nil
}

func (o *Inspect) element(path string, e *profile.Element, r apdu.Response) {
	raw, err := elementValue(e, r.Data)
	if err == nil && r.SW == apdu.OK {
		var value Value
		if value, err = newValue(o.profile, path, e, raw); err == nil {
			o.All = append(o.All, value)
			return
		}
	}
	o.Unread = append(o.Unread, e.Name)
}

// Genuine says whether the chip has proven itself.
func (o *Inspect) Genuine() bool { return o.Proven }

// Values returns what was read.
func (o *Inspect) Values() []Value { return o.All }

// NeedsPIN is as for Read.
func (o *Inspect) NeedsPIN() bool { return false }

// Progress says how many scripts are done, of how many, and what comes.
func (o *Inspect) Progress() (done, total int, label string) {
	return o.Turn, InspectScripts - 1, "与省库比对"
}

// Values returns the contents as a reading of the card with this identification
// returns them.
func (c Contents) Values(p *profile.Profile, cardID []byte) ([]Value, error) {
	elements, err := c.encode(p, cardID)
	if err != nil {
		return nil, err
	}
	values := make([]Value, len(elements))
	for i, w := range elements {
		path := issuerFile
		if file, ok := p.File(holderFile); ok && file == w.file {
			path = holderFile
		}
		if values[i], err = newValue(p, path, w.element, w.value); err != nil {
			return nil, err
		}
	}
	return values, nil
}
