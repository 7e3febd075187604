package card

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"slices"

	"onecard/apdu"
	"onecard/card/profile"
)

// work is what all operations share: the card, and the script that is out.
type work struct {
	Identity *Identity `json:"identity"`
	Turn     int       `json:"turn"` // scripts that were made
	// Steps are those of the script that is out, to judge its answers by.
	Steps []Step `json:"steps,omitempty"`

	profile *profile.Profile
	used    []byte // the challenge that the script to come answers
}

// out remembers a script and hands it out.
func (w *work) out(steps ...Step) *Script {
	w.Steps = steps
	w.Turn++
	if w.used != nil {
		w.Identity.Challenge = w.used
	}
	return &Script{Steps: steps}
}

// answers judges the answers to the script that is out.
func (w *work) answers(in Input) error {
	if w.Turn == 0 {
		return nil
	}
	return checkAnswers(w.Steps, in.Responses)
}

// use finds the profile of the card again.
func (w *work) use(profiles []*profile.Profile) (err error) {
	if w.Identity == nil {
		return fmt.Errorf("no card: %w", ErrIncomplete)
	}
	w.profile, err = profile.Of(profiles, w.Identity.Version, w.Identity.Area())
	return err
}

// Restore brings a stored operation back to life.
func Restore(profiles []*profile.Profile, operation string, state []byte) (Operation, error) {
	var op interface {
		Operation
		use([]*profile.Profile) error
	}
	switch operation {
	case "read":
		op = &Read{}
	case "compare":
		op = &Inspect{}
	case "personalise":
		op = &Personalise{}
	case "activate", "unblockPIN":
		op = &Activate{}
	case "debit", "credit":
		op = &Account{}
	case "rekey":
		op = &Rekey{}
	case "lock", "unlock", "blockCard":
		op = &Lock{}
	case "access":
		op = &Access{}
	default:
		return nil, fmt.Errorf("operation %q is not known", operation)
	}
	if err := json.Unmarshal(state, op); err != nil {
		return nil, fmt.Errorf("restore %s: %w", operation, err)
	}
	if err := op.use(profiles); err != nil {
		return nil, fmt.Errorf("restore %s: %w", operation, err)
	}
	return op, nil
}

// factorLength is the length of r1 and r2 in authentication.
const factorLength = 8

// ChallengeLength is the size of the challenge for an authentication.
const ChallengeLength = factorLength

// randomFactor makes the bytes that the terminal's side contributes.
func randomFactor() []byte {
	r := make([]byte, factorLength)
	_, _ = rand.Read(r) // never fails since Go 1.24
	return r
}

// fresh takes a challenge of the chip's: one of the right length, and not the
// one that was used before.
func (w *work) fresh(challenge []byte, size int) error {
	last := w.Identity.Challenge
	if len(challenge) != size {
		return fmt.Errorf("a challenge of %d bytes, not %d: %w", len(challenge), size, ErrAnswer)
	}
	if w.Turn > 0 && (bytes.HasPrefix(challenge, last) || bytes.HasPrefix(last, challenge)) {
		return fmt.Errorf("the same challenge again: %w", ErrAnswer)
	}
	w.used = challenge
	return nil
}

// authenticate proves to the chip that we hold a key (外部认证): AUTH over the
// chip's challenge.
func (w *work) authenticate(ctx context.Context, keeper Keeper, name string, challenge []byte) (Step, error) {
	if err := w.fresh(challenge, factorLength); err != nil {
		return Step{}, err
	}
	_, slot, ok := w.profile.Key(name)
	if !ok {
		return Step{}, fmt.Errorf("profile %s has no key %s", w.profile.Version, name)
	}
	r2 := randomFactor()
	auth, err := keeper.Cryptogram(ctx, w.Identity.key(w.profile, name), challenge, r2)
	if err != nil {
		return Step{}, keeperError("authenticate with "+name, err)
	}
	return Step{
		Command: apdu.Command{INS: insExternalAuthenticate, P2: slot.ID, Data: slices.Concat(auth, r2, w.profile.Choices.KeyVersion)},
		Counts:  name,
		Label:   "外部认证 " + name,
	}, nil
}

// proof is a question to the chip that only the true one can answer (内部认证).
type proof struct {
	Answer []byte `json:"answer,omitempty"` // the right one
}

// step asks the question, under one of the card's keys. Any answer but the
// right one ends the script.
func (q *proof) step(ctx context.Context, keeper Keeper, p *profile.Profile, key Key) (step Step, err error) {
	r1, r2 := randomFactor(), randomFactor()
	if q.Answer, err = keeper.Cryptogram(ctx, key, r1, r2); err != nil {
		return Step{}, keeperError("prove the chip", err)
	}
	command := apdu.Command{INS: insInternalAuthenticate, Data: slices.Concat(r1, r2, p.Choices.KeyVersion), Ne: factorLength}
	return Step{Command: command, Expect: expectation(command, q.Answer), Label: "内部认证（验证芯片真伪）"}, nil
}

// prove makes the step in which the chip proves itself.
func (w *work) prove(ctx context.Context, keeper Keeper, q *proof) (Step, error) {
	return q.step(ctx, keeper, w.profile, w.Identity.key(w.profile, "IRK"))
}

// holds says whether the chip's answer is the right one.
func (q *proof) holds(answer []byte) bool {
	return len(q.Answer) == factorLength && subtle.ConstantTimeCompare(q.Answer, answer) == 1
}

// judge judges the answer to the proof, which is a step of the script that is
// out. That comes before all others that it brought: what a false chip says
// besides does not matter.
func (w *work) judge(q *proof, at int, responses []apdu.Response) error {
	if err := checkAnswers(w.Steps[:at+1], responses[:min(at+1, len(responses))]); err != nil {
		return err
	}
	if !q.holds(responses[at].Data) {
		return ErrNotGenuine
	}
	return nil
}

// readKey opens what a card of 3.00 says of its holder.
const readKey = "RKSSSE"

// guarded says whether issuer or holder have elements that are not read freely:
// from 3.00 on, card number and holder.
func (w *work) guarded() bool {
	for _, path := range []string{issuerFile, holderFile} {
		file, _ := w.profile.File(path)
		for i := range file.Elements {
			if file.ReadRule(&file.Elements[i]) != profile.Free {
				return true
			}
		}
	}
	return false
}

// opened says whether the opening script has read an element.
func opened(path string, file *profile.File, e *profile.Element) bool {
	return path == issuerFile && file.ReadRule(e) == profile.Free
}

// readAll reads the elements of the issuer and of the holder, all of them or
// those that the opening script left.
func (w *work) readAll(all bool) []Step {
	var steps []Step
	for _, path := range []string{issuerFile, holderFile} {
		file, _ := w.profile.File(path)
		for i := range file.Elements {
			e := &file.Elements[i]
			if all || !opened(path, file, e) {
				steps = append(steps, Step{Command: readCommand(file, e), Label: "读 " + e.Title.ZH})
			}
		}
	}
	return steps
}

// values takes the answers to readAll.
func (w *work) values(all bool, responses []apdu.Response) ([]Value, error) {
	var values []Value
	for _, path := range []string{issuerFile, holderFile} {
		file, _ := w.profile.File(path)
		for i := range file.Elements {
			e := &file.Elements[i]
			if !all && opened(path, file, e) {
				continue
			}
			raw, err := elementValue(e, responses[0].Data)
			if err != nil {
				return nil, err
			}
			value, err := newValue(w.profile, path, e, raw)
			if err != nil {
				return nil, err
			}
			values = append(values, value)
			responses = responses[1:]
		}
	}
	return values, nil
}
