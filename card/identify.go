package card

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"onecard/apdu"
	"onecard/card/profile"
)

// The commands of LD/T 32.5 and, from getKeyInformation on, of the maker.
const (
	insExternalAuthenticate = 0x82
	insGetChallenge         = 0x84
	insInternalAuthenticate = 0x88
	insSelect               = 0xA4
	insReadRecord           = 0xB2
	insUpdateRecord         = 0xDC
	insReadBinary           = 0xB0
	insUpdateBinary         = 0xD6
	insVerify               = 0x20
	insChangePIN            = 0x5E
	insReloadPIN            = 0x24
	insBlockApplication     = 0x1E
	insUnblockApplication   = 0x18
	insBlockCard            = 0x16
	insGetData              = 0xCA
	insLoadKey              = 0xD4
	insFinish               = 0xF0
)

// claProtected is the bit of the class byte for a command with a MAC.
const claProtected = 0x04

const (
	cardIDLength = 16 // 卡识别码
	// keyInformation is the tag of the maker's list of keys and life cycle.
	keyInformation = 0xE0
	tagLifeCycle   = 0x9F70
	tagKey         = 0xC0
)

// The life cycle of a chip, as the maker's list says it.
const (
	lifeBlank       = 0x01
	lifeOperational = 0x03
)

// Identity is what a card says of itself before any key is used (卡识别).
type Identity struct {
	ATR       []byte         `json:"atr"`              // 卡复位信息, the contact side's
	CardID    []byte         `json:"cardID,omitempty"` // 卡识别码, 16 bytes; absent when the application is blocked
	Version   string         `json:"version,omitempty"`
	LifeCycle byte           `json:"lifeCycle"`
	Keys      map[string]int `json:"keys"` // version by name, of chips that tell; 0 is the maker's
	// KeyVersion is that of the other keys: what the province's record says, or
	// 0 for the current one.
	KeyVersion int     `json:"keyVersion,omitempty"`
	Blocked    bool    `json:"blocked"`
	Challenge  []byte  `json:"challenge"` // the chip's latest
	Free       []Value `json:"free,omitempty"`
}

// Blank says whether the chip waits to be personalised.
func (id *Identity) Blank() bool { return id.LifeCycle == lifeBlank }

// Untouched says whether a blank still holds the maker's keys only.
func (id *Identity) Untouched() bool {
	for _, version := range id.Keys {
		if version != 0 {
			return false
		}
	}
	return true
}

// Serial returns the chip's serial number, the last four historical bytes of
// the answer to reset, in hexadecimal.
func (id *Identity) Serial() string {
	history := id.ATR
	if a, err := apdu.ParseATR(id.ATR); err == nil || errors.Is(err, apdu.ErrCheckByte) {
		history = a.Historical
	}
	return upperHex(history[max(0, len(history)-4):])
}

// readCommand reads record number of a file by its short identifier.
func readCommand(file *profile.File, e *profile.Element) apdu.Command {
	return apdu.Command{INS: insReadRecord, P1: byte(e.Record), P2: file.SFI()<<3 | 4, Ne: 2 + e.Length}
}

// selectStep selects a directory, or the environment.
func (w *work) selectStep(scope *profile.Scope) Step {
	if len(scope.FID) == 0 {
		return selectEnvironment(w.profile)
	}
	return selectStep(scope)
}

func selectStep(scope *profile.Scope) Step {
	return Step{Command: apdu.Command{INS: insSelect, Data: scope.FID}, Label: "选择 " + scope.Title.ZH}
}

func challengeCommand(size int) Step {
	return Step{Command: apdu.Command{INS: insGetChallenge, Ne: size}, Label: "取随机数"}
}

func keyInformationStep() Step {
	return Step{Command: apdu.Command{CLA: 0x80, INS: insGetData, P2: keyInformation, Ne: apdu.MaxShortNe}, Label: "查询芯片生命周期",
		Accept: []apdu.SW{0x6A81, 0x6A82, 0x6A88, 0x6D00, 0x6E00}}
}

func selectEnvironment(p *profile.Profile) Step {
	return Step{
		Command: apdu.Command{INS: insSelect, P1: 0x04, Data: p.Environment, Ne: apdu.MaxShortNe},
		Accept:  []apdu.SW{0x6283},
		Label:   "选择社会保障应用环境",
	}
}

// Opening returns the script with which every operation begins (开卡脚本): it
// selects the environment, reads what is free and ends with a challenge of 8
// bytes, or of 16 for a personalisation. It needs no key, so the counter runs
// it without asking anybody.
func Opening(p *profile.Profile, challenge int) *Script {
	script := &Script{Steps: []Step{selectEnvironment(p)}}
	if file, ok := p.File(issuerFile); ok {
		for i := range file.Elements {
			if e := &file.Elements[i]; file.ReadRule(e) == profile.Free {
				script.Steps = append(script.Steps, Step{Command: readCommand(file, e), Accept: []apdu.SW{0x6985, 0x6A83}, Label: "读 " + e.Title.ZH})
			}
		}
	}
	script.Steps = append(script.Steps, keyInformationStep(), challengeCommand(challenge))
	return script
}

// Identify reads the answers to the opening script. The card's own version
// element must be the profile's; of a card that says another, the identity is
// returned with the error.
func Identify(p *profile.Profile, atr []byte, responses []apdu.Response) (*Identity, error) {
	if _, ok := p.ATR(atr); !ok {
		return nil, ErrUnknownATR
	}
	steps := Opening(p, len(lastData(responses))).Steps
	if err := identifySelect(responses); err != nil {
		return nil, err
	}
	id := &Identity{ATR: p.Contact(atr), Keys: map[string]int{}, Blocked: responses[0].SW == 0x6283, LifeCycle: lifeOperational}
	if id.Blocked && len(responses) >= 3 {
		// What is free cannot be read either, whatever version asked for it.
		steps, responses = slices.Concat(steps[:1], steps[len(steps)-2:]), slices.Concat(responses[:1], responses[len(responses)-2:])
	}
	if len(responses) == len(steps)+1 { // the opening went on into a directory
		steps = slices.Insert(steps, len(steps)-1, selectStep(&p.Scopes[0]))
	}
	if err := checkAnswers(steps, responses); err != nil {
		return nil, err
	}
	id.Challenge = lastData(responses)
	responses = responses[1:]
	if id.Blocked {
		id.Version = p.Version
	} else if err := id.readFree(p, &responses); err != nil {
		return nil, err
	}
	if responses[0].SW == apdu.OK {
		if err := id.readKeys(p, responses[0].Data); err != nil {
			return nil, err
		}
	}
	if id.Version != p.Version || !id.Blocked && len(id.CardID) != cardIDLength {
		return id, fmt.Errorf("specification version %q: %w", id.Version, ErrForeignCard)
	}
	return id, nil
}

// identifySelect tells a card that is not ours from one that is blocked.
func identifySelect(responses []apdu.Response) error {
	if len(responses) == 0 {
		return ErrIncomplete
	}
	switch err := responses[0].Err(); {
	case err == nil, responses[0].SW == 0x6283:
		return nil
	case responses[0].SW == 0x6A81:
		return ErrCardBlocked
	case errors.Is(err, apdu.ErrNotFound), errors.Is(err, apdu.ErrUnsupported):
		return ErrForeignCard
	default:
		return &StepError{Label: "选择社会保障应用环境", err: err}
	}
}

func lastData(responses []apdu.Response) []byte {
	if len(responses) == 0 {
		return nil
	}
	return responses[len(responses)-1].Data
}

// readFree takes the free elements and moves past them.
func (id *Identity) readFree(p *profile.Profile, responses *[]apdu.Response) error {
	file, ok := p.File(issuerFile)
	if !ok {
		return fmt.Errorf("profile %s has no file %s", p.Version, issuerFile)
	}
	for i := range file.Elements {
		e := &file.Elements[i]
		if file.ReadRule(e) != profile.Free {
			continue
		}
		r := (*responses)[0]
		*responses = (*responses)[1:]
		if r.SW != apdu.OK {
			continue
		}
		value, err := elementValue(e, r.Data)
		if err != nil {
			return err
		}
		decoded, err := newValue(p, issuerFile, e, value)
		if err != nil {
			return err
		}
		switch e.Name {
		case "cardID":
			id.CardID = slices.Clone(value)
		case "specVersion":
			id.Version = decoded.Value
		}
		id.Free = append(id.Free, decoded)
	}
	return nil
}

// readKeys reads the maker's list: life cycle, and for each directory its
// number, then id and version of each key.
func (id *Identity) readKeys(p *profile.Profile, data []byte) error {
	objects, err := apdu.ParseTLV(data)
	if err != nil {
		return fmt.Errorf("key information: %w: %w", ErrAnswer, err)
	}
	list, ok := apdu.FindTLV(objects, keyInformation)
	life, found := apdu.FindTLV(list.Children, tagLifeCycle)
	if !ok || !found || len(life.Value) != 1 {
		return fmt.Errorf("key information: %w: no life cycle", errMalformed)
	}
	id.LifeCycle = life.Value[0]
	for _, object := range list.Children {
		if object.Tag != tagKey || len(object.Value)%2 != 1 {
			continue
		}
		for pair := object.Value[1:]; len(pair) > 0; pair = pair[2:] {
			if name, known := keyAt(p, object.Value[0], pair[0]); known {
				id.Keys[name] = int(pair[1])
			}
		}
	}
	return nil
}

// keyAt names the key with an identifier in a directory.
func keyAt(p *profile.Profile, scope, id byte) (name string, known bool) {
	for _, s := range p.Scopes {
		for _, key := range s.Keys {
			if byte(s.Index) == scope && key.ID == id {
				return key.Name, true
			}
		}
	}
	return "", false
}

// personalised refuses a card that cannot be used as one.
func (id *Identity) personalised() error {
	switch {
	case id.Blocked:
		return ErrApplicationBlocked
	case id.Blank():
		return ErrNotPersonalised
	}
	return nil
}

// key names one of the card's keys to the keeper, in the version that the chip
// says it holds.
func (id *Identity) key(p *profile.Profile, name string) Key {
	version, told := id.Keys[name]
	if !told {
		version = id.KeyVersion
	}
	return Key{Name: p.KeeperKey(name), Version: version, Factors: id.factors(p)}
}

// Area returns the six digits of the issuing area (行政区划代码), or nothing for a
// card that does not tell.
func (id *Identity) Area() string {
	if len(id.CardID) < 3 {
		return ""
	}
	return hex.EncodeToString(id.CardID[:3])
}

// factors returns the diversification factors: the issuing area's six digits
// with "sx" (行政区划因子), and the card's (卡片因子).
func (id *Identity) factors(p *profile.Profile) [][]byte {
	return [][]byte{[]byte(id.Area() + "sx"), id.cardFactor(p)}
}

func (id *Identity) cardFactor(p *profile.Profile) []byte {
	a, _ := p.ATR(id.ATR) // Identify has matched it
	return a.CardFactor(id.ATR)
}

// checkAnswers refuses answers that are missing or that a step did not accept.
func checkAnswers(steps []Step, responses []apdu.Response) error {
	if len(responses) > len(steps) {
		return ErrIncomplete
	}
	for i, r := range responses {
		if !steps[i].accepts(r.SW) {
			return &StepError{Label: steps[i].Label, err: r.Err()}
		}
	}
	if len(responses) < len(steps) {
		return ErrIncomplete
	}
	return nil
}

// ModuleFactors returns the diversification factors as a terminal's security
// module takes them: the card's, the city's and the province's (卡片因子、行政区划因子、
// 省级因子).
func (id *Identity) ModuleFactors(p *profile.Profile) [][]byte {
	return [][]byte{id.cardFactor(p), []byte(id.Area() + "sx"), []byte(id.Area()[:2] + "0000sx")}
}
