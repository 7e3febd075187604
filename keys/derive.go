package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"fmt"

	"github.com/emmansun/gmsm/sm4"
)

// factorSize is the length of a diversification factor, a challenge and the
// two values of an authentication, in bytes.
const factorSize = 8

// blockSize returns the block of the cipher, in bytes.
func (a Algorithm) blockSize() int {
	if a == TripleDES {
		return des.BlockSize
	}
	return sm4.BlockSize
}

// newCipher expands a key, or a 3DES process key of 8 bytes.
func newCipher(algorithm Algorithm, key []byte) (cipher.Block, error) {
	switch {
	case algorithm == SM4:
		return sm4.NewCipher(key)
	case algorithm.aes():
		return aes.NewCipher(key)
	case algorithm == TripleDES && len(key) == 16:
		triple := append(append(make([]byte, 0, 24), key...), key[:8]...)
		defer clear(triple)
		return des.NewTripleDESCipher(triple)
	case algorithm == TripleDES && len(key) == 8:
		return des.NewCipher(key)
	}
	return nil, fmt.Errorf("keys: %w", ErrAlgorithm)
}

// diversify derives the key of the next level from an eight-byte factor
// (密钥分散): SM4(K, f ‖ ¬f), or 3DES(K, f) ‖ 3DES(K, ¬f) as in PBOC. The caller
// clears the result.
func diversify(algorithm Algorithm, key, factor []byte) ([]byte, error) {
	block, err := newCipher(algorithm, key)
	if err != nil {
		return nil, err
	}
	derived := make([]byte, 2*factorSize)
	fillFactor(derived, factor)
	encryptBlocks(block, derived)
	return derived, nil
}

// fillFactor writes f ‖ ¬f, of which the next level's key is enciphered.
func fillFactor(into, factor []byte) {
	for i, b := range factor {
		into[i], into[factorSize+i] = b, ^b
	}
}

// processCipher derives the process key (过程密钥) of one authentication or one
// protected command from r: SM4(K, r ‖ 0⁸), or 3DES(K, r) for single DES.
func processCipher(algorithm Algorithm, key, r []byte) (cipher.Block, error) {
	block, err := newCipher(algorithm, key)
	if err != nil {
		return nil, err
	}
	process := make([]byte, block.BlockSize())
	defer clear(process)
	copy(process, r)
	block.Encrypt(process, process)
	return newCipher(algorithm, process)
}

// encryptBlocks enciphers whole blocks one by one, in place.
func encryptBlocks(block cipher.Block, data []byte) {
	size := block.BlockSize()
	for i := 0; i < len(data); i += size {
		block.Encrypt(data[i:i+size], data[i:i+size])
	}
}

// pad appends 80 00… up to a whole number of blocks, at least one byte
// (ISO/IEC 9797-1 padding method 2).
func pad(data []byte, size int) []byte {
	padded := make([]byte, (len(data)/size+1)*size)
	copy(padded, data)
	padded[len(data)] = 0x80
	return padded
}

// chainMAC returns the last block of the CBC-MAC of the padded message
// (ISO/IEC 9797-1 algorithm 1), starting from iv.
func chainMAC(block cipher.Block, iv, message []byte) []byte {
	padded := pad(message, block.BlockSize())
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	return padded[len(padded)-block.BlockSize():]
}

// directMAC returns the last block of the MAC of a message under a whole key,
// starting from iv: the CBC-MAC for SM4; for 3DES, as the COS of the FMCOS
// family compute it, that of single DES with the left half of the key, whose
// last block is deciphered with the right half and enciphered with the left
// (ISO/IEC 9797-1 algorithm 3).
func directMAC(algorithm Algorithm, key, iv, message []byte) ([]byte, error) {
	if algorithm != TripleDES {
		block, err := newCipher(algorithm, key)
		if err != nil {
			return nil, err
		}
		return chainMAC(block, iv, message), nil
	}
	left, err := newCipher(algorithm, key[:8])
	if err != nil {
		return nil, err
	}
	right, err := newCipher(algorithm, key[8:])
	if err != nil {
		return nil, err
	}
	last := chainMAC(left, iv, message)
	right.Decrypt(last, last)
	left.Encrypt(last, last)
	return last, nil
}

// shorten makes the four MAC bytes of a command from the last MAC block: the
// XOR of the four words for SM4, the first word for DES.
func shorten(last []byte) []byte {
	mac := make([]byte, 4)
	if len(last) == des.BlockSize {
		copy(mac, last)
		return mac
	}
	for i, b := range last {
		mac[i%4] ^= b
	}
	return mac
}
