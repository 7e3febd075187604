package maker

import (
	"bytes"
	"crypto/cipher"
	"crypto/des"
	"fmt"
	"slices"

	"github.com/emmansun/gmsm/sm4"

	"onecard/card/profile"
)

// suite is the cipher of a card's keys: SM4, or 3DES with two keys.
type suite struct{ triple bool }

func suiteOf(algorithm string) (suite, error) {
	switch algorithm {
	case profile.SM4:
		return suite{}, nil
	case profile.TripleDES:
		return suite{triple: true}, nil
	}
	return suite{}, fmt.Errorf("algorithm %q is not known", algorithm)
}

func (s suite) block() int {
	if s.triple {
		return des.BlockSize
	}
	return sm4.BlockSize
}

func (s suite) cipher(key []byte) (cipher.Block, error) {
	switch {
	case !s.triple:
		return sm4.NewCipher(key)
	case len(key) == des.BlockSize:
		return des.NewCipher(key)
	}
	return des.NewTripleDESCipher(slices.Concat(key, key[:8]))
}

// encrypt enciphers whole blocks one by one.
func (s suite) encrypt(key, data []byte) ([]byte, error) {
	block, err := s.cipher(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(data))
	for i := 0; i < len(data); i += s.block() {
		block.Encrypt(out[i:], data[i:])
	}
	return out, nil
}

// diversify makes the key of one chip from the maker's (密钥分散).
func (s suite) diversify(key, factor []byte) ([]byte, error) {
	inverse := bytes.Clone(factor)
	for i := range inverse {
		inverse[i] = ^inverse[i]
	}
	return s.encrypt(key, slices.Concat(factor, inverse))
}

// cryptogram is what EXTERNAL AUTHENTICATE is passed with (外部认证).
func (s suite) cryptogram(key, r1, r2 []byte) ([]byte, error) {
	size := s.block()
	process, err := s.encrypt(key, append(bytes.Clone(r1), make([]byte, size-len(r1))...))
	if err != nil {
		return nil, err
	}
	out, err := s.encrypt(process, append(bytes.Clone(r2), make([]byte, size-len(r2))...))
	if err != nil || s.triple {
		return out, err
	}
	for i := range 8 {
		out[i] ^= out[8+i]
	}
	return out[:8], nil
}

func (s suite) pad(data []byte) []byte {
	padded := append(bytes.Clone(data), 0x80)
	for len(padded)%s.block() != 0 {
		padded = append(padded, 0)
	}
	return padded
}

// mac returns the last block of a MAC, with which a chain goes on, and the four
// bytes that are sent.
func (s suite) mac(key, iv, message []byte) (last, short []byte, err error) {
	first := key
	if s.triple {
		first = key[:8]
	}
	block, err := s.cipher(first)
	if err != nil {
		return nil, nil, err
	}
	padded := s.pad(message)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	last = padded[len(padded)-s.block():]
	if s.triple {
		right, err := s.cipher(key[8:])
		if err != nil {
			return nil, nil, err
		}
		right.Decrypt(last, last)
		block.Encrypt(last, last)
		return last, last[:4], nil
	}
	short = make([]byte, 4)
	for i, b := range last {
		short[i%4] ^= b
	}
	return last, short, nil
}
