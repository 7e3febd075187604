package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/emmansun/gmsm/sm3"
)

// documentFormat is the format and version of the key file.
const documentFormat = "onecard-keys/1"

// maxKeys bounds the number of entries of a key file.
const maxKeys = 8192

// document is the key file.
type document struct {
	Format string `json:"format"`
	Salt   []byte `json:"salt"`
	// KEKCheck tells a wrong key-encryption key from an altered file.
	KEKCheck []byte  `json:"kekCheck"`
	Keys     []entry `json:"keys"`
	// MAC is the HMAC-SM3 of the document in which it is empty.
	MAC []byte `json:"mac"`
}

// entry is one version of one key, sealed.
type entry struct {
	Spec
	Life
	Version    int       `json:"version"`
	Created    time.Time `json:"created"`
	CheckValue string    `json:"checkValue"`
	// Sealed is the nonce and what SM4-GCM makes of the key.
	Sealed []byte `json:"sealed"`
}

// parseDocument reads a key file. It accepts exactly the bytes that
// document.encode writes.
func parseDocument(content []byte) (*document, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	var doc document
	if err := decoder.Decode(&doc); err != nil {
		// The decoder's own text may quote the file.
		return nil, fmt.Errorf("JSON: %w", ErrFormat)
	}
	if doc.Format != documentFormat {
		return nil, fmt.Errorf("format: %w", ErrFormat)
	}
	if len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("keys: 至多 at most %d: %w", maxKeys, ErrFormat)
	}
	canonical, err := doc.encode()
	if err != nil || !bytes.Equal(canonical, content) {
		return nil, fmt.Errorf("不是规范形式 not in the canonical form: %w", ErrTampered)
	}
	for i, e := range doc.Keys {
		if e.Spec.check() != nil || e.Life.check(e.Usage) != nil || e.Version < 1 || e.Version > maxVersion || (i > 0 && !before(doc.Keys[i-1], e)) {
			return nil, fmt.Errorf("entry %d: %w", i+1, ErrTampered)
		}
	}
	return &doc, nil
}

// before orders entries by name and version.
func before(a, b entry) bool {
	return a.Name < b.Name || (a.Name == b.Name && a.Version < b.Version)
}

// encode writes the document in its canonical form.
func (d *document) encode() ([]byte, error) {
	content, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return append(content, '\n'), nil
}

// sign sets the MAC, and the check of the key-encryption key.
func (d *document) sign(kek KEK) error {
	var err error
	if d.KEKCheck, err = kek.subkey(d.Salt, "check", 8); err != nil {
		return err
	}
	d.MAC, err = d.mac(kek)
	return err
}

// verify checks that kek signed the document as it is.
func (d *document) verify(kek KEK) error {
	check, err := kek.subkey(d.Salt, "check", 8)
	if err != nil {
		return err
	}
	mac, err := d.mac(kek)
	if err != nil {
		return err
	}
	same := subtle.ConstantTimeCompare(check, d.KEKCheck) == 1
	signed := subtle.ConstantTimeCompare(mac, d.MAC) == 1
	switch {
	case signed && same:
		return nil
	case same:
		return fmt.Errorf("MAC: %w", ErrTampered)
	}
	// Either may be the cause; the first is by far the more frequent.
	return fmt.Errorf("%w; 或 or: %w", ErrWrongKEK, ErrTampered)
}

// mac computes the MAC of the document without its MAC.
func (d *document) mac(kek KEK) ([]byte, error) {
	key, err := kek.subkey(d.Salt, "mac", sm3.Size)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	bare := *d
	bare.MAC = nil
	content, err := bare.encode()
	if err != nil {
		return nil, err
	}
	return hmacSM3(key, content), nil
}

// hmacSM3 returns the HMAC-SM3 of the parts, joined.
func hmacSM3(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sm3.New, key)
	for _, part := range parts {
		mac.Write(part)
	}
	return mac.Sum(nil)
}

// associated returns what binds the sealed key to the rest of its entry.
func (e entry) associated() ([]byte, error) {
	e.Sealed = nil
	return json.Marshal(e)
}

// seal fills the entry's check value and sealed bytes from the key.
func (e *entry) seal(kek KEK, salt, value []byte, random io.Reader) error {
	kcv, _, err := checkValue(e.Spec, value)
	if err != nil {
		return err
	}
	e.CheckValue = hex.EncodeToString(kcv)
	key, err := kek.subkey(salt, "seal", 16)
	if err != nil {
		return err
	}
	defer clear(key)
	aead, err := gcm(key)
	if err != nil {
		return err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return fmt.Errorf("keys: random: %w", err)
	}
	associated, err := e.associated()
	if err != nil {
		return err
	}
	e.Sealed = aead.Seal(nonce, nonce, value, associated)
	return nil
}

// unseal returns the key of the entry.
func (e entry) unseal(kek KEK, salt []byte) ([]byte, error) {
	key, err := kek.subkey(salt, "seal", 16)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	associated, err := e.associated()
	if err != nil {
		return nil, err
	}
	if len(e.Sealed) < aead.NonceSize() {
		return nil, keyError(e.Name, e.Version, ErrTampered)
	}
	nonce, sealed := e.Sealed[:aead.NonceSize()], e.Sealed[aead.NonceSize():]
	value, err := aead.Open(nil, nonce, sealed, associated)
	if err != nil || len(value) != e.size() {
		return nil, keyError(e.Name, e.Version, ErrTampered)
	}
	kcv, _, err := checkValue(e.Spec, value)
	if err != nil || hex.EncodeToString(kcv) != e.CheckValue {
		return nil, keyError(e.Name, e.Version, ErrTampered)
	}
	return value, nil
}
