package keys

import (
	"bytes"
	"crypto/hkdf"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/emmansun/gmsm/sm3"
)

// kekSize is the length of the key-encryption key in bytes.
const kekSize = 32

// The first words of the two kinds of secret file.
const (
	kekMagic   = "onecard-kek/1"
	shareMagic = "onecard-share/1"
)

// KEK is the key-encryption key (密钥加密密钥), under which a key file is sealed.
// It shows itself nowhere; it can be written to a file only.
type KEK struct {
	masked
	value secret
}

// Share is one of two shares of a key-encryption key (密钥分量), each for one
// custodian and one place: alone it says nothing about the key.
type Share struct {
	masked
	value secret
	// set tells the shares of one splitting from those of another.
	set    [4]byte
	number int
}

// GenerateKEK makes a key-encryption key from 32 bytes of random.
func GenerateKEK(random io.Reader) (KEK, error) {
	value := make([]byte, kekSize)
	if _, err := io.ReadFull(random, value); err != nil {
		return KEK{}, fmt.Errorf("keys: random: %w", err)
	}
	return KEK{value: hide(value)}, nil
}

// Split makes the two shares: a random one, and its XOR with the key.
func (k KEK) Split(random io.Reader) (first, second Share, err error) {
	if k.value == nil {
		return Share{}, Share{}, errNoKEK()
	}
	one, two := make([]byte, kekSize), make([]byte, kekSize)
	first = Share{value: hide(one), number: 1}
	second = Share{value: hide(two), number: 2}
	for _, part := range [][]byte{one, first.set[:]} {
		if _, err := io.ReadFull(random, part); err != nil {
			return Share{}, Share{}, fmt.Errorf("keys: random: %w", err)
		}
	}
	second.set = first.set
	subtle.XORBytes(two, one, k.value())
	return first, second, nil
}

// Combine makes the key-encryption key from its two shares, in either order.
// Shares of different splittings, or one share twice, are ErrShares.
func Combine(a, b Share) (KEK, error) {
	if a.value == nil || b.value == nil || a.set != b.set || a.number == b.number {
		return KEK{}, fmt.Errorf("keys: %w", ErrShares)
	}
	value := make([]byte, kekSize)
	subtle.XORBytes(value, a.value(), b.value())
	return KEK{value: hide(value)}, nil
}

// WriteFile writes the key to a new file of mode 0600 (for a trial; where it
// matters the key is split). A file that exists is ErrExists.
func (k KEK) WriteFile(path string) error {
	if k.value == nil {
		return errNoKEK()
	}
	text := fmt.Appendf(nil, "%s %x\n", kekMagic, k.value())
	defer clear(text)
	return writeNew(path, text)
}

// WriteFile writes the share to a new file of mode 0600.
func (s Share) WriteFile(path string) error {
	if s.value == nil {
		return fmt.Errorf("keys: %w", ErrShares)
	}
	text := fmt.Appendf(nil, "%s %x %d %x\n", shareMagic, s.set[:], s.number, s.value())
	defer clear(text)
	return writeNew(path, text)
}

// ReadKEK reads what KEK.WriteFile wrote. The file must be this user's with
// mode 0600 (ErrPermissions).
func ReadKEK(path string) (KEK, error) {
	text, err := readPrivate(path)
	if err != nil {
		return KEK{}, err
	}
	defer clear(text)
	kek, err := parseKEK(text)
	if err != nil {
		return KEK{}, fmt.Errorf("keys: %s: %w", path, err)
	}
	return kek, nil
}

// ReadShare reads what Share.WriteFile wrote. The file must be this user's with
// mode 0600 (ErrPermissions).
func ReadShare(path string) (Share, error) {
	text, err := readPrivate(path)
	if err != nil {
		return Share{}, err
	}
	defer clear(text)
	share, err := parseShare(text)
	if err != nil {
		return Share{}, fmt.Errorf("keys: %s: %w", path, err)
	}
	return share, nil
}

// parseKEK reads the text of a key-encryption key's file.
func parseKEK(text []byte) (KEK, error) {
	words := bytes.Fields(text)
	if len(words) != 2 || string(words[0]) != kekMagic {
		return KEK{}, ErrFormat
	}
	value := make([]byte, kekSize)
	if !decodeHex(value, words[1]) {
		return KEK{}, ErrFormat
	}
	return KEK{value: hide(value)}, nil
}

// parseShare reads the text of a share's file.
func parseShare(text []byte) (Share, error) {
	words := bytes.Fields(text)
	if len(words) != 4 || string(words[0]) != shareMagic || len(words[2]) != 1 {
		return Share{}, ErrFormat
	}
	value := make([]byte, kekSize)
	share := Share{value: hide(value), number: int(words[2][0] - '0')}
	if share.number < 1 || share.number > 2 ||
		!decodeHex(share.set[:], words[1]) || !decodeHex(value, words[3]) {
		return Share{}, ErrFormat
	}
	return share, nil
}

// decodeHex fills out from exactly as much hexadecimal text.
func decodeHex(out, text []byte) bool {
	if hex.DecodedLen(len(text)) != len(out) || len(text)%2 != 0 {
		return false
	}
	_, err := hex.Decode(out, text)
	return err == nil
}

// subkey derives a key for one use inside a key file.
func (k KEK) subkey(salt []byte, use string, size int) ([]byte, error) {
	if k.value == nil {
		return nil, errNoKEK()
	}
	return hkdf.Key(sm3.New, k.value(), salt, "onecard key file: "+use, size)
}

// errNoKEK reports the zero KEK.
func errNoKEK() error {
	return fmt.Errorf("keys: 未提供 none given: %w", ErrWrongKEK)
}
