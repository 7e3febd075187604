package card

import (
	"context"
	"fmt"

	"onecard/apdu"
	"onecard/card/profile"
)

// RekeyScripts is the number of scripts of a key changeover, opening included.
const RekeyScripts = 2

// Rekey replaces the keys of a card in the field by those of a newer version
// (密钥更换), each enciphered under the card's own master key, the master key last.
// It may be started again on a card that it left at any point: the chip tells
// the version of each key, and what is new already is left alone. The chip then
// proves its new key for authentication.
type Rekey struct {
	work
	KeyVersion int   `json:"keyVersion"`
	Proof      proof `json:"proof"`
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
	if err := o.answers(in); err != nil {
		return nil, err
	}
	if o.Turn == 0 {
		return o.load(ctx, keeper)
	}
	n := len(in.Responses)
	if err := o.Identity.readKeys(o.profile, in.Responses[n-2].Data); err != nil {
		return nil, err
	}
	for name, version := range o.Identity.Keys {
		if version != o.KeyVersion {
			return nil, &ReadBackError{Element: profile.Text{ZH: "密钥版本 " + name, EN: "version of key " + name}}
		}
	}
	genuine, err := o.Proof.holds(ctx, keeper, o.Identity.key(o.profile, "IRK"), in.Responses[n-1].Data)
	if err != nil {
		return nil, err
	}
	if !genuine {
		return nil, ErrNotGenuine
	}
	o.Proven, o.Steps = true, nil
	return nil, nil
}

// load wraps the keys that are old in one chain of MACs.
func (o *Rekey) load(ctx context.Context, keeper Keeper) (*Script, error) {
	under := o.Identity.key(o.profile, o.profile.Maker.Master)
	var steps []Step
	iv := o.Identity.Challenge
	for _, slot := range keyOrder(o.profile) {
		if o.Identity.Keys[slot.Name] == o.KeyVersion {
			continue
		}
		target := Key{Name: o.profile.KeeperKey(slot.Name), Version: o.KeyVersion, Factors: o.Identity.factors(o.profile)}
		step, next, err := loadStep(ctx, keeper, o.profile, slot, under, target, iv)
		if err != nil {
			return nil, err
		}
		steps, iv = append(steps, step), next
	}
	return o.out(append(steps, keyInformationStep(), o.Proof.step(o.profile))...), nil
}

// loadStep makes the command that loads a key.
func loadStep(ctx context.Context, keeper Keeper, p *profile.Profile, slot slotOf, under, target Key, iv []byte) (step Step, next []byte, err error) {
	header := []byte{0x84, insLoadKey, byte(slot.scope), slot.ID, keyBlockLength(p)}
	data, next, err := keeper.WrapKey(ctx, under, target, [3]byte{slot.Usage, byte(target.Version), slot.Tries}, header, iv)
	if err != nil {
		return Step{}, nil, fmt.Errorf("wrap %s: %w", slot.Name, err)
	}
	return Step{Command: apdu.Command{CLA: header[0], INS: header[1], P1: header[2], P2: header[3], Data: data}, Label: "装载密钥 " + slot.Name}, next, nil
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
