package card

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"onecard/apdu"
	"onecard/card/profile"
)

// PlatformScripts is the number of scripts of a personalisation on a
// GlobalPlatform blank, opening included: the opening, INITIALIZE UPDATE, all
// keys and data with their reading back, and the end.
const PlatformScripts = 4

// The commands of GlobalPlatform.
const (
	insInitializeUpdate = 0x50
	insPutKey           = 0xD8
	insStoreData        = 0xE2
	insSetStatus        = 0xF0
)

// The limits of PUT KEY and STORE DATA: the plain data of a command that is
// within 255 bytes at every level, the highest version and identifier of a key,
// and the length of a key's data field.
const (
	mostPlatformData = 223
	mostPlatformKey  = 0x7F
	platformKeySize  = 23
)

// phaseOpen: INITIALIZE UPDATE is out.
const phaseOpen = "open"

// platform personalises the application as a security domain (安全域) through a
// secure channel: PUT KEY loads its keys, STORE DATA its records, both are read
// back in the same session, and SET STATUS makes the blank a card. The session
// is lost with the power; then everything begins anew, since all that was
// written may be written again until the last command.
type platform struct{ maker *profile.BlankMaker }

func (l platform) next(ctx context.Context, o *Personalise, keeper Keeper, in Input) (*Script, error) {
	channels, ok := keeper.(channelKeeper)
	if !ok {
		return nil, ErrNoChannel
	}
	switch o.Phase {
	case phaseStart:
		return l.start(ctx, o, keeper)
	case phaseOpen:
		return l.write(ctx, o, keeper, channels, in.Responses[0].Data)
	case phaseReadBack:
		responses, err := o.Domain.unwrap(ctx, channels, in.Responses[1:]) // without EXTERNAL AUTHENTICATE's
		if err != nil {
			return nil, err
		}
		return l.compare(ctx, o, channels, responses)
	case phaseFinish:
		responses, err := o.Domain.unwrap(ctx, channels, in.Responses[:len(in.Responses)-1]) // without SELECT's
		if err != nil {
			return nil, err
		}
		return nil, o.finished(responses)
	}
	return nil, nil
}

// start asks the chip for its part of a session.
func (l platform) start(ctx context.Context, o *Personalise, keeper Keeper) (*Script, error) {
	if err := o.identify(ctx, keeper); err != nil {
		return nil, err
	}
	o.Domain = &channel{HostChallenge: make([]byte, l.maker.ChallengeSize()), Chip: o.Identity.ATR}
	_, _ = rand.Read(o.Domain.HostChallenge) // never fails since Go 1.24
	o.Phase = phaseOpen
	return o.out(Step{
		Command: apdu.Command{CLA: 0x80, INS: insInitializeUpdate, P1: l.maker.KeyVersion, Data: o.Domain.HostChallenge, Ne: apdu.MaxShortNe},
		Label:   "建立安全通道",
	}), nil
}

// write opens the session, loads and writes everything, and reads it back.
func (l platform) write(ctx context.Context, o *Personalise, keeper Keeper, channels channelKeeper, response []byte) (*Script, error) {
	request := ChannelRequest{
		Protocol: l.maker.Protocol, ENC: Key{Name: l.maker.ENC}, MAC: Key{Name: l.maker.MAC}, DEK: Key{Name: l.maker.DEK},
		Diversification: l.maker.Diversification, Level: l.maker.Level, HostChallenge: o.Domain.HostChallenge, Response: response, Chip: o.Domain.Chip,
	}
	if l.maker.CheckChallenge {
		request.AID = o.profile.Environment
	}
	raw, state, err := channels.OpenChannel(ctx, request)
	if wrongChip(err) {
		return nil, fmt.Errorf("%w: %w", ErrTransportKey, err)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, fmt.Errorf("%w: %w", ErrNoChannel, err)
	}
	if err != nil {
		return nil, keeperError("open secure channel", err)
	}
	command, err := apdu.ParseCommand(raw)
	if err != nil {
		return nil, fmt.Errorf("open secure channel: %w", err)
	}
	o.Domain.State, o.Domain.HostChallenge = state, nil
	steps, err := l.keys(o)
	if err != nil {
		return nil, err
	}
	data, err := l.data(o)
	if err != nil {
		return nil, err
	}
	steps = append(steps, data...)
	o.takeKeys()
	question, err := o.prove(ctx, keeper, &o.Proof)
	if err != nil {
		return nil, err
	}
	for _, step := range append([]Step{question}, o.readAll(true)...) {
		steps = append(steps, guarded{Step: step})
	}
	protected, err := o.Domain.wrap(ctx, channels, steps)
	if err != nil {
		return nil, err
	}
	o.Phase = phaseReadBack
	return o.out(append([]Step{{Command: command, Label: "安全通道外部认证"}}, protected...)...), nil
}

// keys loads all keys, numbered in the order of the profile, as many in a
// command as it holds.
func (l platform) keys(o *Personalise) ([]guarded, error) {
	var slots []profile.Key
	for _, scope := range o.profile.Scopes {
		slots = append(slots, scope.Keys...)
	}
	if o.KeyVersion > mostPlatformKey || len(slots) > mostPlatformKey {
		return nil, fmt.Errorf("maker %s: %d keys of version %d: at most %d each", l.maker.Name, len(slots), o.KeyVersion, mostPlatformKey)
	}
	var steps []guarded
	first := 1
	for run := range slices.Chunk(slots, (mostPlatformData-1)/platformKeySize) {
		step := guarded{Step: Step{
			Command: apdu.Command{CLA: 0x80, INS: insPutKey, P2: 0x80 | byte(first), Data: []byte{byte(o.KeyVersion)}, Ne: apdu.MaxShortNe},
			Label:   "装载密钥 " + run[0].Name + " 等",
		}}
		for _, slot := range run {
			target := Key{Name: o.profile.KeeperKey(slot.Name), Version: o.KeyVersion, Factors: o.Identity.factors(o.profile)}
			step.loads = append(step.loads, ChannelLoad{Target: target, Type: l.maker.KeyTypes[o.profile.Algorithm]})
		}
		first += len(run)
		steps = append(steps, step)
	}
	return steps, nil
}

// data writes all elements as data groupings (DGI): short file identifier,
// record number, length and record, as many in a command as it holds.
func (l platform) data(o *Personalise) ([]guarded, error) {
	elements, err := o.Contents.encode(o.profile, o.CardID)
	if err != nil {
		return nil, err
	}
	var groups [][]byte
	for _, w := range elements {
		size := byte(w.element.Length)
		group := slices.Concat([]byte{w.file.SFI(), byte(w.element.Record), 2 + size, w.element.Tag, size}, w.value)
		if last := len(groups) - 1; last >= 0 && len(groups[last])+len(group) <= mostPlatformData {
			groups[last] = append(groups[last], group...)
		} else {
			groups = append(groups, group)
		}
	}
	var steps []guarded
	for i, group := range groups {
		p1 := byte(0x08)
		if i == len(groups)-1 {
			p1 |= 0x80
		}
		steps = append(steps, guarded{Step: Step{Command: apdu.Command{CLA: 0x80, INS: insStoreData, P1: p1, P2: byte(i), Data: group}, Label: "写入数据"}})
	}
	return steps, nil
}

// compare holds what the chip says against what was intended, and ends.
func (l platform) compare(ctx context.Context, o *Personalise, channels channelKeeper, responses []apdu.Response) (*Script, error) {
	reading := len(responses) - len(o.readAll(true))
	if !o.Proof.holds(responses[reading-1].Data) {
		return nil, ErrNotGenuine
	}
	if err := o.same(responses[reading:]); err != nil {
		return nil, err
	}
	life := keyInformationStep()
	life.Accept = nil
	steps, err := o.Domain.wrap(ctx, channels, []guarded{
		{Step: Step{Command: apdu.Command{CLA: 0x80, INS: insSetStatus, P1: 0x40, P2: 0x0F, Data: o.profile.Environment}, Label: "结束制卡"}},
		{Step: life},
	})
	if err != nil {
		return nil, err
	}
	o.Phase = phaseFinish
	return o.out(append(steps, selectEnvironment(o.profile))...), nil // which ends the session
}
