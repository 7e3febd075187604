package keys

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emmansun/gmsm/sm4"
	"golang.org/x/crypto/argon2"
)

// Component is one custodian's part of a key (密钥分量), as long as the key: the
// key is the XOR of all of them, and one alone says nothing about it.
type Component struct {
	masked
	spec  Spec
	value secret
}

// GenerateComponent makes a component from random bytes.
func GenerateComponent(spec Spec, random io.Reader) (Component, error) {
	if err := spec.check(); err != nil {
		return Component{}, err
	}
	value := make([]byte, spec.size())
	if _, err := io.ReadFull(random, value); err != nil {
		return Component{}, fmt.Errorf("keys: random: %w", err)
	}
	return Component{spec: spec, value: hide(value)}, nil
}

// ParseComponent reads a component as its custodian types it: hexadecimal, in
// groups or not.
func ParseComponent(spec Spec, text []byte) (Component, error) {
	if err := spec.check(); err != nil {
		return Component{}, err
	}
	digits := bytes.Join(bytes.Fields(text), nil)
	defer clear(digits)
	value := make([]byte, spec.size())
	if !decodeHex(value, digits) {
		clear(value)
		return Component{}, fmt.Errorf("应为 %d 个十六进制数字 want %d hexadecimal digits: %w", 2*len(value), 2*len(value), ErrFormat)
	}
	return Component{spec: spec, value: hide(value)}, nil
}

// CheckValue returns the component's check value, computed as the key's.
func (c Component) CheckValue() (kcv, method string, err error) {
	value, method, err := checkValue(c.spec, c.value())
	return hex.EncodeToString(value), method, err
}

// Equal tells whether the other component is the same.
func (c Component) Equal(other Component) bool {
	return subtle.ConstantTimeCompare(c.value(), other.value()) == 1
}

// Reveal returns the component for the eyes of its custodian, in groups of four
// digits. The caller clears it, and shows it to nobody else.
func (c Component) Reveal() []byte {
	digits := bytes.ToUpper(hex.AppendEncode(nil, c.value()))
	defer clear(digits)
	grouped := make([]byte, 0, len(digits)+len(digits)/4)
	for i := 0; i < len(digits); i += 4 {
		if i > 0 {
			grouped = append(grouped, ' ')
		}
		grouped = append(grouped, digits[i:i+4]...)
	}
	return grouped
}

// WriteFile writes what Reveal returns, and the check value, to a new file of
// mode 0600.
func (c Component) WriteFile(path string) error {
	kcv, _, err := c.CheckValue()
	if err != nil {
		return err
	}
	revealed := c.Reveal()
	defer clear(revealed)
	text := fmt.Appendf(nil, "%s\n%s\n", revealed, strings.ToUpper(kcv))
	defer clear(text)
	return writeNew(path, text)
}

// Clear clears the component.
func (c Component) Clear() {
	if c.value != nil {
		clear(c.value())
	}
}

// minPassphrase is the least length of a custodian's passphrase, in characters.
const minPassphrase = 12

// CheckPassphrase refuses a passphrase that is too short to guard a component.
func CheckPassphrase(passphrase []byte) error {
	if utf8.RuneCount(passphrase) < minPassphrase {
		return inputError("口令 passphrase", fmt.Sprintf("至少 %d 个字符 at least %d characters", minPassphrase, minPassphrase))
	}
	return nil
}

// saltSize is the length of a passphrase's salt in bytes.
const saltSize = 16

// stretch makes a key of 16 bytes from a passphrase and a salt.
type stretch func(passphrase, salt []byte) []byte

// argon2id is the way to stretch a passphrase: Argon2id with the parameters
// RFC 9106 recommends where memory is scarce.
func argon2id(passphrase, salt []byte) []byte {
	const passes, memoryKiB, lanes = 3, 64 * 1024, 4
	return argon2.IDKey(passphrase, salt, passes, memoryKiB, lanes, sm4.BlockSize)
}

// cipher makes SM4-GCM under the key that a passphrase gives.
func (s stretch) cipher(passphrase, salt []byte) (cipher.AEAD, error) {
	key := s(passphrase, salt)
	defer clear(key)
	return gcm(key)
}

// seal seals a value with a passphrase: salt, nonce, and what SM4-GCM makes
// of the value. associated is bound to it.
func (s stretch) seal(passphrase, value, associated []byte, random io.Reader) ([]byte, error) {
	if err := CheckPassphrase(passphrase); err != nil {
		return nil, err
	}
	head := make([]byte, saltSize)
	if _, err := io.ReadFull(random, head); err != nil {
		return nil, fmt.Errorf("keys: random: %w", err)
	}
	aead, err := s.cipher(passphrase, head)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("keys: random: %w", err)
	}
	return aead.Seal(append(head, nonce...), nonce, value, associated), nil
}

// open opens what seal made. A wrong passphrase and an altered value
// are both ErrPassphrase: nobody can tell them apart.
func (s stretch) open(passphrase, sealed, associated []byte) ([]byte, error) {
	if len(sealed) < saltSize {
		return nil, ErrPassphrase
	}
	aead, err := s.cipher(passphrase, sealed[:saltSize])
	if err != nil {
		return nil, err
	}
	rest := sealed[saltSize:]
	if len(rest) < aead.NonceSize() {
		return nil, ErrPassphrase
	}
	value, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], associated)
	if err != nil {
		return nil, ErrPassphrase
	}
	return value, nil
}
