// Package psam works a terminal's security module (PSAM 卡): a second card in a
// second slot that holds the keys from which cards' keys are derived, so that a
// terminal proves a card, and itself to it, without the province. No key leaves
// the module; what comes out serves one challenge.
//
// Four APDUs find a module out, two make an authentication (four where the
// reader speaks T=0 and the channel fetches the answer). The commands are those
// that programs of the field send (/BF DE/ INIT FOR DESCRYPT, /80 FA/; PBOC names
// 80 1A for the first); no public document of the ministry gives them: assumed.
package psam

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"onecard/apdu"
	"onecard/card/profile"
)

// What can be wrong with a module.
var (
	// ErrNone: the card is no security module.
	ErrNone = errors.New("读卡器中不是 PSAM 卡 no security module in the reader")
	// ErrNoKey: the module has no such key, or not for so many levels.
	ErrNoKey = errors.New("PSAM 卡没有该密钥 the security module has no such key")
	// ErrAlgorithm: the module's keys are for cards of another cipher.
	ErrAlgorithm = errors.New("PSAM 卡的算法与卡不符 the security module is for cards of another cipher")
	// ErrAway: the module did not answer, or was taken out.
	ErrAway = errors.New("PSAM 卡没有应答或已拔出 the security module does not answer, or was taken out")
)

// Module is a module that was found out.
type Module struct {
	Serial   string // 卡序列号, hexadecimal
	Terminal string // 终端机编号, twelve digits

	channel *apdu.Channel
	levels  int // of its keys below it, once it is known; 0 before
}

// The commands.
const (
	insSelect     = 0xA4
	insReadBinary = 0xB0
	fileSerial    = 0x15 // 公共信息
	fileTerminal  = 0x16 // 终端信息
	mostLevels    = 3
	factorLength  = 8
	kinds         = 0x1F // of a usage byte
)

// Open finds out the module that a channel reaches, and selects its application.
func Open(ctx context.Context, channel *apdu.Channel) (*Module, error) {
	m := &Module{channel: channel}
	for _, step := range []struct {
		command apdu.Command
		take    func(data []byte)
	}{
		{apdu.Command{INS: insSelect, Data: []byte{0x3F, 0x00}}, nil},
		{apdu.Command{INS: insReadBinary, P1: 0x80 | fileSerial, Ne: 10}, func(d []byte) { m.Serial = hex.EncodeToString(d) }},
		{apdu.Command{INS: insReadBinary, P1: 0x80 | fileTerminal, Ne: 6}, func(d []byte) { m.Terminal = hex.EncodeToString(d) }},
		{apdu.Command{INS: insSelect, Data: []byte{0xDF, 0x01}}, nil},
	} {
		r, err := channel.Send(ctx, step.command)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrAway, err)
		case r.SW != apdu.OK, step.take != nil && len(r.Data) != step.command.Ne:
			return nil, ErrNone
		case step.take != nil:
			step.take(r.Data)
		}
	}
	return m, nil
}

// Cryptogram computes AUTH (鉴别数据) of a card of a profile: the card proves that it
// holds the key by the same eight bytes, or lets the terminal in for them.
// factors lead from the module's key to the card's, the card's own first; r1 is
// the process factor, r2 the original information.
func (m *Module) Cryptogram(ctx context.Context, p *profile.Profile, key profile.Key, factors [][]byte, r1, r2 []byte) ([]byte, error) {
	if key.PSAM == (profile.PSAM{}) {
		return nil, fmt.Errorf("%s: %w", key.Name, ErrNoKey)
	}
	if err := m.derive(ctx, p, key, factors, r1); err != nil {
		return nil, err
	}
	r, err := m.channel.Send(ctx, apdu.Command{CLA: 0x80, INS: 0xFA, Data: block(p, r2), Ne: p.BlockSize()})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	case r.SW != apdu.OK:
		return nil, fmt.Errorf("PSAM: %w", r.Err())
	case len(r.Data) != p.BlockSize():
		return nil, fmt.Errorf("PSAM: %d bytes: %w", len(r.Data), apdu.ErrMalformed)
	}
	auth := make([]byte, factorLength)
	for i, b := range r.Data {
		auth[i%factorLength] ^= b // of SM4 the two halves
	}
	return auth, nil
}

// derive has the module make the process key. How many levels its keys have
// below them it does not tell: what it has no key for costs nothing.
func (m *Module) derive(ctx context.Context, p *profile.Profile, key profile.Key, factors [][]byte, r1 []byte) error {
	first, last := 1, min(mostLevels, len(factors))
	if m.levels > 0 {
		first, last = m.levels, m.levels
	}
	for levels := first; levels <= last; levels++ {
		var data []byte
		for _, factor := range factors[:levels] {
			data = append(data, factor...)
		}
		r, err := m.channel.Send(ctx, apdu.Command{CLA: 0xBF, INS: 0xDE, P1: byte(levels)<<5 | key.PSAM.Usage&kinds, P2: key.PSAM.ID, Data: append(data, block(p, r1)...)})
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", ErrAway, err)
		case r.SW == apdu.OK:
			m.levels = levels
			return nil
		case r.SW == 0x6700:
			return ErrAlgorithm
		case r.SW != 0x6A88:
			return fmt.Errorf("PSAM: %w", r.Err())
		}
	}
	return fmt.Errorf("%s: %w", key.Name, ErrNoKey)
}

// block fills a value of eight bytes up to a block of the card's cipher.
func block(p *profile.Profile, value []byte) []byte {
	return append(append([]byte(nil), value...), make([]byte, p.BlockSize()-len(value))...)
}
