package card

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"onecard/apdu"
	"onecard/card/profile"
)

// PersonaliseScripts is the number of scripts of a personalisation on an
// untouched blank whose maker chains the loading of keys, opening included.
const PersonaliseScripts = 5

// The phases of a personalisation: which script is out.
const (
	phaseStart     = ""
	phaseKeys      = "keys"
	phaseChallenge = "challenge" // keys stand already; a challenge is needed
	phaseWrite     = "write"
	phaseReadBack  = "read back"
	phaseFinish    = "finish"
	phaseDone      = "done"
)

// Personalise makes a card of a maker's blank (制卡): it loads the card's own
// keys over the maker's, writes issuer and holder, reads everything back,
// compares, and finishes with the one command that makes the blank a card.
//
// It may be started again on a chip that it left at any point: the opening
// script says how far the chip is. Keys may be loaded over loaded ones until
// the master key, which is the last, is the card's; elements may be written
// again; a finished chip is read back and, if it holds what was intended,
// taken as done. No step repeats an attempt that the chip counts.
type Personalise struct {
	work
	Contents   Contents `json:"contents"`
	KeyVersion int      `json:"keyVersion"`
	Phase      string   `json:"phase"`
	NextKey    int      `json:"nextKey"` // of a maker who wants a challenge for each key
	CardID     []byte   `json:"newCardID,omitempty"`
	Proof      proof    `json:"proof"`
	Proven     bool     `json:"proven"`
	Domain     *channel `json:"domain,omitempty"` // to a GlobalPlatform blank
	All        []Value  `json:"values,omitempty"`
}

// NewPersonalise begins the personalisation of a chip that the opening script
// identified. keyVersion is that of the province's keys which the card gets.
func NewPersonalise(p *profile.Profile, id *Identity, contents Contents, keyVersion int) (*Personalise, error) {
	if id.Blocked {
		return nil, ErrApplicationBlocked
	}
	if keyVersion < 1 || keyVersion > 254 {
		return nil, fmt.Errorf("key version %d: 1 to 254", keyVersion)
	}
	if err := contents.Check(p); err != nil {
		return nil, err
	}
	return &Personalise{work: work{Identity: id, profile: p}, Contents: contents, KeyVersion: keyVersion}, nil
}

// Next implements Operation.
func (o *Personalise) Next(ctx context.Context, keeper Keeper, in Input) (*Script, error) {
	if err := o.judge(in); err != nil {
		return nil, err
	}
	return o.loader().next(ctx, o, keeper, in)
}

// judge turns a refused first key into the finding that it is.
func (o *Personalise) judge(in Input) error {
	err := o.answers(in)
	if err != nil && o.Phase == phaseKeys && len(in.Responses) == 1 {
		return fmt.Errorf("%w: %w", ErrTransportKey, err)
	}
	return err
}

// identify makes the card identification with its check code (卡识别码).
func (o *Personalise) identify(ctx context.Context, keeper Keeper) error {
	serial := o.Identity.CardID[8:12]
	body := slices.Concat(o.Identity.CardID[:8], serial)
	check, err := keeper.DirectMAC(ctx, Key{Name: "CHECK"}, make([]byte, 16), body)
	if err != nil {
		return fmt.Errorf("check code of the card identification: %w", err)
	}
	o.CardID = append(body, check...)
	return nil
}

// start looks how far the chip is.
func (o *Personalise) start(ctx context.Context, keeper Keeper) (*Script, error) {
	if err := o.identify(ctx, keeper); err != nil {
		return nil, err
	}
	switch {
	case !o.Identity.Blank() && !bytes.Equal(o.Identity.CardID, o.CardID):
		return nil, ErrAlreadyPersonalised
	case !o.Identity.Blank(), o.Identity.Keys[o.profile.Maker.Master] != 0:
		o.Phase = phaseChallenge
		return o.out(challengeCommand(factorLength)), nil
	}
	return o.loadKeys(ctx, keeper, o.Identity.Challenge)
}

// slotOf is a key slot with the scope that it is in.
type slotOf struct {
	scope int
	profile.Key
}

// keyOrder returns all key slots, the master key last: as long as it is the
// maker's, loading can begin again.
func (o *Personalise) keyOrder() []slotOf {
	var order []slotOf
	var master slotOf
	for _, scope := range o.profile.Scopes {
		for _, key := range scope.Keys {
			if key.Name == o.profile.Maker.Master {
				master = slotOf{scope.Index, key}
			} else {
				order = append(order, slotOf{scope.Index, key})
			}
		}
	}
	return append(order, master)
}

// loadKeys loads all keys in one chain of MACs, or one key where the maker
// wants a challenge for each, and takes the challenge for what follows.
func (o *Personalise) loadKeys(ctx context.Context, keeper Keeper, challenge []byte) (*Script, error) {
	order := o.keyOrder()
	end := len(order)
	if o.profile.Maker.IV == "challenge" {
		end = o.NextKey + 1
	}
	transport := Key{Name: o.profile.Maker.Transport, Factors: [][]byte{o.Identity.cardFactor(o.profile)}}
	var steps []Step
	for iv := challenge; o.NextKey < end; o.NextKey++ {
		slot := order[o.NextKey]
		target := Key{Name: slot.Name, Version: o.KeyVersion, Factors: o.Identity.factors(o.profile)}
		header := []byte{0x84, insLoadKey, byte(slot.scope), slot.ID, keyBlockLength}
		data, next, err := keeper.WrapKey(ctx, transport, target, [3]byte{slot.Usage, byte(o.KeyVersion), slot.Tries}, header, iv)
		if err != nil {
			return nil, fmt.Errorf("wrap %s: %w", slot.Name, err)
		}
		iv = next
		steps = append(steps, Step{Command: apdu.Command{CLA: header[0], INS: header[1], P1: header[2], P2: header[3], Data: data}, Label: "装载密钥 " + slot.Name})
	}
	size := factorLength
	if o.NextKey < len(order) {
		size = 16
	}
	o.Phase = phaseKeys
	return o.out(append(steps, challengeCommand(size))...), nil
}

// keyBlockLength is Lc of a key-loading command: 32 enciphered bytes and 4 of
// MAC.
const keyBlockLength = 0x24

// takeKeys notes that the chip now holds the card's own keys.
func (o *Personalise) takeKeys() {
	for _, slot := range o.keyOrder() {
		o.Identity.Keys[slot.Name] = o.KeyVersion
	}
}

func (o *Personalise) write(ctx context.Context, keeper Keeper, challenge []byte) (*Script, error) {
	open, err := o.authenticate(ctx, keeper, "UKSSSE", challenge)
	if err != nil {
		return nil, err
	}
	elements, err := o.Contents.encode(o.profile, o.CardID)
	if err != nil {
		return nil, err
	}
	steps := []Step{open}
	for _, w := range elements {
		steps = append(steps, Step{
			Command: apdu.Command{INS: insUpdateRecord, P1: byte(w.element.Record), P2: w.file.SFI()<<3 | 4, Data: slices.Concat([]byte{w.element.Tag, byte(w.element.Length)}, w.value)},
			Secret:  true,
			Label:   "写入 " + w.element.Title.ZH,
		})
	}
	o.Phase = phaseWrite
	return o.out(append(steps, challengeCommand(factorLength))...), nil
}

func (o *Personalise) readBack(ctx context.Context, keeper Keeper, challenge []byte) (*Script, error) {
	open, err := o.authenticate(ctx, keeper, "RKSSSE", challenge)
	if err != nil {
		return nil, err
	}
	steps := append([]Step{o.Proof.step(), open}, o.readAll(true)...)
	o.Phase = phaseReadBack
	return o.out(append(steps, challengeCommand(16))...), nil
}

// compare ends the personalisation of a chip that says what was intended.
func (o *Personalise) compare(ctx context.Context, keeper Keeper, responses []apdu.Response) (*Script, error) {
	if err := o.check(ctx, keeper, responses[0], responses[2:]); err != nil {
		return nil, err
	}
	if !o.Identity.Blank() {
		o.Phase, o.Steps = phaseDone, nil
		return nil, nil
	}
	return o.finish(ctx, keeper, lastData(responses))
}

// check holds the chip's proof and what it says, element for element, against
// what was intended.
func (o *Personalise) check(ctx context.Context, keeper Keeper, proof apdu.Response, read []apdu.Response) error {
	genuine, err := o.Proof.holds(ctx, keeper, o.Identity.key(o.profile, "IRK"), proof.Data)
	if err != nil {
		return err
	}
	if !genuine {
		return ErrNotGenuine
	}
	intended, err := o.Contents.encode(o.profile, o.CardID)
	if err != nil {
		return err
	}
	for i, w := range intended {
		value, err := elementValue(w.element, read[i].Data)
		if err != nil {
			return err
		}
		if !bytes.Equal(value, w.value) {
			if !o.Identity.Blank() {
				return ErrAlreadyPersonalised
			}
			return &ReadBackError{Element: w.element.Title}
		}
	}
	if o.All, err = o.values(true, read[:len(intended)]); err != nil {
		return err
	}
	o.Proven = true
	return nil
}

// finish is the last write: it makes the blank a card.
func (o *Personalise) finish(ctx context.Context, keeper Keeper, challenge []byte) (*Script, error) {
	header := []byte{0x84, insFinish, 0, 0, 4}
	mac, err := keeper.DirectMAC(ctx, o.Identity.key(o.profile, o.profile.Maker.Master), challenge, header)
	if err != nil {
		return nil, fmt.Errorf("finish: %w", err)
	}
	o.Phase = phaseFinish
	return o.out(Step{Command: apdu.Command{CLA: header[0], INS: header[1], Data: mac}, Label: "结束制卡"}, keyInformationStep()), nil
}

func (o *Personalise) finished(responses []apdu.Response) error {
	if err := o.Identity.readKeys(o.profile, responses[1].Data); err != nil {
		return err
	}
	if o.Identity.LifeCycle != lifeOperational {
		return &ReadBackError{Element: profile.Text{ZH: "芯片生命周期", EN: "life cycle"}}
	}
	o.Phase, o.Steps = phaseDone, nil
	return nil
}

// Genuine says whether the chip has proven its new keys.
func (o *Personalise) Genuine() bool { return o.Proven }

// Values returns what was read back.
func (o *Personalise) Values() []Value { return o.All }

// NeedsPIN is as for Read.
func (o *Personalise) NeedsPIN() bool { return false }

// Progress says how many scripts are done, of how many, and what comes.
func (o *Personalise) Progress() (done, total int, label string) {
	total = PersonaliseScripts - 1
	if o.Domain != nil {
		total = PlatformScripts - 1
	}
	return min(o.Turn, total), total, map[string]string{
		phaseOpen: "建立安全通道", phaseKeys: "装载密钥", phaseChallenge: "接续制卡", phaseWrite: "写入数据", phaseReadBack: "读回核对", phaseFinish: "结束制卡", phaseDone: "制卡完成",
	}[o.Phase]
}
