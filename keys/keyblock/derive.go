package keyblock

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/binary"

	"github.com/emmansun/gmsm/cbcmac"
)

// blockKeys are the two keys of one block: for enciphering (KBEK) and for the
// MAC (KBAK).
type blockKeys struct {
	encrypt cipher.Block
	authen  cipher.Block
	macSize int
	// variant: versions A and C, whose MAC covers the enciphered key.
	variant bool
}

// derive makes the keys of a block from its protection key.
func derive(kbpk KBPK, version byte) (*blockKeys, error) {
	expand := expandTripleDES
	switch {
	case version != 'A' && version != 'B' && version != 'C' && version != 'D':
		return nil, ErrVersion
	case version == 'D' && kbpk.Algorithm == 'A':
		expand = aes.NewCipher
	case version == 'D' || kbpk.Algorithm != 'T':
		return nil, ErrKBPK
	}
	keys := &blockKeys{variant: version == 'A' || version == 'C', macSize: 4}
	for _, part := range []struct {
		into    *cipher.Block
		usage   uint16
		variant byte
	}{{&keys.encrypt, 0, 'E'}, {&keys.authen, 1, 'M'}} {
		derived, err := kbpk.derive(expand, keys.variant, part.usage, part.variant)
		if err != nil {
			return nil, err
		}
		*part.into, err = expand(derived)
		clear(derived)
		if err != nil {
			return nil, ErrKBPK
		}
	}
	if !keys.variant {
		keys.macSize = keys.authen.BlockSize()
	}
	return keys, nil
}

// derive returns one of the two keys: the KBPK with a byte XORed to each
// (variant), or the CMACs of a counter and what the key is for.
func (k KBPK) derive(expand func([]byte) (cipher.Block, error), variant bool, usage uint16, mask byte) ([]byte, error) {
	block, err := expand(k.Key)
	if err != nil {
		return nil, ErrKBPK
	}
	derived := make([]byte, 0, len(k.Key)+aes.BlockSize)
	if variant {
		for _, b := range k.Key {
			derived = append(derived, b^mask)
		}
		return derived, nil
	}
	for counter := byte(1); len(derived) < len(k.Key); counter++ {
		input := []byte{counter}
		input = binary.BigEndian.AppendUint16(input, usage)
		input = append(input, 0)
		input = binary.BigEndian.AppendUint16(input, k.indicator())
		input = binary.BigEndian.AppendUint16(input, uint16(8*len(k.Key)))
		derived = append(derived, cmac(block, input)...)
	}
	return derived[:len(k.Key)], nil
}

// indicator is the algorithm of the derived keys: 0 and 1 for 3DES of two and
// three keys, 2 to 4 for AES-128 to AES-256.
func (k KBPK) indicator() uint16 {
	if k.Algorithm == 'A' {
		return uint16(len(k.Key) / 8)
	}
	return uint16(len(k.Key)/8 - 2)
}

// expandTripleDES expands a 3DES key of 16 or 24 bytes.
func expandTripleDES(key []byte) (cipher.Block, error) {
	if len(key) == 16 {
		triple := append(append(make([]byte, 0, 24), key...), key[:8]...)
		defer clear(triple)
		return des.NewTripleDESCipher(triple)
	}
	return des.NewTripleDESCipher(key)
}

// mac authenticates the header and the key: the enciphered one for variants
// (CBC-MAC, first four bytes; its input is always whole blocks), otherwise the
// clear one (CMAC).
func (k *blockKeys) mac(head, key []byte) []byte {
	message := append(append(make([]byte, 0, len(head)+len(key)), head...), key...)
	defer clear(message)
	if !k.variant {
		return cmac(k.authen, message)
	}
	return lastBlock(k.authen, message)[:k.macSize]
}

// lastBlock returns the last block of the CBC encipherment of whole blocks,
// which it leaves in message.
func lastBlock(block cipher.Block, message []byte) []byte {
	size := block.BlockSize()
	cipher.NewCBCEncrypter(block, make([]byte, size)).CryptBlocks(message, message)
	return append([]byte(nil), message[len(message)-size:]...)
}

// cmac returns the CMAC (NIST SP 800-38B) of a message, which it may overwrite.
// For 3DES the message is whole blocks, as everything in a key block is, and
// the mode is composed here: the library's is right for blocks of 16 bytes only.
func cmac(block cipher.Block, message []byte) []byte {
	if block.BlockSize() == aes.BlockSize {
		return cbcmac.NewCMAC(block, aes.BlockSize).MAC(message)
	}
	subkey := make([]byte, des.BlockSize)
	block.Encrypt(subkey, subkey)
	k1 := binary.BigEndian.Uint64(subkey)
	carry := k1 >> 63
	k1 = k1<<1 ^ carry*0x1B
	last := message[len(message)-des.BlockSize:]
	binary.BigEndian.PutUint64(last, binary.BigEndian.Uint64(last)^k1)
	return lastBlock(block, message)
}
