package chip

import (
	"crypto/cipher"
	"crypto/des"
	"fmt"

	"github.com/emmansun/gmsm/sm4"

	"onecard/card/profile"
)

// suite is the chip's own composition of cryptography for one algorithm.
type suite struct {
	block int // bytes of a block
	// new expands a key: of 16 bytes, or a 3DES process key of 8.
	new func(key []byte) (cipher.Block, error)
}

var (
	sm4Suite = suite{sm4.BlockSize, sm4.NewCipher}
	desSuite = suite{des.BlockSize, newDES}
)

// suiteOf returns the cryptography of a profile's cards.
func suiteOf(p *profile.Profile) suite {
	if p.Algorithm == profile.TripleDES {
		return desSuite
	}
	return sm4Suite
}

// newDES is single DES for 8 bytes, and 3DES with two keys for 16.
func newDES(key []byte) (cipher.Block, error) {
	if len(key) == 8 {
		return des.NewCipher(key)
	}
	if len(key) != 16 {
		return nil, des.KeySizeError(len(key))
	}
	return des.NewTripleDESCipher([]byte(string(key) + string(key[:8])))
}

// encrypt is ECB over whole blocks.
func (s suite) encrypt(key, data []byte) ([]byte, error) {
	return s.each(key, data, cipher.Block.Encrypt)
}

func (s suite) decrypt(key, data []byte) ([]byte, error) {
	return s.each(key, data, cipher.Block.Decrypt)
}

func (s suite) each(key, data []byte, do func(b cipher.Block, dst, src []byte)) ([]byte, error) {
	block, err := s.new(key)
	if err != nil {
		return nil, fmt.Errorf("chip key: %w", err)
	}
	out := make([]byte, len(data))
	for i := 0; i+s.block <= len(data); i += s.block {
		do(block, out[i:], data[i:])
	}
	return out, nil
}

// diversify derives a key from a factor of eight bytes: E(M, f || NOT f), which
// for 3DES is two blocks.
func (s suite) diversify(master, factor []byte) ([]byte, error) {
	input := make([]byte, 0, 2*len(factor))
	input = append(input, factor...)
	for _, b := range factor {
		input = append(input, ^b)
	}
	return s.encrypt(master, input)
}

// processKey is the key of one exchange: E(K, r), r filled up with zeroes.
func (s suite) processKey(key, r []byte) ([]byte, error) {
	return s.encrypt(key, append(append([]byte(nil), r...), make([]byte, s.block-len(r))...))
}

// cryptogram is AUTH of LD/T 32.4: E(PK, r2), for SM4 its two halves added.
func (s suite) cryptogram(key, r1, r2 []byte) ([]byte, error) {
	pk, err := s.processKey(key, r1)
	if err != nil {
		return nil, err
	}
	c, err := s.processKey(pk, r2)
	if err != nil {
		return nil, err
	}
	auth := make([]byte, 8)
	for i, b := range c {
		auth[i%8] ^= b
	}
	return auth, nil
}

// mac is the CBC-MAC of a message padded with 80 00...; the last block is
// returned whole and shortened to four bytes: folded for SM4, the first four
// for DES. Under a 3DES key of 16 bytes it is ISO/IEC 9797-1 algorithm 3.
func (s suite) mac(key, iv, message []byte) (last, short []byte, err error) {
	chain := key
	if s.block == des.BlockSize && len(key) == 16 {
		chain = key[:8]
	}
	padded := append(append([]byte(nil), message...), 0x80)
	for len(padded)%s.block != 0 {
		padded = append(padded, 0)
	}
	last = iv
	for ; len(padded) > 0; padded = padded[s.block:] {
		mixed := make([]byte, s.block)
		for i := range mixed {
			mixed[i] = last[i] ^ padded[i]
		}
		if last, err = s.encrypt(chain, mixed); err != nil {
			return nil, nil, err
		}
	}
	if len(chain) != len(key) {
		if last, err = s.decrypt(key[8:], last); err != nil {
			return nil, nil, err
		}
		if last, err = s.encrypt(key[:8], last); err != nil {
			return nil, nil, err
		}
	}
	return last, s.shorten(last), nil
}

func (s suite) shorten(last []byte) []byte {
	if s.block == des.BlockSize {
		return append([]byte(nil), last[:4]...)
	}
	short := make([]byte, 4)
	for i, b := range last {
		short[i%4] ^= b
	}
	return short
}
