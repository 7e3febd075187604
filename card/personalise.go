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
// untouched blank whose maker chains the loading of keys, opening included:
// one for each of the transport key, UKSSSE, RKSSSE and the master key. A card
// that is read freely needs no RKSSSE, and one script less.
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
	Opened     int      `json:"opened,omitempty"` // steps before the first element that is read back
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
	if _, known := profile.MakerOf(p.Makers, id.ATR); id.Blank() && !known {
		return nil, ErrUnknownMaker
	}
	if err := contents.Check(p); err != nil {
		return nil, err
	}
	return &Personalise{work: work{Identity: id, profile: p}, Contents: contents, KeyVersion: keyVersion}, nil
}

// Next implements Operation.
func (o *Personalise) Next(ctx context.Context, keeper Keeper, in Input) (*Script, error) {
	if err := o.check(in); err != nil {
		return nil, err
	}
	return o.loader().next(ctx, o, keeper, in)
}

// check judges the answers, the proof first. A refused first key is turned into
// the finding that it is.
func (o *Personalise) check(in Input) error {
	if o.Domain == nil && (o.Phase == phaseWrite || o.Phase == phaseReadBack) {
		if err := o.judge(&o.Proof, 0, in.Responses); err != nil {
			return err
		}
	}
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
	check, err := keeper.DirectMAC(ctx, Key{Name: o.profile.KeeperKey("CHECK")}, make([]byte, o.profile.BlockSize()), body)
	if err != nil {
		return keeperError("check code of the card identification", err)
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
func keyOrder(p *profile.Profile) []slotOf {
	var order []slotOf
	var master slotOf
	for _, scope := range p.Scopes {
		for _, key := range scope.Keys {
			if key.Name == p.Maker.Master {
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
	order := keyOrder(o.profile)
	end := len(order)
	if o.profile.Maker.IV == "challenge" {
		end = o.NextKey + 1
	}
	transport := Key{Name: o.profile.KeeperKey(o.profile.Maker.Transport), Factors: [][]byte{o.Identity.cardFactor(o.profile)}}
	steps, err := o.load(ctx, keeper, transport, order[o.NextKey:end], o.KeyVersion, challenge)
	if err != nil {
		return nil, err
	}
	o.NextKey = end
	size := factorLength
	if o.NextKey < len(order) {
		size = o.profile.BlockSize()
	}
	o.Phase = phaseKeys
	return o.out(append(steps, challengeCommand(size))...), nil
}

// keyBlockLength is Lc of a key-loading command: length, three attributes and
// sixteen bytes of key, padded to whole blocks, and the MAC.
func keyBlockLength(p *profile.Profile) byte {
	block := p.BlockSize()
	return byte((1+3+16)/block*block + block + macLength)
}

// takeKeys notes that the chip now holds the card's own keys.
func (o *Personalise) takeKeys() {
	for _, slot := range keyOrder(o.profile) {
		o.Identity.Keys[slot.Name] = o.KeyVersion
	}
}

func (o *Personalise) write(ctx context.Context, keeper Keeper, challenge []byte) (*Script, error) {
	question, err := o.prove(ctx, keeper, &o.Proof)
	if err != nil {
		return nil, err
	}
	open, err := o.authenticate(ctx, keeper, "UKSSSE", challenge)
	if err != nil {
		return nil, err
	}
	elements, err := o.Contents.encode(o.profile, o.CardID)
	if err != nil {
		return nil, err
	}
	steps := []Step{question, open}
	for _, w := range elements {
		steps = append(steps, Step{
			Command: apdu.Command{INS: insUpdateRecord, P1: byte(w.element.Record), P2: w.file.SFI()<<3 | 4, Data: slices.Concat([]byte{w.element.Tag, byte(w.element.Length)}, w.value)},
			Secret:  true,
			Label:   "写入 " + w.element.Title.ZH,
		})
	}
	if !o.guarded() {
		return o.finishReading(steps), nil
	}
	o.Phase = phaseWrite
	return o.out(append(steps, challengeCommand(factorLength))...), nil
}

func (o *Personalise) readBack(ctx context.Context, keeper Keeper, challenge []byte) (*Script, error) {
	question, err := o.prove(ctx, keeper, &o.Proof)
	if err != nil {
		return nil, err
	}
	steps := []Step{question}
	if o.guarded() {
		open, err := o.authenticate(ctx, keeper, readKey, challenge)
		if err != nil {
			return nil, err
		}
		steps = append(steps, open)
	}
	return o.finishReading(steps), nil
}

// finishReading ends a script with all elements and the challenge for the last
// command.
func (o *Personalise) finishReading(steps []Step) *Script {
	o.Opened = len(steps)
	steps = append(steps, o.readAll(true)...)
	o.Phase = phaseReadBack
	return o.out(append(steps, challengeCommand(o.profile.BlockSize()))...)
}

// compare ends the personalisation of a chip that says what was intended.
func (o *Personalise) compare(ctx context.Context, keeper Keeper, responses []apdu.Response) (*Script, error) {
	if err := o.same(responses[o.Opened:]); err != nil {
		return nil, err
	}
	if !o.Identity.Blank() {
		o.Phase, o.Steps = phaseDone, nil
		return nil, nil
	}
	return o.finish(ctx, keeper, lastData(responses))
}

// same holds what the chip says, element for element, against what was
// intended; its proof was judged before.
func (o *Personalise) same(responses []apdu.Response) error {
	intended, err := o.Contents.encode(o.profile, o.CardID)
	if err != nil {
		return err
	}
	read := responses[:len(intended)]
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
	if o.All, err = o.values(true, read); err != nil {
		return err
	}
	o.Proven = true
	return nil
}

// finish is the last write: it makes the blank a card.
func (o *Personalise) finish(ctx context.Context, keeper Keeper, challenge []byte) (*Script, error) {
	if err := o.fresh(challenge, o.profile.BlockSize()); err != nil {
		return nil, err
	}
	header := []byte{0x84, insFinish, 0, 0, 4}
	mac, err := keeper.DirectMAC(ctx, o.Identity.key(o.profile, o.profile.Maker.Master), challenge, header)
	if err != nil {
		return nil, keeperError("finish", err)
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
	switch {
	case o.Domain != nil:
		total = PlatformScripts - 1
	case !o.guarded():
		total--
	}
	return min(o.Turn, total), total, map[string]string{
		phaseOpen: "建立安全通道", phaseKeys: "装载密钥", phaseChallenge: "接续制卡", phaseWrite: "写入数据", phaseReadBack: "读回核对", phaseFinish: "结束制卡", phaseDone: "制卡完成",
	}[o.Phase]
}
