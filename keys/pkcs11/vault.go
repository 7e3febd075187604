package pkcs11

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"onecard/keys"
)

// A sealed value is: one byte format, two bytes key version (big endian), the
// nonce, and what AES-256-GCM makes of the plain value. The first three bytes
// are associated data together with the caller's. The format is another than
// the software keeper's.
const (
	sealFormat = 2
	sealPrefix = 3
	nonceSize  = 12
	tagBits    = 128
)

// Seal enciphers personal data (字段加密) under the current version of the key
// DATA and a random nonce, and binds it to aad, which is not stored.
func (k *Keeper) Seal(ctx context.Context, aad, plain []byte) ([]byte, error) {
	version, err := k.Current(keys.DataKey)
	if err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint16([]byte{sealFormat}, uint16(version))
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails since Go 1.24
	var sealed []byte
	err = k.use(ctx, keys.Key{Name: keys.DataKey, Version: version}, func(session p11.SessionHandle, key p11.ObjectHandle) error {
		parameters := p11.NewGCMParams(nonce, slices.Concat(head, aad), tagBits)
		defer parameters.Free()
		body, err := k.encrypt(session, key, p11.CKM_AES_GCM, parameters, plain)
		if err != nil {
			return err
		}
		// Some tokens put a nonce of their own in its place.
		sealed = slices.Concat(head, parameters.IV(), body)
		return nil
	}, keys.FieldEncryption)
	return sealed, err
}

// Open deciphers what Seal returned for the same aad. Anything else is
// keys.ErrSealed; a version the token does not have is keys.ErrNoKey.
func (k *Keeper) Open(ctx context.Context, aad, sealed []byte) ([]byte, error) {
	version := keys.SealedVersion(sealed)
	if len(sealed) < sealPrefix+nonceSize+tagBits/8 || sealed[0] != sealFormat || version == 0 {
		return nil, fmt.Errorf("pkcs11: %w", keys.ErrSealed)
	}
	var plain []byte
	err := k.use(ctx, keys.Key{Name: keys.DataKey, Version: version}, func(session p11.SessionHandle, key p11.ObjectHandle) error {
		nonce, body := sealed[sealPrefix:sealPrefix+nonceSize], sealed[sealPrefix+nonceSize:]
		parameters := p11.NewGCMParams(nonce, slices.Concat(sealed[:sealPrefix], aad), tagBits)
		defer parameters.Free()
		if err := k.api.DecryptInit(session, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, parameters)}, key); err != nil {
			return err
		}
		var err error
		if plain, err = k.api.Decrypt(session, body); err == nil {
			return nil
		}
		// Tokens have no one code for a wrong tag; SoftHSM says "general error".
		// If the key still computes, it is the value that is wrong.
		if _, working := k.sign(session, key, p11.CKM_AES_CMAC, nil); working != nil {
			return err
		}
		return keys.ErrSealed
	}, keys.FieldEncryption)
	if err != nil {
		return nil, err
	}
	return plain, nil
}

// Index returns the blind index (盲索引, 32 bytes) of a value: the HMAC-SHA-256
// under that version of the key INDEX of the purpose, with its length before it, and the value.
func (k *Keeper) Index(ctx context.Context, version int, purpose string, value []byte) ([]byte, error) {
	message := binary.BigEndian.AppendUint32(nil, uint32(len(purpose)))
	message = slices.Concat(message, []byte(purpose), value)
	var index []byte
	err := k.use(ctx, keys.Key{Name: keys.IndexKey, Version: version}, func(session p11.SessionHandle, key p11.ObjectHandle) (err error) {
		index, err = k.sign(session, key, p11.CKM_SHA256_HMAC, message)
		return err
	}, keys.BlindIndex)
	return index, err
}
