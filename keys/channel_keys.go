package keys

import (
	"context"
	"crypto/cipher"
	"crypto/des"
	"fmt"
)

// The purposes of a channel's static keys: their numbers on the chip, by which
// the diversifications tell them apart.
const (
	purposeENC = 1 + iota
	purposeMAC
	purposeDEK
)

// How a chip's static keys come from the maker's (密钥分散方式). Each is from the
// key diversification data that the chip gives in INITIALIZE UPDATE.
const (
	// DiversifyNone: the maker's keys as they are.
	DiversifyNone = "none"
	// DiversifyKDF3: the KDF of SP 800-108 with CMAC over the purpose and the
	// whole data; SCP03.
	DiversifyKDF3 = "kdf3"
	// DiversifyEMV: EMV CPS 1.1, bytes 4 to 9; SCP02.
	DiversifyEMV = "emv"
	// DiversifyVISA2: bytes 0, 1 and 4 to 7; SCP02.
	DiversifyVISA2 = "visa2"
)

// diversificationBytes are the bytes of the diversification data that stand in
// each half of a 3DES key's derivation.
var diversificationBytes = map[string][]int{DiversifyEMV: {4, 5, 6, 7, 8, 9}, DiversifyVISA2: {0, 1, 4, 5, 6, 7}}

// sessionKeys are the keys of one session for one turn, and what they compute
// for its opening.
type sessionKeys struct {
	masked
	enc, mac, responseMAC, dek []byte
	card, host                 []byte // cryptograms
	challenge                  []byte // the chip's, where it can be computed
}

// forget clears the keys.
func (k *sessionKeys) forget() {
	for _, key := range [][]byte{k.enc, k.mac, k.responseMAC, k.dek} {
		clear(key)
	}
}

// sessionKeys derives the keys of the session.
func (k *Keeper) sessionKeys(ctx context.Context, p protocol, s *session) (*sessionKeys, error) {
	var static [3][]byte
	defer func() {
		for _, key := range static {
			clear(key)
		}
	}()
	for i, key := range s.Keys {
		err := k.use(ctx, key, func(algorithm Algorithm, value []byte) (err error) {
			static[i], err = p.static(s, algorithm, value, byte(purposeENC+i))
			return err
		}, Channel)
		if err != nil {
			return nil, err
		}
	}
	keys, err := p.derive(s, static)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return keys, nil
}

// keyField makes the key data field of PUT KEY for a card's key. Under AES the
// length of the key stands before it, under 3DES it does not.
func (k *Keeper) keyField(ctx context.Context, name string, keys *sessionKeys, load ChannelLoad) ([]byte, error) {
	var field []byte
	err := k.use(ctx, load.Target, func(algorithm Algorithm, value []byte) error {
		if algorithm != SM4 && algorithm != TripleDES {
			return ErrAlgorithm
		}
		check, _, err := checkValue(Spec{Usage: Authentication, Algorithm: algorithm}, value)
		if err != nil {
			return err
		}
		enciphered := append([]byte(nil), value...)
		if name == SCP03 {
			block, err := newCipher(AES128, keys.dek)
			if err != nil {
				return err
			}
			cipher.NewCBCEncrypter(block, make([]byte, block.BlockSize())).CryptBlocks(enciphered, enciphered)
			enciphered = append([]byte{byte(len(value))}, enciphered...)
		} else {
			block, err := newCipher(TripleDES, keys.dek)
			if err != nil {
				return err
			}
			encryptBlocks(block, enciphered)
		}
		field = append([]byte{load.Type, byte(len(enciphered))}, enciphered...)
		field = append(append(field, byte(len(check))), check...)
		return nil
	}, Authentication, Maintenance, Master, Debit)
	return field, err
}

// diversify3DES makes a 3DES key from diversification data (EMV CPS 1.1 clause
// 4.1 and its kin): 3DES(K, data ‖ F0 ‖ purpose) ‖ 3DES(K, data ‖ 0F ‖ purpose).
func diversify3DES(method string, value, data []byte, purpose byte) ([]byte, error) {
	places, known := diversificationBytes[method]
	if !known {
		return nil, inputError("diversification", "none, emv, visa2")
	}
	block, err := newCipher(TripleDES, value)
	if err != nil {
		return nil, err
	}
	derived := make([]byte, 0, 2*des.BlockSize)
	for _, half := range []byte{0xF0, 0x0F} {
		for _, place := range places {
			derived = append(derived, data[place])
		}
		derived = append(derived, half, purpose)
	}
	encryptBlocks(block, derived)
	return derived, nil
}
