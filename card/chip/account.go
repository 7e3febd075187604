package chip

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"

	"onecard/apdu"
	"onecard/card/profile"
)

// movement is a debit or a credit that was initialised (消费、圈存).
type movement struct {
	credit bool
	values map[string][]byte
}

// initialize begins a movement of the account: the holder's number must have
// been verified.
func (c *Chip) initialize(cmd apdu.Command) ([]byte, apdu.SW) {
	account, sw := c.account()
	if sw != apdu.OK {
		return nil, sw
	}
	credit := cmd.P1 == account.Credit.Initialize[2] && cmd.P2 == account.Credit.Initialize[3]
	debit := cmd.P1 == account.Debit.Initialize[2] && cmd.P2 == account.Debit.Initialize[3]
	c.movement = nil
	switch {
	case !credit && !debit:
		return nil, 0x6A86
	case len(cmd.Data) != profile.Length(account.Opening):
		return nil, 0x6700
	case !c.pin:
		return nil, 0x6982
	}
	m := &movement{credit: credit, values: map[string][]byte{}}
	m.take(account.Opening, cmd.Data)
	balance, ok := c.balance()
	if !ok {
		return nil, 0x6985
	}
	if !credit && m.paid() > balance {
		return nil, 0x9401
	}
	random := make([]byte, 4)
	if _, err := io.ReadFull(c.rand, random); err != nil {
		return nil, 0x6F00
	}
	m.values["random"] = random
	m.values["balance"] = binary.BigEndian.AppendUint32(nil, balance)
	m.values["serial"] = binary.BigEndian.AppendUint16(nil, c.image.AccountSerial+1)
	c.movement = m
	return m.make(account.Opened), apdu.OK
}

// move carries the movement out: balance, record and serial number change
// together or not at all.
func (c *Chip) move(cmd apdu.Command) ([]byte, apdu.SW) {
	account, sw := c.account()
	m := c.movement
	c.movement = nil
	switch {
	case sw != apdu.OK:
		return nil, sw
	case m == nil:
		return nil, 0x6985
	case len(cmd.Data) != profile.Length(account.Request):
		return nil, 0x6700
	}
	form := account.Debit
	if m.credit {
		form = account.Credit
	}
	if cmd.INS != form.Command[1] || cmd.P1 != form.Command[2] || cmd.P2 != form.Command[3] {
		return nil, 0x6985
	}
	m.take(account.Request, cmd.Data)
	m.values["kind"], m.values["zero"] = []byte{form.Kind}, make([]byte, 4)
	m.values["terminalSerialLow"] = m.values["terminalSerial"][2:]
	code := func(fields []string) ([]byte, bool) {
		s := c.suite()
		pk, err := s.processKey(c.image.Keys[form.Key].Key, m.make(account.Factor))
		if err != nil {
			return nil, false
		}
		_, short, err := s.mac(pk, make([]byte, s.block), m.make(fields))
		return short, err == nil
	}
	mac1, ok1 := code(account.MAC1)
	mac2, ok2 := code(account.MAC2)
	tac, ok3 := code(account.TAC)
	if !ok1 || !ok2 || !ok3 {
		return nil, 0x6F00
	}
	if subtle.ConstantTimeCompare(mac1, m.values["mac1"]) != 1 {
		return nil, 0x9302
	}
	m.values["mac2"], m.values["tac"] = mac2, tac
	if !c.book(account, m) {
		return nil, 0x6985
	}
	answer := m.make(account.Answer)
	c.image.AccountProof = append(bytes.Clone(m.values["serial"]), answer...)
	if sw := c.save(); sw != apdu.OK {
		return nil, sw
	}
	return answer, apdu.OK
}

// book changes balance, serial number and records in memory.
func (c *Chip) book(account *profile.Account, m *movement) bool {
	file, e, _ := c.profile.AccountBalance()
	balance, ok := c.balance()
	if !ok {
		return false
	}
	if m.credit {
		balance += m.paid()
	} else {
		balance -= m.paid()
	}
	c.image.Records[account.Scope+"/"+file.Name()][e.Record-1] = c.amount(e, balance)
	c.image.AccountSerial++
	records, _ := c.profile.File(account.Scope + "/" + account.Records)
	path := account.Scope + "/" + account.Records
	record := m.make([]string{"serial", "kind", "terminalNumber", "time", "zero", "amounts"})
	list := append([]Hex{record}, c.image.Records[path]...)
	c.image.Records[path] = list[:min(len(list), records.Records)]
	return true
}

// prove tells whether the movement with a serial number was carried out.
func (c *Chip) prove(cmd apdu.Command) ([]byte, apdu.SW) {
	account, sw := c.account()
	switch {
	case sw != apdu.OK:
		return nil, sw
	case cmd.P1 != account.Prove[2] || cmd.P2 != account.Prove[3]:
		return nil, 0x6A86
	case len(cmd.Data) != 2:
		return nil, 0x6700
	case len(c.image.AccountProof) < 3 || !bytes.Equal(c.image.AccountProof[:2], cmd.Data):
		return nil, 0x9406
	}
	return bytes.Clone(c.image.AccountProof[2:]), apdu.OK
}

// account returns the forms of the account, whose directory must be selected.
func (c *Chip) account() (*profile.Account, apdu.SW) {
	a := c.profile.Account
	switch {
	case a == nil:
		return nil, 0x6D00
	case c.scope == nil || c.scope.Name != a.Scope || c.image.LifeCycle != lifeOperational:
		return nil, 0x6985
	}
	return a, apdu.OK
}

// balance reads the account; one that was never written is empty.
func (c *Chip) balance() (uint32, bool) {
	file, e, ok := c.profile.AccountBalance()
	if !ok {
		return 0, false
	}
	value := c.image.Records[c.profile.Account.Scope+"/"+file.Name()][e.Record-1]
	if len(bytes.Trim(value, "\xFF")) == 0 {
		return 0, true
	}
	if e.Coding == "dec" && c.profile.Choices.Amounts == profile.AmountsBCD {
		fen, err := strconv.ParseUint(hex.EncodeToString(value), 10, 32)
		return uint32(fen), err == nil
	}
	return binary.BigEndian.Uint32(value), true
}

// amount writes an amount as the element wants it.
func (c *Chip) amount(e *profile.Element, fen uint32) Hex {
	if e.Coding == "dec" && c.profile.Choices.Amounts == profile.AmountsBCD {
		value, _ := hex.DecodeString(fmt.Sprintf("%08d", fen%100_000_000))
		return value
	}
	return binary.BigEndian.AppendUint32(nil, fen)
}

// paid is what the account pays or receives: the first of the two amounts.
func (m *movement) paid() uint32 { return binary.BigEndian.Uint32(m.values["amounts"]) }

func (m *movement) take(fields []string, data []byte) {
	for _, name := range fields {
		n := profile.AccountFields[name]
		m.values[name] = bytes.Clone(data[:n])
		data = data[n:]
	}
}

func (m *movement) make(fields []string) []byte {
	var out []byte
	for _, name := range fields {
		out = append(out, m.values[name]...)
	}
	return out
}
