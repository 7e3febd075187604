package registrytest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
)

// Vault is a [registry.Vault] with fixed keys: it seals truly (AES-256-GCM,
// HMAC-SHA-256), so that what reaches a database in a test is what would reach
// it in production, but its keys are public. Another Salt makes other keys.
type Vault struct{ Salt string }

func (v Vault) key(use string) []byte {
	key := sha256.Sum256([]byte("registrytest " + use + v.Salt))
	return key[:]
}

// aeads has the cipher of each salt: whoever opens a value does not set the key
// up anew either.
var aeads sync.Map

func (v Vault) aead() (cipher.AEAD, error) {
	if made, ok := aeads.Load(v.Salt); ok {
		return made.(cipher.AEAD), nil
	}
	block, err := aes.NewCipher(v.key("seal"))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err == nil {
		aeads.Store(v.Salt, aead)
	}
	return aead, err
}

// Seal implements registry.Vault.
func (v Vault) Seal(_ context.Context, bound, plain []byte) ([]byte, error) {
	aead, err := v.aead()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return aead.Seal(nonce, nonce, plain, bound), nil
}

// Open implements registry.Vault.
func (v Vault) Open(_ context.Context, bound, sealed []byte) ([]byte, error) {
	aead, err := v.aead()
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("registrytest: sealed value too short")
	}
	return aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], bound)
}

// indexKey is that of a version; there are [Versions] of them.
func (v Vault) indexKey(version int, purpose string) []byte {
	if version == 1 {
		return v.key("index " + purpose)
	}
	return v.key(fmt.Sprintf("index %d %s", version, purpose))
}

// Versions is how many versions the key of indexes has.
const Versions = 3

// Index implements registry.Vault.
func (v Vault) Index(_ context.Context, version int, purpose string, value []byte) ([]byte, error) {
	if version < 1 || version > Versions {
		return nil, errors.New("registrytest: no such version of the key of indexes")
	}
	mac := hmac.New(sha256.New, v.indexKey(version, purpose))
	mac.Write(value)
	return mac.Sum(nil), nil
}
