package keys

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// A sealed value is: one byte format, two bytes key version (big endian), the
// nonce, and what SM4-GCM makes of the plain value. The first three bytes are
// associated data together with the caller's.
const (
	sealFormat = 1
	sealPrefix = 3
)

// Seal enciphers personal data (字段加密) with SM4-GCM under the current version
// of the key DATA and a random nonce, and binds it to aad (for example table,
// column and row), which is not stored. The result is 31 bytes longer than
// plain. A nonce of 96 random bits allows 2³² values per key version: rotate
// the key well before.
func (k *Keeper) Seal(ctx context.Context, aad, plain []byte) ([]byte, error) {
	version, err := k.Current(DataKey)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	err = k.use(ctx, Key{Name: DataKey, Version: version}, func(_ Algorithm, value []byte) error {
		aead, err := gcm(value)
		if err != nil {
			return err
		}
		head := make([]byte, sealPrefix+aead.NonceSize(), sealPrefix+aead.NonceSize()+len(plain)+aead.Overhead())
		head[0] = sealFormat
		binary.BigEndian.PutUint16(head[1:], uint16(version))
		nonce := head[sealPrefix:]
		if _, err := io.ReadFull(k.random, nonce); err != nil {
			return fmt.Errorf("random: %w", err)
		}
		sealed = aead.Seal(head, nonce, plain, join(head[:sealPrefix], aad))
		return nil
	}, FieldEncryption)
	return sealed, err
}

// Open deciphers what Seal returned for the same aad, with whatever version of
// the key it was sealed. Anything else is ErrSealed; a version the keeper does
// not have is ErrNoKey.
func (k *Keeper) Open(ctx context.Context, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < sealPrefix || sealed[0] != sealFormat {
		return nil, fmt.Errorf("keys: %w", ErrSealed)
	}
	version := int(binary.BigEndian.Uint16(sealed[1:]))
	if version == 0 {
		return nil, fmt.Errorf("keys: %w", ErrSealed)
	}
	var plain []byte
	err := k.use(ctx, Key{Name: DataKey, Version: version}, func(_ Algorithm, value []byte) error {
		aead, err := gcm(value)
		if err != nil {
			return err
		}
		if len(sealed) < sealPrefix+aead.NonceSize() {
			return ErrSealed
		}
		nonce, body := sealed[sealPrefix:sealPrefix+aead.NonceSize()], sealed[sealPrefix+aead.NonceSize():]
		if plain, err = aead.Open(nil, nonce, body, join(sealed[:sealPrefix], aad)); err != nil {
			return ErrSealed
		}
		return nil
	}, FieldEncryption)
	return plain, err
}

// Index returns the blind index (盲索引, 32 bytes) of a value: the HMAC-SM3 under
// the key INDEX, by which equal values are found without deciphering any. The
// purpose (for example the column) is bound to it, so that equal values in two
// columns do not show as equal. The caller normalises the value, and says under
// which version of the key: an index does not tell, and equal values have equal
// indexes under one version only.
func (k *Keeper) Index(ctx context.Context, version int, purpose string, value []byte) ([]byte, error) {
	var index []byte
	err := k.use(ctx, Key{Name: IndexKey, Version: version}, func(_ Algorithm, key []byte) error {
		length := binary.BigEndian.AppendUint32(nil, uint32(len(purpose)))
		index = hmacSM3(key, length, []byte(purpose), value)
		return nil
	}, BlindIndex)
	return index, err
}
