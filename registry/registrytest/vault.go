package registrytest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

// Vault is a [registry.Vault] with fixed keys: it seals truly (AES-256-GCM,
// HMAC-SHA-256), so that what reaches a database in a test is what would reach
// it in production, but its keys are public. Another Salt makes other keys.
type Vault struct{ Salt string }

func (v Vault) key(use string) []byte {
	key := sha256.Sum256([]byte("registrytest " + use + v.Salt))
	return key[:]
}

func (v Vault) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(v.key("seal"))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
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

// Index implements registry.Vault.
func (v Vault) Index(_ context.Context, purpose string, value []byte) ([]byte, error) {
	mac := hmac.New(sha256.New, v.key("index "+purpose))
	mac.Write(value)
	return mac.Sum(nil), nil
}
