package chip

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"onecard/apdu"
	"onecard/card/profile"
)

// ModuleImage is the memory of a terminal's security module (PSAM 卡). Nothing
// in it is ever written again, and no command reads a key.
type ModuleImage struct {
	Kind      string      `json:"kind"` // moduleKind
	ATR       Hex         `json:"atr"`
	Algorithm string      `json:"algorithm"` // of its keys: profile.SM4 or profile.TripleDES
	Serial    Hex         `json:"serial"`    // 卡序列号, ten bytes
	Terminal  Hex         `json:"terminal"`  // 终端机编号, six bytes BCD
	Keys      []ModuleKey `json:"keys"`
}

// ModuleKey is a key from which cards' keys are derived.
type ModuleKey struct {
	ID    byte `json:"id"`
	Usage byte `json:"usage"` // bits 8 to 6: levels below it, 5 to 1: kind
	Key   Hex  `json:"key"`
}

const moduleKind = "psam"

// Module is a software PSAM. It follows what programs of the field send it:
// INIT FOR DESCRYPT (BF DE) derives the card's key and the process key, the
// computation 80 FA uses that once.
type Module struct {
	image   *ModuleImage
	suite   suite
	on      bool
	inside  bool   // the application is selected
	process []byte // of the INIT before
	waiting []byte
}

// NewModule puts a module on an image.
func NewModule(image *ModuleImage) (*Module, error) {
	m := &Module{image: image, suite: sm4Suite}
	if image.Algorithm == profile.TripleDES {
		m.suite = desSuite
	}
	if image.Kind != moduleKind || len(image.ATR) == 0 || len(image.Serial) != 10 || len(image.Terminal) != 6 {
		return nil, fmt.Errorf("%w: a security module", ErrImage)
	}
	for _, key := range image.Keys {
		if _, err := m.suite.new(key.Key); err != nil || len(key.Key) != 16 || key.Usage>>5 > 3 {
			return nil, fmt.Errorf("%w: key %02X of a security module", ErrImage, key.ID)
		}
	}
	return m, nil
}

// CreateModule writes the file of a new module.
func CreateModule(path string, image *ModuleImage) error {
	image.Kind = moduleKind
	if _, err := NewModule(image); err != nil {
		return err
	}
	text, err := json.Marshal(image)
	if err != nil {
		return fmt.Errorf("chip image: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("chip image: %w", err)
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// OpenModule reads the file of a module; a card's is no error and nil.
func OpenModule(path string) (*Module, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("chip image: %w", err)
	}
	var image ModuleImage
	if err := json.Unmarshal(text, &image); err != nil || image.Kind != moduleKind {
		return nil, nil //nolint:nilerr // what it is then, New says
	}
	return NewModule(&image)
}

// PowerOn switches the module on and returns the answer to reset.
func (m *Module) PowerOn() []byte {
	m.PowerOff()
	m.on = true
	return m.ATR()
}

// PowerOff forgets what was derived.
func (m *Module) PowerOff() {
	clear(m.process)
	m.on, m.inside, m.process, m.waiting = false, false, nil, nil
}

// ATR returns the answer to reset.
func (m *Module) ATR() []byte { return bytes.Clone(m.image.ATR) }

// Transmit carries out a command.
func (m *Module) Transmit(command []byte) []byte {
	if !m.on {
		return nil
	}
	cmd, err := apdu.ParseCommand(command)
	if err != nil {
		return answer(nil, apdu.SW(0x6700))
	}
	if cmd.INS == insGetResponse && cmd.CLA == 0 {
		data := m.waiting
		m.waiting = nil
		if data == nil {
			return answer(nil, apdu.SW(0x6985))
		}
		return answer(data[:min(len(data), cmd.Ne)], apdu.OK)
	}
	m.waiting = nil
	data, sw := m.carryOut(cmd)
	if sw == apdu.OK && len(data) > 0 && len(cmd.Data) > 0 {
		// As T=0 hands it out.
		m.waiting = data
		return answer(nil, apdu.SW(0x6100|len(data)))
	}
	return answer(data, sw)
}

func answer(data []byte, sw apdu.SW) []byte { return (apdu.Response{Data: data, SW: sw}).Bytes() }

// The files that are free to read (PBOC terminal modules): short identifiers.
const (
	moduleSerial   = 0x15
	moduleTerminal = 0x16
)

func (m *Module) carryOut(cmd apdu.Command) ([]byte, apdu.SW) {
	switch {
	case cmd.INS == insSelect && bytes.Equal(cmd.Data, []byte{0x3F, 0x00}):
		m.inside = false
		return nil, apdu.OK
	case cmd.INS == insSelect && bytes.Equal(cmd.Data, []byte{0xDF, 0x01}):
		m.inside = true
		return nil, apdu.OK
	case cmd.INS == insSelect:
		return nil, 0x6A82
	case cmd.CLA == 0 && cmd.INS == 0xB0 && cmd.P1 == 0x80|moduleSerial:
		return m.image.Serial, apdu.OK
	case cmd.CLA == 0 && cmd.INS == 0xB0 && cmd.P1 == 0x80|moduleTerminal:
		return m.image.Terminal, apdu.OK
	case cmd.CLA == 0xBF && cmd.INS == 0xDE:
		return nil, m.derive(cmd)
	case cmd.CLA == 0x80 && cmd.INS == 0xFA:
		return m.compute(cmd)
	}
	return nil, 0x6D00
}

// derive is INIT FOR DESCRYPT: the card's factor first, then those above it,
// then the process factor of one block.
func (m *Module) derive(cmd apdu.Command) apdu.SW {
	m.process = nil
	if !m.inside {
		return 0x6985
	}
	i := slices.IndexFunc(m.image.Keys, func(k ModuleKey) bool { return k.ID == cmd.P2 && k.Usage == cmd.P1 })
	if i < 0 {
		return 0x6A88
	}
	levels := int(cmd.P1 >> 5)
	if len(cmd.Data) != 8*levels+m.suite.block {
		return 0x6700
	}
	key := []byte(m.image.Keys[i].Key)
	var err error
	for level := levels - 1; level >= 0 && err == nil; level-- {
		key, err = m.suite.diversify(key, cmd.Data[8*level:8*level+8])
	}
	if err == nil {
		m.process, err = m.suite.encrypt(key, cmd.Data[8*levels:])
	}
	if err != nil {
		return 0x6F00
	}
	return apdu.OK
}

// compute enciphers under the process key, once.
func (m *Module) compute(cmd apdu.Command) ([]byte, apdu.SW) {
	key := m.process
	m.process = nil
	switch {
	case key == nil:
		return nil, 0x6985
	case cmd.P1 != 0 || cmd.P2 != 0:
		return nil, 0x6A86
	case len(cmd.Data) == 0 || len(cmd.Data)%m.suite.block != 0:
		return nil, 0x6700
	}
	out, err := m.suite.encrypt(key, cmd.Data)
	clear(key)
	if err != nil {
		return nil, 0x6F00
	}
	return out, apdu.OK
}
