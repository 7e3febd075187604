package keys

import (
	"crypto/cipher"
	"crypto/des"
	"slices"
)

// scp02 is secure channel protocol 02 (GlobalPlatform Card Specification,
// appendix E), options i=15 and i=55.
type scp02 struct{}

// The derivation constants (Card Specification table E-8), by purpose.
var scp02Constants = [3]byte{0x82, 0x01, 0x81}

// The parts of INITIALIZE UPDATE's answer.
const (
	scp02Counter   = diversificationSize + 2
	scp02Challenge = scp02Counter + 2
	scp02Size      = scp02Challenge + 6 + 8
)

func (scp02) begin(r ChannelRequest) (s *session, challenge, cryptogram []byte, err error) {
	if len(r.Response) != scp02Size || r.Response[11] != 2 {
		return nil, nil, nil, inputError("response", "不是 SCP02 的应答 not an answer of SCP02")
	}
	if len(r.HostChallenge) != des.BlockSize {
		return nil, nil, nil, inputError("host challenge", "应 8 字节 eight bytes")
	}
	if r.Level != 0x01 && r.Level != 0x03 {
		return nil, nil, nil, inputError("level", "应为 01 或 03 01 or 03")
	}
	challenge = r.Response[scp02Counter : scp02Size-8]
	s = &session{
		Protocol: SCP02, Keys: [3]Key{r.ENC, r.MAC, r.DEK}, Diversification: r.Diversification, Level: r.Level, Size: des.BlockSize,
		Data: r.Response[:diversificationSize], Context: r.Response[scp02Counter:scp02Challenge],
		Challenge: join(r.HostChallenge, challenge),
	}
	return s, challenge, r.Response[scp02Size-8:], nil
}

func (scp02) static(s *session, algorithm Algorithm, value []byte, purpose byte) ([]byte, error) {
	switch {
	case algorithm != TripleDES:
		return nil, ErrAlgorithm
	case s.Diversification == DiversifyNone:
		return slices.Clone(value), nil
	}
	return diversify3DES(s.Diversification, value, s.Data, purpose)
}

func (scp02) derive(s *session, static [3][]byte) (*sessionKeys, error) {
	var derived [3][]byte
	for i, key := range static {
		block, err := newCipher(TripleDES, key)
		if err != nil {
			return nil, err
		}
		derived[i] = make([]byte, 16)
		copy(derived[i], []byte{0x01, scp02Constants[i], s.Context[0], s.Context[1]})
		cipher.NewCBCEncrypter(block, make([]byte, des.BlockSize)).CryptBlocks(derived[i], derived[i])
	}
	keys := &sessionKeys{enc: derived[0], mac: derived[1], dek: derived[2]}
	block, err := newCipher(TripleDES, keys.enc)
	if err != nil {
		return nil, err
	}
	// Both cryptograms are over the two challenges, each side's the other's
	// first (clauses E.4.2.1 and E.4.2.2); the counter is part of the chip's.
	host, card := s.Challenge[:8], s.Challenge[8:]
	keys.card = chainMAC(block, make([]byte, des.BlockSize), join(host, card))
	keys.host = chainMAC(block, make([]byte, des.BlockSize), join(card, host))
	return keys, nil
}

func (scp02) wrap(s *session, keys *sessionKeys, c ChannelCommand) ([]byte, error) {
	left, err := newCipher(TripleDES, keys.mac[:8])
	if err != nil {
		return nil, err
	}
	iv := make([]byte, des.BlockSize)
	if s.Chain != nil { // the first MAC of a session starts from zeroes
		left.Encrypt(iv, s.Chain)
	}
	if len(c.Data)+des.BlockSize > 255 {
		return nil, inputError("data", "受保护后超过 255 字节 more than 255 bytes once protected")
	}
	header := []byte{c.Header[0] | 0x04, c.Header[1], c.Header[2], c.Header[3], byte(len(c.Data) + des.BlockSize)}
	mac, err := retailMAC(keys.mac, iv, join(header, c.Data))
	if err != nil {
		return nil, err
	}
	data := c.Data
	if s.Level&levelCipher != 0 && len(data) > 0 {
		block, err := newCipher(TripleDES, keys.enc)
		if err != nil {
			return nil, err
		}
		data = pad(data, des.BlockSize)
		cipher.NewCBCEncrypter(block, make([]byte, des.BlockSize)).CryptBlocks(data, data)
		if len(data)+des.BlockSize > 255 {
			return nil, inputError("data", "受保护后超过 255 字节 more than 255 bytes once protected")
		}
		header[4] = byte(len(data) + des.BlockSize)
	}
	s.Chain = mac
	s.Counter++
	s.Pending = append(s.Pending, answer{Chain: mac, Counter: s.Counter})
	command := slices.Concat(header, data, mac)
	if c.Answer {
		command = append(command, 0)
	}
	return command, nil
}

// unwrap has nothing to judge: these options protect no answers.
func (scp02) unwrap(_ *session, _ *sessionKeys, _ answer, response []byte) ([]byte, error) {
	return response, nil
}

// retailMAC is single DES with the left half of the key, and 3DES for the last
// block (ISO/IEC 9797-1 algorithm 3, padding method 2), starting from iv.
func retailMAC(key, iv, message []byte) ([]byte, error) {
	left, err := newCipher(TripleDES, key[:8])
	if err != nil {
		return nil, err
	}
	right, err := newCipher(TripleDES, key[8:])
	if err != nil {
		return nil, err
	}
	mac := chainMAC(left, iv, message)
	right.Decrypt(mac, mac)
	left.Encrypt(mac, mac)
	return mac, nil
}
