package card

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"

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
}

// out remembers a script and hands it out.
func (w *work) out(steps ...Step) *Script {
	w.Steps = steps
	w.Turn++
	return &Script{Steps: steps}
}

// answers judges the answers to the script that is out.
func (w *work) answers(in Input) error {
	if w.Turn == 0 {
		return nil
	}
	return checkAnswers(w.Steps, in.Responses)
}

func (w *work) use(p *profile.Profile) { w.profile = p }

// Restore brings a stored operation back to life.
func Restore(p *profile.Profile, operation string, state []byte) (Operation, error) {
	var op interface {
		Operation
		use(*profile.Profile)
	}
	switch operation {
	case "read":
		op = &Read{}
	case "compare":
		op = &Inspect{}
	case "personalise":
		op = &Personalise{}
	case "activate":
		op = &Activate{}
	case "lock", "unlock":
		op = &Lock{}
	default:
		return nil, fmt.Errorf("operation %q is not known", operation)
	}
	if err := json.Unmarshal(state, op); err != nil {
		return nil, fmt.Errorf("restore %s: %w", operation, err)
	}
	op.use(p)
	return op, nil
}

// factorLength is the length of r1 and r2 in authentication.
const factorLength = 8

// randomFactor makes the bytes that the terminal's side contributes.
func randomFactor() []byte {
	r := make([]byte, factorLength)
	_, _ = rand.Read(r) // never fails since Go 1.24
	return r
}

// authenticate proves to the chip that we hold a key (外部认证): AUTH over the
// chip's challenge.
func (w *work) authenticate(ctx context.Context, keeper Keeper, name string, challenge []byte) (Step, error) {
	_, slot, ok := w.profile.Key(name)
	if !ok {
		return Step{}, fmt.Errorf("profile %s has no key %s", w.profile.Version, name)
	}
	r2 := randomFactor()
	auth, err := keeper.Cryptogram(ctx, w.Identity.key(w.profile, name), challenge, r2)
	if err != nil {
		return Step{}, fmt.Errorf("authenticate with %s: %w", name, err)
	}
	return Step{
		Command: apdu.Command{INS: insExternalAuthenticate, P2: slot.ID, Data: append(auth, r2...)},
		Label:   "外部认证 " + name,
	}, nil
}

// proof is a question to the chip that only the true one can answer (内部认证).
type proof struct {
	R1 []byte `json:"r1,omitempty"`
	R2 []byte `json:"r2,omitempty"`
}

func (q *proof) step() Step {
	q.R1, q.R2 = randomFactor(), randomFactor()
	return Step{
		Command: apdu.Command{INS: insInternalAuthenticate, Data: append(append([]byte(nil), q.R1...), q.R2...), Ne: factorLength},
		Label:   "内部认证（验证芯片真伪）",
	}
}

// holds says whether the chip's answer is the right one.
func (q *proof) holds(ctx context.Context, keeper Keeper, key Key, answer []byte) (bool, error) {
	expected, err := keeper.Cryptogram(ctx, key, q.R1, q.R2)
	if err != nil {
		return false, fmt.Errorf("prove the chip: %w", err)
	}
	return subtle.ConstantTimeCompare(expected, answer) == 1, nil
}

// readAll reads the elements of the issuer and of the holder.
func (w *work) readAll(all bool) []Step {
	var steps []Step
	for _, path := range []string{issuerFile, holderFile} {
		file, _ := w.profile.File(path)
		for i := range file.Elements {
			e := &file.Elements[i]
			if all || file.ReadRule(e) != profile.Free {
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
			if !all && file.ReadRule(e) == profile.Free {
				continue
			}
			raw, err := elementValue(e, responses[0].Data)
			if err != nil {
				return nil, err
			}
			value, err := newValue(path, e, raw)
			if err != nil {
				return nil, err
			}
			values = append(values, value)
			responses = responses[1:]
		}
	}
	return values, nil
}
