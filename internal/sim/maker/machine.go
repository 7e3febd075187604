package maker

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"onecard/apdu"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/keys/keyblock"
)

// errKey: a key block is not ours, or not of the key that it should be.
var errKey = errors.New("密钥错误 key block refused")

// machine makes one card on one chip (个人化设备).
type machine struct {
	*job
	channel *apdu.Channel
	keys    [][]byte // of this card, in the order of the head's
}

// personalise makes a card of the blank and returns what it reads back.
func (j *job) personalise(ctx context.Context, c *chip.Chip, r record) (read []string, err error) {
	m := &machine{job: j}
	if m.keys, err = j.open(r.Keys); err != nil {
		return nil, err
	}
	atr := c.PowerOn()
	defer c.PowerOff()
	m.channel = apdu.NewChannel(&chip.Socket{Chip: c})
	if _, err = m.send(ctx, apdu.Command{INS: 0xA4, P1: 4, Data: j.environment, Ne: apdu.MaxShortNe}); err != nil {
		return nil, err
	}
	if err := m.load(ctx, atr); err != nil {
		return nil, err
	}
	if err := m.write(ctx, r.Values); err != nil {
		return nil, err
	}
	if read, err = m.readBack(ctx); err != nil {
		return nil, err
	}
	return read, m.finish(ctx)
}

// open opens the key blocks of a card and checks that each is the key that it
// should be.
func (j *job) open(blocks []string) ([][]byte, error) {
	if len(blocks) != len(j.head.Keys) {
		return nil, errKey
	}
	opened := make([][]byte, len(blocks))
	for i, block := range blocks {
		header, key, err := keyblock.Open(keyblock.KBPK{Algorithm: 'A', Key: j.Delivery}, block)
		label, _ := header.Get("LB")
		if err != nil || len(key) != 16 || label != j.head.Keys[i].Key || header.KeyVersion != fmt.Sprintf("%02d", j.head.Keys[i].Version) {
			return nil, errors.Join(errKey, err)
		}
		opened[i] = key
	}
	return opened, nil
}

func (m *machine) send(ctx context.Context, c apdu.Command) ([]byte, error) {
	r, err := m.channel.Send(ctx, c)
	if err != nil {
		return nil, err
	}
	return r.Data, r.Err()
}

func (m *machine) challenge(ctx context.Context, size int) ([]byte, error) {
	return m.send(ctx, apdu.Command{INS: 0x84, Ne: size})
}

// load loads all keys in one chain of MACs under the blank's transport key, the
// master key last (装载密钥).
func (m *machine) load(ctx context.Context, atr []byte) error {
	line, known := m.profile.ATR(atr)
	if !known {
		return fmt.Errorf("chip %X: not of version %s", atr, m.profile.Version)
	}
	transport, err := m.suite.diversify(m.Transport[:], line.CardFactor(atr))
	if err != nil {
		return err
	}
	iv, err := m.challenge(ctx, m.suite.block())
	if err != nil {
		return err
	}
	for i, key := range m.head.Keys {
		plain := m.suite.pad(slices.Concat([]byte{0x13, key.Usage, byte(key.Version), key.Tries}, m.keys[i]))
		enciphered, err := m.suite.encrypt(transport, plain)
		if err != nil {
			return err
		}
		c := apdu.Command{CLA: 0x84, INS: 0xD4, P1: byte(key.Scope), P2: key.ID}
		last, mac, err := m.suite.mac(transport, iv, slices.Concat([]byte{c.CLA, c.INS, c.P1, c.P2, byte(len(enciphered) + 4)}, enciphered))
		if err != nil {
			return err
		}
		c.Data = append(enciphered, mac...)
		if _, err := m.send(ctx, c); err != nil {
			return fmt.Errorf("key %s: %w", key.Name, err)
		}
		iv = last
	}
	return nil
}

// authenticate gains the right of a key (外部认证).
func (m *machine) authenticate(ctx context.Context, name string) error {
	i := slices.IndexFunc(m.head.Keys, func(k slot) bool { return k.Name == name })
	if i < 0 {
		return fmt.Errorf("no key %s", name)
	}
	r1, err := m.challenge(ctx, 8)
	if err != nil {
		return err
	}
	r2 := make([]byte, 8)
	_, _ = rand.Read(r2)
	auth, err := m.suite.cryptogram(m.keys[i], r1, r2)
	if err != nil {
		return err
	}
	_, err = m.send(ctx, apdu.Command{INS: 0x82, P2: m.head.Keys[i].ID, Data: slices.Concat(auth, r2, m.profile.Choices.KeyVersion)})
	return err
}

// write writes the elements.
func (m *machine) write(ctx context.Context, values []string) error {
	if err := m.authenticate(ctx, "UKSSSE"); err != nil {
		return err
	}
	for i, e := range m.head.Elements {
		value, err := hex.DecodeString(values[i])
		if err != nil || len(value) != e.Length {
			return fmt.Errorf("element %s/%02X: %d bytes", e.Path, e.Tag, e.Length)
		}
		c := apdu.Command{INS: 0xDC, P1: e.Record, P2: e.SFI<<3 | 4, Data: slices.Concat([]byte{e.Tag, byte(e.Length)}, value)}
		if _, err := m.send(ctx, c); err != nil {
			return fmt.Errorf("element %s/%02X: %w", e.Path, e.Tag, err)
		}
	}
	return nil
}

// readBack reads the elements.
func (m *machine) readBack(ctx context.Context) ([]string, error) {
	if _, _, ok := m.profile.Key("RKSSSE"); ok && m.profile.Version >= "3.00" {
		if err := m.authenticate(ctx, "RKSSSE"); err != nil {
			return nil, err
		}
	}
	read := make([]string, len(m.head.Elements))
	for i, e := range m.head.Elements {
		data, err := m.send(ctx, apdu.Command{INS: 0xB2, P1: e.Record, P2: e.SFI<<3 | 4, Ne: 2 + e.Length})
		if err != nil {
			return nil, fmt.Errorf("read %s/%02X: %w", e.Path, e.Tag, err)
		}
		if len(data) != 2+e.Length || !bytes.Equal(data[:2], []byte{e.Tag, byte(e.Length)}) {
			return nil, fmt.Errorf("read %s/%02X: not the element", e.Path, e.Tag)
		}
		read[i] = fmt.Sprintf("%X", data[2:])
	}
	return read, nil
}

// finish makes the blank a card (结束制卡).
func (m *machine) finish(ctx context.Context) error {
	iv, err := m.challenge(ctx, m.suite.block())
	if err != nil {
		return err
	}
	header := []byte{0x84, 0xF0, 0, 0, 4}
	_, mac, err := m.suite.mac(m.keys[len(m.keys)-1], iv, header)
	if err != nil {
		return err
	}
	_, err = m.send(ctx, apdu.Command{CLA: 0x84, INS: 0xF0, Data: mac})
	return err
}

// job is the making of one file.
type job struct {
	*Maker
	head        head
	profile     *profile.Profile
	suite       suite
	environment []byte
}
