package driver

import (
	"context"
	"encoding/hex"
	"strings"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/profile"
)

// WriteCardStep1 begins a writing of elements behind one key
// (iWriteCard_HSM_Step1): 算法标识|密钥地址|过程因子|原始信息|
func (c *Card) WriteCardStep1(ctx context.Context, cardInfo, fileAddr string) (string, error) {
	out, err := c.prepare(ctx, cardInfo, fileAddr, writeRule)
	if err == nil {
		c.expects = "WriteCard"
	}
	return out, err
}

// WriteCardStep2 takes the service's answer (外部认证鉴别数据|) and the values in
// the shape of the file addresses, and writes them (iWriteCard_HSM_Step2). All
// values are encoded before the first is written.
func (c *Card) WriteCardStep2(ctx context.Context, key, writeData string) error {
	if err := c.follows("WriteCard"); err != nil {
		return err
	}
	commands, err := c.updates(writeData)
	if err != nil {
		return err
	}
	if err := c.authenticate(ctx, part(key, 0)); err != nil {
		return err
	}
	for _, command := range commands {
		if _, err := c.send(ctx, command); err != nil {
			return err
		}
	}
	return nil
}

// updates makes the commands that write the values.
func (c *Card) updates(writeData string) ([]apdu.Command, error) {
	blocks := strings.Split(strings.TrimSuffix(writeData, "$"), "$")
	if len(blocks) != len(c.items) {
		return nil, ErrInput
	}
	var commands []apdu.Command
	for i, one := range c.items {
		values := strings.Split(strings.TrimSuffix(blocks[i], "|"), "|")
		if len(values) != 1+len(one.elements) || values[0] != one.address {
			return nil, ErrInput
		}
		for n, e := range one.elements {
			value, err := c.encode(e, values[1+n])
			if err != nil {
				return nil, ErrInput.because(err)
			}
			commands = append(commands, apdu.Command{INS: insUpdateRecord, P1: byte(e.Record), P2: one.file.SFI()<<3 | 4,
				Data: append([]byte{e.Tag, byte(e.Length)}, value...)})
		}
	}
	return commands, nil
}

// encode makes the bytes of an element; a template's in hexadecimal, as a
// reading gives them.
func (c *Card) encode(e *profile.Element, text string) ([]byte, error) {
	if e.Coding != "template" {
		return card.EncodeValue(c.profile, e, text)
	}
	value, err := hex.DecodeString(text)
	if err == nil && len(value) != e.Length {
		err = ErrInput
	}
	return value, err
}
