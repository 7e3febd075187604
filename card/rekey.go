package card

import (
	"context"
	"fmt"
	"slices"

	"onecard/apdu"
	"onecard/card/profile"
)

// RekeyScripts is the number of scripts of a key changeover, opening included.
const RekeyScripts = 2

// Rekey replaces the keys of a card in the field by those of a newer version
// (密钥更换), each enciphered under the card's own master key, the master key last.
// It may be started again on a card that it left at any point: the chip tells
// the version of each key, and what is new already is left alone. The chip
// proves itself by its key for authentication, first the old and then the new.
type Rekey struct {
	work
	KeyVersion int   `json:"keyVersion"`
	Old        proof `json:"old"`   // by the keys that it has, before it is given others
	Proof      proof `json:"proof"` // by the new ones
	Proven     bool  `json:"proven"`
}

// NewRekey begins the changeover of a card that tells its key versions; the
// opening script ends with a challenge of one block.
func NewRekey(p *profile.Profile, id *Identity, keyVersion int) (*Rekey, error) {
	if err := id.personalised(); err != nil {
		return nil, err
	}
	if len(id.Keys) == 0 {
		return nil, ErrNoKeyVersions
	}
	for name, version := range id.Keys {
		if version > keyVersion {
			return nil, fmt.Errorf("key %s is of version %d: %w", name, version, ErrNewerKeys)
		}
	}
	return &Rekey{work: work{Identity: id, profile: p}, KeyVersion: keyVersion}, nil
}

// Next implements Operation.
func (o *Rekey) Next(ctx context.Context, keeper Keeper, in Input) (*Script, error) {
	if o.Turn == 0 {
		return o.renew(ctx, keeper)
	}
	if err := o.judge(&o.Old, 0, in.Responses); err != nil {
		return nil, err
	}
	n := len(o.Steps)
	if err := o.judge(&o.Proof, n-1, in.Responses); err != nil {
		return nil, err
	}
	if err := o.answers(in); err != nil {
		return nil, err
	}
	if err := o.Identity.readKeys(o.profile, in.Responses[n-2].Data); err != nil {
		return nil, err
	}
	for name, version := range o.Identity.Keys {
		if version != o.KeyVersion {
			return nil, &ReadBackError{Element: profile.Text{ZH: "密钥版本 " + name, EN: "version of key " + name}}
		}
	}
	o.Proven, o.Steps = true, nil
	return nil, nil
}

// renew wraps the keys that are old in one chain of MACs.
func (o *Rekey) renew(ctx context.Context, keeper Keeper) (*Script, error) {
	old := slices.DeleteFunc(keyOrder(o.profile), func(slot slotOf) bool { return o.Identity.Keys[slot.Name] == o.KeyVersion })
	steps, err := o.load(ctx, keeper, o.Identity.key(o.profile, o.profile.Maker.Master), old, o.KeyVersion, o.Identity.Challenge)
	if err != nil {
		return nil, err
	}
	before, err := o.prove(ctx, keeper, &o.Old)
	if err != nil {
		return nil, err
	}
	renewed := o.Identity.key(o.profile, "IRK")
	renewed.Version = o.KeyVersion
	after, err := o.Proof.step(ctx, keeper, o.profile, renewed)
	if err != nil {
		return nil, err
	}
	return o.out(slices.Concat([]Step{before}, steps, []Step{keyInformationStep(), after})...), nil
}

// load makes the commands that load keys of a version under another key, in one
// chain of MACs that starts from the chip's challenge.
func (w *work) load(ctx context.Context, keeper Keeper, under Key, slots []slotOf, version int, challenge []byte) ([]Step, error) {
	if err := w.fresh(challenge, w.profile.BlockSize()); err != nil {
		return nil, err
	}
	loads := make([]KeyLoad, len(slots))
	for i, slot := range slots {
		loads[i] = KeyLoad{
			Target:     Key{Name: w.profile.KeeperKey(slot.Name), Version: version, Factors: w.Identity.factors(w.profile)},
			Attributes: [3]byte{slot.Usage, byte(version), slot.Tries},
			Header:     []byte{0x84, insLoadKey, byte(slot.scope), slot.ID, keyBlockLength(w.profile)},
		}
	}
	fields, err := wrapKeys(ctx, keeper, under, loads, challenge)
	if err != nil {
		return nil, err
	}
	steps := make([]Step, len(slots))
	for i, field := range fields {
		header := loads[i].Header
		steps[i] = Step{Command: apdu.Command{CLA: header[0], INS: header[1], P1: header[2], P2: header[3], Data: field}, Label: "装载密钥 " + slots[i].Name}
	}
	return steps, nil
}

// Genuine says whether the chip has proven its new keys.
func (o *Rekey) Genuine() bool { return o.Proven }

// Values is empty: a changeover reads nothing.
func (o *Rekey) Values() []Value { return nil }

// NeedsPIN is as for Read.
func (o *Rekey) NeedsPIN() bool { return false }

// Progress says how many scripts are done, of how many, and what comes.
func (o *Rekey) Progress() (done, total int, label string) {
	return o.Turn, RekeyScripts - 1, "更换密钥"
}
