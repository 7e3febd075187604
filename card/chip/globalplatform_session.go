package chip

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/emmansun/gmsm/cbcmac"

	"onecard/apdu"
	"onecard/card/profile"
)

// channelSession is a secure channel as the chip sees it. It is lost with the
// power.
type channelSession struct {
	aes              bool
	size             int // of a MAC
	enc, mac, answer []byte
	dek              []byte
	host             []byte // cryptogram expected of the other side
	last             []byte // whole MAC of the last command; nil before the first of SCP02
	levels           byte   // bits that the chip can do
	level            byte
	counter          uint32
	block            byte // of STORE DATA
	open, aborted    bool
}

var errSecurity = errors.New("security error")

// newSession03 derives a session of SCP03 and what INITIALIZE UPDATE answers.
func newSession03(p *Platform, host, challenge []byte) (*channelSession, []byte, error) {
	context := append(bytes.Clone(host), challenge...)
	bits := 8 * len(p.ENC)
	s := &channelSession{aes: true, size: len(host), dek: p.DEK, last: make([]byte, 16), levels: 0x03}
	if p.Option&0x20 != 0 {
		s.levels |= 0x10
	}
	if p.Option&0x40 != 0 {
		s.levels |= 0x20
	}
	var err [5]error
	s.enc, err[0] = derive03(p.ENC, 0x04, context, bits)
	s.mac, err[1] = derive03(p.MAC, 0x06, context, bits)
	s.answer, err[2] = derive03(p.MAC, 0x07, context, bits)
	card, e := derive03(s.mac, 0x00, context, 8*s.size)
	err[3] = e
	s.host, err[4] = derive03(s.mac, 0x01, context, 8*s.size)
	return s, append(bytes.Clone(challenge), card...), errors.Join(err[:]...)
}

// newSession02 derives a session of SCP02 and what INITIALIZE UPDATE answers.
func newSession02(p *Platform, host, sequence, challenge []byte) (*channelSession, []byte, error) {
	s := &channelSession{size: 8, levels: 0x03}
	for _, d := range []struct {
		to       *[]byte
		key      []byte
		constant byte
	}{{&s.enc, p.ENC, 0x82}, {&s.mac, p.MAC, 0x01}, {&s.dek, p.DEK, 0x81}} {
		block, err := triple(d.key)
		if err != nil {
			return nil, nil, err
		}
		*d.to = cbcTail(block, make([]byte, 8), append([]byte{0x01, d.constant, sequence[0], sequence[1]}, make([]byte, 12)...))
	}
	block, err := triple(s.enc)
	if err != nil {
		return nil, nil, err
	}
	own := append(bytes.Clone(sequence), challenge...)
	over := func(a, b []byte) []byte {
		all := cbcTail(block, make([]byte, 8), padded(append(bytes.Clone(a), b...), 8))
		return all[len(all)-8:]
	}
	s.host = over(own, host)
	return s, append(own, over(host, own)...), nil
}

// unprotect checks the MAC of a command and deciphers it.
func (s *channelSession) unprotect(cmd apdu.Command) (apdu.Command, error) {
	if cmd.CLA&0x7F != 0x04 || len(cmd.Data) < s.size {
		return apdu.Command{}, errSecurity
	}
	body, tag := cmd.Data[:len(cmd.Data)-s.size], cmd.Data[len(cmd.Data)-s.size:]
	s.counter++
	plain := cmd
	plain.CLA &^= 0x04
	plain.Data = body
	if s.aes {
		own, err := aesMAC(s.mac, s.last, header(cmd), body)
		if err != nil || subtle.ConstantTimeCompare(own[:s.size], tag) != 1 {
			return apdu.Command{}, errSecurity
		}
		s.last = own
		if s.level&0x02 != 0 && len(body) > 0 {
			plain.Data, err = s.decipher(body, 0)
		}
		return plain, err
	}
	// SCP02: the MAC is over the plain data, so they are deciphered first.
	if s.level&0x02 != 0 && len(body) > 0 {
		block, err := triple(s.enc)
		if err != nil || len(body)%8 != 0 {
			return apdu.Command{}, errSecurity
		}
		out := make([]byte, len(body))
		cipher.NewCBCDecrypter(block, make([]byte, 8)).CryptBlocks(out, body)
		if plain.Data, err = unpadded(out); err != nil {
			return apdu.Command{}, err
		}
	}
	own, err := s.desMAC(append([]byte{cmd.CLA, cmd.INS, cmd.P1, cmd.P2, byte(len(plain.Data) + 8)}, plain.Data...))
	if err != nil || subtle.ConstantTimeCompare(own, tag) != 1 {
		return apdu.Command{}, errSecurity
	}
	s.last = own
	return plain, nil
}

// protect enciphers an answer and puts its MAC to it, as the level asks. An
// error goes without.
func (s *channelSession) protect(data []byte, sw apdu.SW) ([]byte, error) {
	if sw != apdu.OK && sw>>8 != 0x62 && sw>>8 != 0x63 {
		return nil, nil
	}
	if s.level&0x10 == 0 {
		return data, nil
	}
	if s.level&0x20 != 0 && len(data) > 0 {
		block, err := aes.NewCipher(s.enc)
		if err != nil {
			return nil, err
		}
		data = cbcTail(block, s.counterIV(block, 0x80), padded(data, 16))
	}
	tag, err := aesMAC(s.answer, s.last, data, []byte{byte(sw >> 8), byte(sw)})
	if err != nil {
		return nil, err
	}
	return append(bytes.Clone(data), tag[:s.size]...), nil
}

func (s *channelSession) counterIV(block cipher.Block, first byte) []byte {
	iv := make([]byte, 16)
	iv[0] = first
	binary.BigEndian.PutUint32(iv[12:], s.counter)
	block.Encrypt(iv, iv)
	return iv
}

// decipher deciphers data of SCP03 and takes the padding off.
func (s *channelSession) decipher(data []byte, first byte) ([]byte, error) {
	block, err := aes.NewCipher(s.enc)
	if err != nil || len(data)%16 != 0 {
		return nil, errSecurity
	}
	out := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, s.counterIV(block, first)).CryptBlocks(out, data)
	return unpadded(out)
}

// decryptKey deciphers a key of 16 bytes under the DEK: the static one in
// SCP03, the session's in SCP02.
func (s *channelSession) decryptKey(data []byte) ([]byte, error) {
	out := make([]byte, 16)
	if s.aes {
		block, err := aes.NewCipher(s.dek)
		if err != nil {
			return nil, err
		}
		block.Decrypt(out, data)
		return out, nil
	}
	block, err := triple(s.dek)
	if err != nil {
		return nil, err
	}
	block.Decrypt(out[:8], data[:8])
	block.Decrypt(out[8:], data[8:])
	return out, nil
}

// desMAC is CBC under the left half of the key, with the last block under the
// whole; it starts from the last MAC, enciphered with the left half.
func (s *channelSession) desMAC(message []byte) ([]byte, error) {
	single, err := des.NewCipher(s.mac[:8])
	if err != nil {
		return nil, err
	}
	whole, err := triple(s.mac)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, 8)
	if s.last != nil {
		single.Encrypt(iv, s.last)
	}
	message = padded(message, 8)
	if head := message[:len(message)-8]; len(head) > 0 {
		done := cbcTail(single, iv, head)
		iv = done[len(done)-8:]
	}
	return cbcTail(whole, iv, message[len(message)-8:]), nil
}

// derive03 derives so many bits by Amendment D clause 4.1.5.
func derive03(key []byte, constant byte, context []byte, bits int) ([]byte, error) {
	var out []byte
	for i := byte(1); 8*len(out) < bits; i++ {
		block, err := aesMAC(key, make([]byte, 11), []byte{constant, 0, byte(bits >> 8), byte(bits), i}, context)
		if err != nil {
			return nil, err
		}
		out = append(out, block...)
	}
	return out[:bits/8], nil
}

func aesMAC(key []byte, parts ...[]byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cbcmac.NewCMAC(block, 16).MAC(bytes.Join(parts, nil)), nil
}

// triple is 3DES with two keys.
func triple(key []byte) (cipher.Block, error) {
	return des.NewTripleDESCipher(append(bytes.Clone(key), key[:8]...))
}

// cbcTail enciphers whole blocks.
func cbcTail(block cipher.Block, iv, data []byte) []byte {
	out := make([]byte, len(data))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, data)
	return out
}

func padded(data []byte, size int) []byte {
	out := append(bytes.Clone(data), 0x80)
	for len(out)%size != 0 {
		out = append(out, 0)
	}
	return out
}

func unpadded(data []byte) ([]byte, error) {
	i := bytes.LastIndexByte(data, 0x80)
	if i < 0 || bytes.Count(data[i+1:], []byte{0}) != len(data)-i-1 {
		return nil, errSecurity
	}
	return data[:i], nil
}

// static makes a chip's static key from the maker's by the diversification data.
func static(m *profile.BlankMaker, value, data []byte, purpose byte) ([]byte, error) {
	switch m.Diversification {
	case "none":
		return bytes.Clone(value), nil
	case "kdf3":
		var out []byte
		for i := byte(1); len(out) < len(value); i++ {
			block, err := aesMAC(value, []byte{i, 0, 0, 0, purpose, 0}, data)
			if err != nil {
				return nil, err
			}
			out = append(out, block...)
		}
		return out[:len(value)], nil
	case "emv", "visa2":
		block, err := triple(value)
		if err != nil {
			return nil, err
		}
		part := data[4:10]
		if m.Diversification == "visa2" {
			part = slices.Concat(data[:2], data[4:8])
		}
		half := func(b byte) []byte {
			out := append(bytes.Clone(part), b, purpose)
			block.Encrypt(out, out)
			return out
		}
		return append(half(0xF0), half(0x0F)...), nil
	}
	return nil, errors.New("diversification " + m.Diversification + " is not known to the software chip")
}
