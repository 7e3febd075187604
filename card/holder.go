package card

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"onecard/apdu"
	"onecard/card/profile"
)

// macLength is the length of a command's MAC.
const macLength = 4

// ActivateScripts is the number of scripts of an activation, opening included.
const ActivateScripts = 3

// Activate sets the holder's first number (启用、密码重装): authentication with the
// PUK, then RELOAD PIN under the process key of a fresh challenge (LD/T 32.5;
// the SM4 form is assumed from that of 3DES).
type Activate struct {
	work
	// Unblock gives the attempts back and leaves the number as it is (密码解锁).
	Unblock bool  `json:"unblock,omitempty"`
	Proof   proof `json:"proof"`
	Done    bool  `json:"done"`
}

// NewActivate begins an activation.
func NewActivate(p *profile.Profile, id *Identity) (*Activate, error) {
	if err := id.personalised(); err != nil {
		return nil, err
	}
	return &Activate{work: work{Identity: id, profile: p}}, nil
}

// NewUnblockPIN begins the unblocking of the holder's number.
func NewUnblockPIN(p *profile.Profile, id *Identity) (*Activate, error) {
	o, err := NewActivate(p, id)
	if err == nil {
		o.Unblock = true
	}
	return o, err
}

// Next implements Operation.
func (o *Activate) Next(ctx context.Context, keeper Keeper, in Input) (*Script, error) {
	if o.Turn == 1 {
		if err := o.judge(&o.Proof, 0, in.Responses); err != nil {
			return nil, err
		}
	}
	if err := o.answers(in); err != nil {
		return nil, err
	}
	switch o.Turn {
	case 0:
		question, err := o.prove(ctx, keeper, &o.Proof)
		if err != nil {
			return nil, err
		}
		open, err := o.authenticate(ctx, keeper, "PUK", o.Identity.Challenge)
		if err != nil {
			return nil, err
		}
		return o.out(question, open, challengeCommand(factorLength)), nil
	case 1:
		challenge := lastData(in.Responses)
		if err := o.fresh(challenge, factorLength); err != nil {
			return nil, err
		}
		if o.Unblock {
			return o.unblock(ctx, keeper, challenge)
		}
		if !validPIN(o.profile, in.PIN) {
			return nil, ErrPINFormat
		}
		header := []byte{0x84, insReloadPIN, 0, 1, byte(o.profile.BlockSize() + macLength)}
		data, err := keeper.PINBlock(ctx, o.Identity.key(o.profile, "STK"), challenge, header, in.PIN)
		if err != nil {
			return nil, keeperError("set PIN", err)
		}
		return o.out(Step{Command: apdu.Command{CLA: header[0], INS: header[1], P1: header[2], P2: header[3], Data: data}, Secret: true, Label: "设置社保密码"}), nil
	}
	o.Done, o.Steps = true, nil
	return nil, nil
}

func (o *Activate) unblock(ctx context.Context, keeper Keeper, challenge []byte) (*Script, error) {
	header := []byte{0x84, insReloadPIN, 0, 0, macLength}
	mac, err := keeper.CommandMAC(ctx, o.Identity.key(o.profile, "STK"), challenge, header)
	if err != nil {
		return nil, keeperError("unblock PIN", err)
	}
	return o.out(Step{Command: apdu.Command{CLA: header[0], INS: header[1], P1: header[2], P2: header[3], Data: mac}, Label: "解锁社保密码"}), nil
}

// NeedsPIN says that the answers to the first script must come with the
// number.
func (o *Activate) NeedsPIN() bool { return o.Turn == 1 && !o.Unblock }

// Genuine says that the chip proved itself and took what was enciphered or
// authenticated for it alone.
func (o *Activate) Genuine() bool { return o.Done }

// Values is empty: an activation reads nothing.
func (o *Activate) Values() []Value { return nil }

// Progress says how many scripts are done, of how many, and what comes.
func (o *Activate) Progress() (done, total int, label string) {
	label = "启用并设置密码"
	if o.Unblock {
		label = "解锁社保密码"
	}
	return o.Turn, ActivateScripts - 1, label
}

// LockScripts is the number of scripts of a lock or unlock, opening included.
const LockScripts = 2

// Lock blocks the application on the card, or unblocks it (应用锁定、解锁), or
// blocks the whole card for ever (卡片锁定).
type Lock struct {
	work
	Unlock bool  `json:"unlock"`
	Card   bool  `json:"card,omitempty"`
	Proof  proof `json:"proof"`
	Done   bool  `json:"done"`
}

// NewBlockCard begins the blocking of a card, which nothing undoes.
func NewBlockCard(p *profile.Profile, id *Identity) (*Lock, error) {
	if err := id.personalised(); err != nil {
		return nil, err
	}
	return &Lock{work: work{Identity: id, profile: p}, Card: true}, nil
}

// NewLock begins a lock or an unlock. A blocked card does not give its
// identification, so the caller says what the province has on record.
func NewLock(p *profile.Profile, id *Identity, cardID []byte, unlock bool) (*Lock, error) {
	if id.Blank() {
		return nil, ErrNotPersonalised
	}
	if id.Blocked && !unlock {
		return nil, ErrApplicationBlocked
	}
	if len(cardID) != cardIDLength {
		return nil, fmt.Errorf("card identification of %d bytes, %d are needed", len(cardID), cardIDLength)
	}
	id.CardID = cardID
	return &Lock{work: work{Identity: id, profile: p}, Unlock: unlock}, nil
}

// Next implements Operation.
func (o *Lock) Next(ctx context.Context, keeper Keeper, in Input) (*Script, error) {
	if o.Turn > 0 {
		if err := o.judge(&o.Proof, o.asked(), in.Responses); err != nil {
			return nil, err
		}
		if err := o.answers(in); err != nil {
			return nil, err
		}
		o.Done, o.Steps = true, nil
		return nil, nil
	}
	if err := o.fresh(o.Identity.Challenge, factorLength); err != nil {
		return nil, err
	}
	header := []byte{0x84, insBlockApplication, 0, 0, 4}
	label := "锁定应用"
	switch {
	case o.Unlock:
		header[1], label = insUnblockApplication, "解锁应用"
	case o.Card:
		header[1], label = insBlockCard, "锁定卡片"
	}
	mac, err := keeper.CommandMAC(ctx, o.Identity.key(o.profile, "STK"), o.Identity.Challenge, header)
	if err != nil {
		return nil, keeperError("lock", err)
	}
	question, err := o.prove(ctx, keeper, &o.Proof)
	if err != nil {
		return nil, err
	}
	steps := []Step{question, {Command: apdu.Command{CLA: header[0], INS: header[1], Data: mac}, Label: label}}
	if o.Unlock {
		slices.Reverse(steps)
	}
	return o.out(steps...), nil
}

// asked is the place of the proof in the script: first, but for a chip that is
// unlocked, which proves nothing until then.
func (o *Lock) asked() int {
	if o.Unlock {
		return 1
	}
	return 0
}

// NeedsPIN is as for Read.
func (o *Lock) NeedsPIN() bool { return false }

// Genuine says that the chip proved itself and took a command authenticated for
// it alone.
func (o *Lock) Genuine() bool { return o.Done }

// Values is empty.
func (o *Lock) Values() []Value { return nil }

// Progress says how many scripts are done, of how many, and what comes.
func (o *Lock) Progress() (done, total int, label string) {
	return o.Turn, LockScripts - 1, "锁定或解锁应用"
}

// validPIN says whether a number has the form that the profile asks for.
func validPIN(p *profile.Profile, pin string) bool {
	return len(pin) == p.PIN.Digits && strings.Trim(pin, "0123456789") == ""
}

// VerifyPIN lets the chip compare the holder's number (验证密码). The environment
// must be selected. It is one command and never repeated: the chip counts.
// A refusal is a *PINError.
func VerifyPIN(ctx context.Context, channel *apdu.Channel, p *profile.Profile, pin string) error {
	if !validPIN(p, pin) {
		return ErrPINFormat
	}
	packed, err := packPIN(pin)
	if err != nil {
		return err
	}
	return sendPIN(ctx, channel, apdu.Command{INS: insVerify, Data: packed})
}

// ChangePIN lets the chip change the holder's number (修改密码).
func ChangePIN(ctx context.Context, channel *apdu.Channel, p *profile.Profile, old, fresh string) error {
	if !validPIN(p, old) || !validPIN(p, fresh) {
		return ErrPINFormat
	}
	data, err := hex.DecodeString(old + "FF" + fresh)
	if err != nil {
		return ErrPINFormat
	}
	return sendPIN(ctx, channel, apdu.Command{CLA: 0x80, INS: insChangePIN, P1: 1, Data: data})
}

// packPIN returns the digits of a number in BCD.
func packPIN(pin string) ([]byte, error) {
	packed, err := hex.DecodeString(pin)
	if err != nil || pin == "" || strings.Trim(pin, "0123456789") != "" {
		return nil, ErrPINFormat
	}
	return packed, nil
}

// verifyStep is the step in which the chip compares the holder's number. Its
// data field is filled in where the holder is.
func verifyStep(p *profile.Profile) Step {
	return Step{Command: apdu.Command{INS: insVerify, Data: make([]byte, p.PIN.Digits/2)}, PIN: true, Secret: true, Label: "验证社保密码"}
}

// pinRefused finds the refusal of the holder's number among the answers.
func pinRefused(steps []Step, responses []apdu.Response) error {
	for i, r := range responses {
		if i < len(steps) && steps[i].PIN {
			if err := pinError(r.SW); err != nil {
				return err
			}
		}
	}
	return nil
}

// pinError turns the chip's answer to a number into what it says.
func pinError(sw apdu.SW) error {
	if left, ok := sw.Tries(); ok {
		return &PINError{Left: left}
	}
	if sw == 0x6983 {
		return &PINError{}
	}
	return nil
}

func sendPIN(ctx context.Context, channel *apdu.Channel, command apdu.Command) error {
	r, err := send(ctx, channel, command)
	if err != nil {
		return err
	}
	if err := pinError(r.SW); err != nil {
		return err
	}
	if err := r.Err(); err != nil {
		return &StepError{Label: "验证社保密码", err: err}
	}
	return nil
}
