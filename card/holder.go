package card

import (
	"context"
	"encoding/hex"
	"fmt"
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
}

// NewActivate begins an activation.
func NewActivate(p *profile.Profile, id *Identity) (*Activate, error) {
	if err := id.personalised(); err != nil {
		return nil, err
	}
	return &Activate{work{Identity: id, profile: p}}, nil
}

// Next implements Operation.
func (o *Activate) Next(ctx context.Context, keeper Keeper, in Input) (*Script, error) {
	if err := o.answers(in); err != nil {
		return nil, err
	}
	switch o.Turn {
	case 0:
		open, err := o.authenticate(ctx, keeper, "PUK", o.Identity.Challenge)
		if err != nil {
			return nil, err
		}
		return o.out(open, challengeCommand(factorLength)), nil
	case 1:
		if !validPIN(o.profile, in.PIN) {
			return nil, ErrPINFormat
		}
		header := []byte{0x84, insReloadPIN, 0, 1, byte(o.profile.BlockSize() + macLength)}
		data, err := keeper.PINBlock(ctx, o.Identity.key(o.profile, "STK"), lastData(in.Responses), header, in.PIN)
		if err != nil {
			return nil, fmt.Errorf("set PIN: %w", err)
		}
		return o.out(Step{Command: apdu.Command{CLA: header[0], INS: header[1], P1: header[2], P2: header[3], Data: data}, Secret: true, Label: "设置社保密码"}), nil
	}
	o.Steps = nil
	return nil, nil
}

// NeedsPIN says that the answers to the first script must come with the
// number.
func (o *Activate) NeedsPIN() bool { return o.Turn == 1 }

// Genuine says that the chip took a number enciphered for it alone.
func (o *Activate) Genuine() bool { return o.Turn == ActivateScripts-1 && o.Steps == nil }

// Values is empty: an activation reads nothing.
func (o *Activate) Values() []Value { return nil }

// Progress says how many scripts are done, of how many, and what comes.
func (o *Activate) Progress() (done, total int, label string) {
	return o.Turn, ActivateScripts - 1, "启用并设置密码"
}

// LockScripts is the number of scripts of a lock or unlock, opening included.
const LockScripts = 2

// Lock blocks the application on the card, or unblocks it (应用锁定、解锁).
type Lock struct {
	work
	Unlock bool `json:"unlock"`
	Done   bool `json:"done"`
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
	if err := o.answers(in); err != nil {
		return nil, err
	}
	if o.Turn > 0 {
		o.Done, o.Steps = true, nil
		return nil, nil
	}
	header := []byte{0x84, insBlockApplication, 0, 0, 4}
	label := "锁定应用"
	if o.Unlock {
		header[1], label = insUnblockApplication, "解锁应用"
	}
	mac, err := keeper.CommandMAC(ctx, o.Identity.key(o.profile, "STK"), o.Identity.Challenge, header)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	return o.out(Step{Command: apdu.Command{CLA: header[0], INS: header[1], Data: mac}, Label: label}), nil
}

// NeedsPIN is as for Read.
func (o *Lock) NeedsPIN() bool { return false }

// Genuine says that the chip took a command authenticated for it alone.
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
	packed, err := hex.DecodeString(pin)
	if err != nil {
		return ErrPINFormat
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

func sendPIN(ctx context.Context, channel *apdu.Channel, command apdu.Command) error {
	r, err := channel.Send(ctx, command)
	if err != nil {
		return err
	}
	if left, ok := r.SW.Tries(); ok {
		return &PINError{Left: left}
	}
	if r.SW == 0x6983 {
		return &PINError{}
	}
	if err := r.Err(); err != nil {
		return &StepError{Label: "验证社保密码", err: err}
	}
	return nil
}
