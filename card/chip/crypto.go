package chip

import (
	"fmt"

	"github.com/emmansun/gmsm/sm4"
)

// encrypt is SM4 in ECB mode over whole blocks.
func encrypt(key, data []byte) ([]byte, error) {
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("chip key: %w", err)
	}
	out := make([]byte, len(data))
	for i := 0; i+sm4.BlockSize <= len(data); i += sm4.BlockSize {
		block.Encrypt(out[i:], data[i:])
	}
	return out, nil
}

func decrypt(key, data []byte) ([]byte, error) {
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("chip key: %w", err)
	}
	out := make([]byte, len(data))
	for i := 0; i+sm4.BlockSize <= len(data); i += sm4.BlockSize {
		block.Decrypt(out[i:], data[i:])
	}
	return out, nil
}

// diversify derives a key from a factor of eight bytes: E(M, f || NOT f).
func diversify(master, factor []byte) ([]byte, error) {
	input := make([]byte, 0, 2*len(factor))
	input = append(input, factor...)
	for _, b := range factor {
		input = append(input, ^b)
	}
	return encrypt(master, input)
}

// processKey is the key of one exchange: E(K, r || 0).
func processKey(key, r []byte) ([]byte, error) {
	return encrypt(key, append(append([]byte(nil), r...), make([]byte, 8)...))
}

// cryptogram is AUTH of LD/T 32.4 for SM4: the two halves of E(PK, r2 || 0)
// added.
func cryptogram(key, r1, r2 []byte) ([]byte, error) {
	pk, err := processKey(key, r1)
	if err != nil {
		return nil, err
	}
	c, err := processKey(pk, r2)
	if err != nil {
		return nil, err
	}
	auth := make([]byte, 8)
	for i := range auth {
		auth[i] = c[i] ^ c[i+8]
	}
	return auth, nil
}

// mac is the CBC-MAC of a message padded with 80 00...; the last block is
// returned whole and folded into four bytes.
func mac(key, iv, message []byte) (last, folded []byte, err error) {
	padded := append(append([]byte(nil), message...), 0x80)
	for len(padded)%sm4.BlockSize != 0 {
		padded = append(padded, 0)
	}
	last = iv
	for ; len(padded) > 0; padded = padded[sm4.BlockSize:] {
		mixed := make([]byte, sm4.BlockSize)
		for i := range mixed {
			mixed[i] = last[i] ^ padded[i]
		}
		if last, err = encrypt(key, mixed); err != nil {
			return nil, nil, err
		}
	}
	folded = make([]byte, 4)
	for i, b := range last {
		folded[i%4] ^= b
	}
	return last, folded, nil
}
