package keys

import (
	"context"
	"crypto/cipher"
	"fmt"
	"strings"

	"github.com/emmansun/gmsm/cbcmac"
	"github.com/emmansun/gmsm/sm4"
)

// Cryptogram computes the eight authentication bytes AUTH for INTERNAL and
// EXTERNAL AUTHENTICATE (内部认证、外部认证) from the process factor r1 (过程因子)
// and the original information r2 (鉴别所需原始信息), eight bytes each.
//
// SM4: PK = SM4(K, r1 ‖ 0⁸), C = SM4(PK, r2 ‖ 0⁸), AUTH = C[0:8] ⊕ C[8:16].
// 3DES: PK = 3DES(K, r1), AUTH = DES(PK, r2).
func (k *Keeper) Cryptogram(ctx context.Context, key Key, r1, r2 []byte) ([]byte, error) {
	if len(r1) != factorSize || len(r2) != factorSize {
		return nil, inputError("r1, r2", "各应 8 字节 eight bytes each")
	}
	var auth []byte
	err := k.use(ctx, key, func(algorithm Algorithm, value []byte) error {
		process, err := processCipher(algorithm, value, r1)
		if err != nil {
			return err
		}
		block := make([]byte, process.BlockSize())
		copy(block, r2)
		process.Encrypt(block, block)
		auth = block[:factorSize]
		for i, b := range block[factorSize:] {
			auth[i] ^= b
		}
		return nil
	}, Authentication)
	return auth, err
}

// CommandMAC computes the four MAC bytes of a protected command under the
// process key that the card's challenge r (eight bytes) gives; message is the
// header with Lc and the data field, not yet padded. The chain starts from
// zeroes.
func (k *Keeper) CommandMAC(ctx context.Context, key Key, r, message []byte) ([]byte, error) {
	if len(r) != factorSize {
		return nil, inputError("r", "应 8 字节 eight bytes")
	}
	if len(message) < 5 {
		return nil, inputError("message", "至少 5 字节命令头 at least the five header bytes")
	}
	var mac []byte
	err := k.use(ctx, key, func(algorithm Algorithm, value []byte) error {
		process, err := processCipher(algorithm, value, r)
		if err != nil {
			return err
		}
		mac = shorten(chainMAC(process, make([]byte, process.BlockSize()), message))
		return nil
	}, Maintenance)
	return mac, err
}

// PINBlock enciphers a PIN under the process key that r gives and computes the
// MAC of the command with that header (CLA INS P1 P2 Lc): the answer is the
// whole data field, enciphered block and MAC. The block is one length byte,
// the PIN in BCD (an even number of digits, 4 to 12), 80 and zeroes.
func (k *Keeper) PINBlock(ctx context.Context, key Key, r, header []byte, pin string) ([]byte, error) {
	digits, err := packPIN(pin)
	if err != nil {
		return nil, err
	}
	defer clear(digits)
	return k.CipherCommand(ctx, key, r, header, digits)
}

// CipherCommand enciphers the data field of a protected command (密文加校验) under
// the process key that the card's challenge r (eight bytes) gives and computes
// the MAC of the command with that header (CLA INS P1 P2 Lc): the answer is the
// whole data field. What is enciphered is one length byte, plain (1 to 253
// bytes), 80 and zeroes.
func (k *Keeper) CipherCommand(ctx context.Context, key Key, r, header, plain []byte) ([]byte, error) {
	if len(r) != factorSize {
		return nil, inputError("r", "应 8 字节 eight bytes")
	}
	if len(plain) == 0 || len(plain) > 253 {
		return nil, inputError("plain", "应 1 至 253 字节 1 to 253 bytes")
	}
	var data []byte
	err := k.use(ctx, key, func(algorithm Algorithm, value []byte) error {
		process, err := processCipher(algorithm, value, r)
		if err != nil {
			return err
		}
		counted := append([]byte{byte(len(plain))}, plain...)
		defer clear(counted)
		data = pad(counted, process.BlockSize())
		encryptBlocks(process, data)
		if err := checkHeader(header, len(data)+4); err != nil {
			return err
		}
		mac := chainMAC(process, make([]byte, process.BlockSize()), join(header, data))
		data = append(data, shorten(mac)...)
		return nil
	}, Maintenance)
	if err != nil {
		return nil, err
	}
	return data, nil
}

// WrapKey enciphers target with its three attribute bytes (usage, version,
// tries) under the key under and computes the MAC of the key-loading command
// with that header, starting from iv (one block: 16 bytes for SM4, 8 for 3DES).
// It returns the command's data field (36 bytes for SM4, 28 for 3DES) and the
// last MAC block, which is the next iv of a chained sequence. Both keys are of
// one algorithm. Only keys for cards can be wrapped, and only diversified to
// the card.
func (k *Keeper) WrapKey(ctx context.Context, under, target Key, attributes [3]byte, header, iv []byte) (data, next []byte, err error) {
	var wrapped Algorithm
	err = k.use(ctx, target, func(algorithm Algorithm, value []byte) error {
		plain := append([]byte{byte(len(attributes) + len(value)), attributes[0], attributes[1], attributes[2]}, value...)
		defer clear(plain)
		wrapped, data = algorithm, pad(plain, algorithm.blockSize())
		return checkHeader(header, len(data)+4)
	}, Authentication, Maintenance, Master, Debit)
	defer func() {
		if err != nil {
			clear(data)
			data, next = nil, nil
		}
	}()
	if err != nil {
		return data, nil, err
	}
	err = k.use(ctx, under, func(algorithm Algorithm, value []byte) error {
		if algorithm != wrapped {
			return fmt.Errorf("keys: %w", ErrAlgorithm)
		}
		if err := checkIV(algorithm, iv); err != nil {
			return err
		}
		block, err := newCipher(algorithm, value)
		if err != nil {
			return err
		}
		encryptBlocks(block, data)
		if next, err = directMAC(algorithm, value, iv, join(header, data)); err != nil {
			return err
		}
		data = append(data, shorten(next)...)
		return nil
	}, Master, Transport)
	return data, next, err
}

// DirectMAC computes the four MAC bytes of message under the key itself,
// starting from iv (one block; zeroes for a stand-alone check code). Under a
// master or transport key it takes a bare command header (five bytes) only, so
// that it cannot authenticate a key load made elsewhere.
func (k *Keeper) DirectMAC(ctx context.Context, key Key, iv, message []byte) ([]byte, error) {
	usages := []Usage{CheckCode}
	if len(message) == 5 {
		usages = []Usage{CheckCode, Master, Transport}
	}
	var mac []byte
	err := k.use(ctx, key, func(algorithm Algorithm, value []byte) error {
		if err := checkIV(algorithm, iv); err != nil {
			return err
		}
		last, err := directMAC(algorithm, value, iv, message)
		if err != nil {
			return err
		}
		mac = shorten(last)
		return nil
	}, usages...)
	return mac, err
}

// How a check value was computed, as CheckValue names it.
const (
	// CheckValueECB: the first three bytes of a block of zeroes enciphered.
	CheckValueECB = "ECB(0)[0:3]"
	// CheckValueCMAC: the first three bytes of the CMAC of a block of zeroes,
	// since the enciphered zero block itself is a secret of GCM.
	CheckValueCMAC = "CMAC(0)[0:3]"
	// CheckValueAES: the first five bytes of the CMAC of a block of zeroes, which
	// TR-31 and X9.143 compute for AES keys.
	CheckValueAES = "CMAC(0)[0:5]"
	// CheckValueHMAC: the first three bytes of the HMAC-SM3 of nothing.
	CheckValueHMAC = "HMAC-SM3()[0:3]"
)

// CheckValue returns the key check value (密钥校验值, KCV; three bytes, five for
// AES) by which two custodians compare keys without seeing them, and how it was
// computed. It answers at every level of the hierarchy, without factors for the
// key itself, and for retired versions too.
func (k *Keeper) CheckValue(ctx context.Context, key Key) (kcv []byte, method string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	held, err := k.look(key)
	if err != nil {
		return nil, "", err
	}
	if len(key.Factors) > held.Depth {
		return nil, "", keyError(held.Name, held.Version, ErrFactors)
	}
	value, err := held.derive(key.Factors)
	if err != nil {
		return nil, "", err
	}
	defer clear(value)
	return checkValue(held.Spec, value)
}

// checkValue computes the check value of a key with that description.
func checkValue(spec Spec, value []byte) ([]byte, string, error) {
	if spec.Usage == BlindIndex {
		return hmacSM3(value)[:3], CheckValueHMAC, nil
	}
	block, err := newCipher(spec.Algorithm, value)
	if err != nil {
		return nil, "", err
	}
	zero := make([]byte, block.BlockSize())
	if spec.Usage == FieldEncryption {
		return cbcmac.NewCMAC(block, block.BlockSize()).MAC(zero)[:3], CheckValueCMAC, nil
	}
	if spec.Algorithm.aes() {
		return cbcmac.NewCMAC(block, block.BlockSize()).MAC(zero)[:5], CheckValueAES, nil
	}
	block.Encrypt(zero, zero)
	return zero[:3], CheckValueECB, nil
}

// packPIN returns the PIN's digits in BCD.
func packPIN(pin string) ([]byte, error) {
	if len(pin) < 4 || len(pin) > 12 || len(pin)%2 != 0 || strings.Trim(pin, "0123456789") != "" {
		return nil, inputError("密码 PIN", "应为 4 至 12 位偶数个数字 an even number of digits, 4 to 12")
	}
	packed := make([]byte, len(pin)/2)
	for i := range packed {
		packed[i] = (pin[2*i]-'0')<<4 | (pin[2*i+1] - '0')
	}
	return packed, nil
}

// checkIV refuses an initial value that is not one block.
func checkIV(algorithm Algorithm, iv []byte) error {
	if size := algorithm.blockSize(); len(iv) != size {
		return inputError("iv", fmt.Sprintf("应 %d 字节 %d bytes", size, size))
	}
	return nil
}

// checkHeader refuses a command header whose Lc is not the data field's length.
func checkHeader(header []byte, length int) error {
	if len(header) != 5 || int(header[4]) != length {
		return inputError("header", fmt.Sprintf("应为 5 字节且 Lc 为 %d five bytes with Lc %d", length, length))
	}
	return nil
}

// join returns a new slice: header, then data.
func join(header, data []byte) []byte {
	return append(append(make([]byte, 0, len(header)+len(data)), header...), data...)
}

// gcm returns SM4-GCM under a key of 16 bytes.
func gcm(key []byte) (cipher.AEAD, error) {
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
