package keys

import (
	"bytes"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
)

// ImportFile takes a key in from a file, for example the transport key of a
// chip maker (卡商传输密钥). The file must be this user's with mode 0600
// (ErrPermissions); what stands in it is as Import says.
func (k *Keeper) ImportFile(spec Spec, version int, path string) error {
	text, err := readPrivate(path)
	if err != nil {
		return err
	}
	defer clear(text)
	return k.Import(spec, version, bytes.NewReader(text))
}

// Import takes one version of a key in from hexadecimal text: the key, and
// after a space, if the sender gives it, its check value of three bytes, which
// must agree. Lines that begin with # are comments. A version that is there
// already is ErrExists; a description other than the present one's too.
func (k *Keeper) Import(spec Spec, version int, r io.Reader) error {
	value, err := readKey(spec, r)
	if err != nil {
		return err
	}
	return k.insert(spec, version, value)
}

// ImportComponents takes one version of a key in from two components (密钥分量)
// of two custodians, whose XOR is the key; each is text as Import says, with
// the component's own check value if any. Two equal components are ErrInput,
// since the key would be zero.
func (k *Keeper) ImportComponents(spec Spec, version int, first, second io.Reader) error {
	a, err := readKey(spec, first)
	if err != nil {
		return err
	}
	defer clear(a)
	b, err := readKey(spec, second)
	if err != nil {
		return err
	}
	defer clear(b)
	if subtle.ConstantTimeCompare(a, b) == 1 {
		return keyError(spec.Name, version, inputError("分量 components", "不得相同 must differ"))
	}
	value := make([]byte, len(a))
	subtle.XORBytes(value, a, b)
	return k.insert(spec, version, value)
}

// insert stores a key that was imported. It keeps value.
func (k *Keeper) insert(spec Spec, version int, value []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if version < 1 || version > maxVersion {
		clear(value)
		return keyError(spec.Name, version, inputError("version", fmt.Sprintf("1–%d", maxVersion)))
	}
	for _, present := range k.keys[spec.Name] {
		if present.Version == version || present.Spec != spec {
			clear(value)
			return keyError(spec.Name, present.Version, ErrExists)
		}
	}
	imported, err := k.hold(spec, version, value)
	if err != nil {
		return err
	}
	added := []*held{imported}
	defer func() { forget(added, k.keys) }()
	return k.store(added)
}

// readKey reads the text of a key or a component.
func readKey(spec Spec, r io.Reader) ([]byte, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, 4096))
	if err != nil {
		return nil, fmt.Errorf("keys: %s: %w", spec.Name, err)
	}
	defer clear(text)
	value, err := parseKey(spec, text)
	if err != nil {
		return nil, fmt.Errorf("keys: %s: %w", spec.Name, err)
	}
	return value, nil
}

// parseKey reads a key in hexadecimal and its check value, if there is one.
func parseKey(spec Spec, text []byte) ([]byte, error) {
	var words [][]byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("#")) {
			words = append(words, bytes.Fields(line)...)
		}
	}
	value := make([]byte, spec.size())
	if len(words) < 1 || len(words) > 2 || !decodeHex(value, words[0]) {
		clear(value)
		return nil, fmt.Errorf("应为 %d 个十六进制数字 want %d hexadecimal digits: %w", 2*spec.size(), 2*spec.size(), ErrFormat)
	}
	if len(words) == 1 {
		return value, nil
	}
	kcv, _, err := checkValue(spec, value)
	if err != nil || !bytes.EqualFold([]byte(hex.EncodeToString(kcv)), words[1]) {
		clear(value)
		return nil, fmt.Errorf("校验值不符 check value does not agree: %w", ErrFormat)
	}
	return value, nil
}
