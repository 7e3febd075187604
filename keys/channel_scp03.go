package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"slices"

	"github.com/emmansun/gmsm/cbcmac"
)

// scp03 is secure channel protocol 03 (GlobalPlatform Card Specification,
// Amendment D).
type scp03 struct{}

// The derivation constants (Amendment D table 4-1).
const (
	deriveCardCryptogram = 0x00
	deriveHostCryptogram = 0x01
	deriveChallenge      = 0x02
	deriveENC            = 0x04
	deriveMAC            = 0x06
	deriveResponseMAC    = 0x07
)

// The bits of the parameter i (Amendment D table 5-1; S16 since version 1.2).
const (
	optionS16            = 0x01
	optionPseudoRandom   = 0x10
	optionResponseMAC    = 0x20
	optionResponseCipher = 0x40
)

// The parts of INITIALIZE UPDATE's answer: diversification data, then key
// version, protocol and i.
const (
	diversificationSize = 10
	updateHead          = diversificationSize + 3
	sequenceSize        = 3
)

func (scp03) begin(r ChannelRequest) (s *session, challenge, cryptogram []byte, err error) {
	if len(r.Response) < updateHead || r.Response[11] != 3 {
		return nil, nil, nil, inputError("response", "不是 SCP03 的应答 not an answer of SCP03")
	}
	option, size := r.Response[12], 8
	if option&optionS16 != 0 {
		size = 16
	}
	want := updateHead + 2*size
	if option&optionPseudoRandom != 0 {
		want += sequenceSize
	}
	if len(r.Response) != want || len(r.HostChallenge) != size {
		return nil, nil, nil, inputError("response, host challenge", "长度与 i 参数不符 lengths do not agree with the parameter i")
	}
	if !slices.Contains([]byte{0x01, 0x03, 0x11, 0x13, 0x33}, r.Level) ||
		r.Level&levelResponseMAC != 0 && option&optionResponseMAC == 0 ||
		r.Level&levelResponseCipher != 0 && option&optionResponseCipher == 0 {
		return nil, nil, nil, inputError("level", "应为芯片支持的 01, 03, 11, 13, 33 a level that the chip supports")
	}
	challenge = r.Response[updateHead : updateHead+size]
	s = &session{
		Protocol: SCP03, Keys: [3]Key{r.ENC, r.MAC, r.DEK}, Diversification: r.Diversification, Level: r.Level, Size: size,
		Data: r.Response[:diversificationSize], Context: join(r.HostChallenge, challenge), Chain: make([]byte, aes.BlockSize),
	}
	if option&optionPseudoRandom != 0 && len(r.AID) > 0 {
		s.Challenge = join(r.Response[want-sequenceSize:], r.AID)
	}
	return s, challenge, r.Response[updateHead+size : updateHead+2*size], nil
}

func (scp03) static(s *session, algorithm Algorithm, value []byte, purpose byte) ([]byte, error) {
	if !algorithm.aes() {
		return nil, ErrAlgorithm
	}
	switch s.Diversification {
	case DiversifyNone:
		return slices.Clone(value), nil
	case DiversifyKDF3:
		return counterKDF(value, nil, join([]byte{0, 0, 0, purpose, 0}, s.Data), len(value))
	}
	return nil, inputError("diversification", "none, kdf3")
}

func (scp03) derive(s *session, static [3][]byte) (*sessionKeys, error) {
	length := len(static[0])
	if len(static[1]) != length || len(static[2]) != length { // Amendment D clause 6.1
		return nil, ErrAlgorithm
	}
	keys := &sessionKeys{dek: slices.Clone(static[2])}
	err := derivation{&keys.enc, static[0], deriveENC, s.Context, length}.run(nil)
	err = derivation{&keys.mac, static[1], deriveMAC, s.Context, length}.run(err)
	err = derivation{&keys.responseMAC, static[1], deriveResponseMAC, s.Context, length}.run(err)
	err = derivation{&keys.card, keys.mac, deriveCardCryptogram, s.Context, s.Size}.run(err)
	err = derivation{&keys.host, keys.mac, deriveHostCryptogram, s.Context, s.Size}.run(err)
	if s.Challenge != nil {
		err = derivation{&keys.challenge, static[0], deriveChallenge, s.Challenge, s.Size}.run(err)
	}
	return keys, err
}

func (scp03) wrap(s *session, keys *sessionKeys, c ChannelCommand) ([]byte, error) {
	data := c.Data
	s.Counter++
	if s.Level&levelCipher != 0 && len(data) > 0 {
		var err error
		if data, err = cbc(keys.enc, counterBlock(s.Counter, false), pad(data, aes.BlockSize), true); err != nil {
			return nil, err
		}
	}
	length := len(data) + s.Size
	if length > 255 {
		return nil, inputError("data", "受保护后超过 255 字节 more than 255 bytes once protected")
	}
	command := append([]byte{c.Header[0] | 0x04, c.Header[1], c.Header[2], c.Header[3], byte(length)}, data...)
	mac, err := cmac(keys.mac, s.Chain, command)
	if err != nil {
		return nil, err
	}
	s.Chain = mac
	s.Pending = append(s.Pending, answer{Chain: mac, Counter: s.Counter})
	command = append(command, mac[:s.Size]...)
	if c.Answer {
		command = append(command, 0)
	}
	return command, nil
}

func (scp03) unwrap(s *session, keys *sessionKeys, a answer, response []byte) ([]byte, error) {
	if s.Level&levelResponseMAC == 0 {
		return response, nil
	}
	end := len(response) - 2
	if end < s.Size {
		return nil, ErrResponseMAC
	}
	data, mac, status := response[:end-s.Size], response[end-s.Size:end], response[end:]
	expected, err := cmac(keys.responseMAC, a.Chain, data, status)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(expected[:s.Size], mac) != 1 {
		return nil, ErrResponseMAC
	}
	if s.Level&levelResponseCipher != 0 && len(data) > 0 {
		if len(data)%aes.BlockSize != 0 {
			return nil, ErrResponseMAC
		}
		if data, err = cbc(keys.enc, counterBlock(a.Counter, true), data, false); err != nil {
			return nil, err
		}
		data = bytes.TrimRight(data, "\x00")
		if len(data) == 0 || data[len(data)-1] != 0x80 {
			return nil, ErrResponseMAC
		}
		data = data[:len(data)-1]
	}
	return join(data, status), nil
}

// counterBlock is what the initial value of a command's or an answer's
// encipherment is made from (Amendment D clauses 6.2.6 and 6.2.7).
func counterBlock(counter uint64, response bool) []byte {
	block := binary.BigEndian.AppendUint64(make([]byte, 8, aes.BlockSize), counter)
	if response {
		block[0] = 0x80
	}
	return block
}

// cbc enciphers or deciphers with AES-CBC from the initial value that the
// counter block gives under the same key.
func cbc(key, counter, data []byte, encipher bool) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	block.Encrypt(counter, counter)
	out := make([]byte, len(data))
	if encipher {
		cipher.NewCBCEncrypter(block, counter).CryptBlocks(out, data)
	} else {
		cipher.NewCBCDecrypter(block, counter).CryptBlocks(out, data)
	}
	return out, nil
}

// cmac is AES-CMAC (SP 800-38B) of the parts one after another.
func cmac(key []byte, parts ...[]byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cbcmac.NewCMAC(block, aes.BlockSize).MAC(slices.Concat(parts...)), nil
}

// derivation is one use of the data derivation scheme of Amendment D clause
// 4.1.5.
type derivation struct {
	out      *[]byte
	key      []byte
	constant byte
	context  []byte
	size     int
}

// run derives, unless something failed before.
func (d derivation) run(err error) error {
	if err != nil {
		return err
	}
	label := make([]byte, 15)
	label[11] = d.constant
	binary.BigEndian.PutUint16(label[13:], uint16(8*d.size))
	*d.out, err = counterKDF(d.key, label, d.context, d.size)
	return err
}

// counterKDF is the KDF in counter mode of SP 800-108 with CMAC and a counter of
// one byte between the two parts of the fixed input.
func counterKDF(key, before, after []byte, size int) ([]byte, error) {
	var out []byte
	for i := byte(1); len(out) < size; i++ {
		mac, err := cmac(key, before, []byte{i}, after)
		if err != nil {
			return nil, err
		}
		out = append(out, mac...)
	}
	return out[:size], nil
}
