package keys

import (
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/emmansun/gmsm/sm3"
)

// Bulk is a [Vault] that takes many values in one call: the key is taken in
// hand once for all of them. The results are those of the single operations.
type Bulk interface {
	SealAll(ctx context.Context, aad, plain [][]byte) ([][]byte, error)
	OpenAll(ctx context.Context, aad, sealed [][]byte) ([][]byte, error)
	IndexAll(ctx context.Context, version int, purposes []string, values [][]byte) ([][]byte, error)
}

// InBulk returns a Vault as one for many values; of one that takes single
// values only, such as a token, each is its own call.
func InBulk(vault Vault) Bulk {
	if bulk, ok := vault.(Bulk); ok {
		return bulk
	}
	return oneByOne{vault}
}

type oneByOne struct{ vault Vault }

func (o oneByOne) SealAll(ctx context.Context, aad, plain [][]byte) ([][]byte, error) {
	return forAll(len(plain), len(aad), func(i int) ([]byte, error) { return o.vault.Seal(ctx, aad[i], plain[i]) })
}

func (o oneByOne) OpenAll(ctx context.Context, aad, sealed [][]byte) ([][]byte, error) {
	return forAll(len(sealed), len(aad), func(i int) ([]byte, error) { return o.vault.Open(ctx, aad[i], sealed[i]) })
}

func (o oneByOne) IndexAll(ctx context.Context, version int, purposes []string, values [][]byte) ([][]byte, error) {
	return forAll(len(values), len(purposes), func(i int) ([]byte, error) { return o.vault.Index(ctx, version, purposes[i], values[i]) })
}

func forAll(n, others int, do func(i int) ([]byte, error)) ([][]byte, error) {
	if n != others {
		return nil, InputError("values", fmt.Sprint(others))
	}
	results := make([][]byte, n)
	for i := range results {
		var err error
		if results[i], err = do(i); err != nil {
			return nil, fmt.Errorf("value %d: %w", i, err)
		}
	}
	return results, nil
}

// SealAll is [Keeper.Seal] for each value with its aad.
func (k *Keeper) SealAll(ctx context.Context, aad, plain [][]byte) (sealed [][]byte, err error) {
	version, err := k.Current(DataKey)
	if err != nil || len(plain) == 0 {
		return nil, err
	}
	err = k.use(ctx, Key{Name: DataKey, Version: version}, func(_ Algorithm, value []byte) error {
		aead, err := gcm(value)
		if err != nil {
			return err
		}
		nonces := make([]byte, aead.NonceSize()*len(plain))
		if _, err := io.ReadFull(k.random, nonces); err != nil {
			return fmt.Errorf("random: %w", err)
		}
		var bound []byte
		sealed, err = forAll(len(plain), len(aad), func(i int) ([]byte, error) {
			nonce := nonces[i*aead.NonceSize() : (i+1)*aead.NonceSize()]
			head := make([]byte, sealPrefix, sealPrefix+len(nonce)+len(plain[i])+aead.Overhead())
			head[0] = sealFormat
			binary.BigEndian.PutUint16(head[1:], uint16(version))
			bound = append(append(bound[:0], head...), aad[i]...)
			return aead.Seal(append(head, nonce...), nonce, plain[i], bound), nil
		})
		return err
	}, FieldEncryption)
	return sealed, err
}

// OpenAll is [Keeper.Open] for each value with its aad.
func (k *Keeper) OpenAll(ctx context.Context, aad, sealed [][]byte) ([][]byte, error) {
	opened := make([][]byte, len(sealed))
	byVersion := map[int][]int{}
	for i, value := range sealed {
		if len(value) < sealPrefix || value[0] != sealFormat || SealedVersion(value) == 0 || len(aad) != len(sealed) {
			return nil, fmt.Errorf("keys: value %d: %w", i, ErrSealed)
		}
		version := SealedVersion(value)
		byVersion[version] = append(byVersion[version], i)
	}
	for version, positions := range byVersion {
		err := k.use(ctx, Key{Name: DataKey, Version: version}, func(_ Algorithm, value []byte) error {
			aead, err := gcm(value)
			if err != nil {
				return err
			}
			return openEach(aead, positions, aad, sealed, opened)
		}, FieldEncryption)
		if err != nil {
			return nil, err
		}
	}
	return opened, nil
}

func openEach(aead cipher.AEAD, positions []int, aad, sealed, opened [][]byte) error {
	var bound []byte
	for _, i := range positions {
		head, rest := sealed[i][:sealPrefix], sealed[i][sealPrefix:]
		if len(rest) < aead.NonceSize() {
			return fmt.Errorf("value %d: %w", i, ErrSealed)
		}
		bound = append(append(bound[:0], head...), aad[i]...)
		plain, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], bound)
		if err != nil {
			return fmt.Errorf("value %d: %w", i, ErrSealed)
		}
		opened[i] = plain
	}
	return nil
}

// IndexAll is [Keeper.Index] for each value with its purpose.
func (k *Keeper) IndexAll(ctx context.Context, version int, purposes []string, values [][]byte) (indexes [][]byte, err error) {
	if len(values) == 0 {
		return nil, nil
	}
	err = k.use(ctx, Key{Name: IndexKey, Version: version}, func(_ Algorithm, key []byte) error {
		mac := hmac.New(sm3.New, key)
		var head []byte
		sums := make([]byte, 0, len(values)*sm3.Size)
		indexes, err = forAll(len(values), len(purposes), func(i int) ([]byte, error) {
			mac.Reset()
			head = append(binary.BigEndian.AppendUint32(head[:0], uint32(len(purposes[i]))), purposes[i]...)
			mac.Write(head)
			mac.Write(values[i])
			sums = mac.Sum(sums)
			return sums[len(sums)-sm3.Size : len(sums) : len(sums)], nil
		})
		return err
	}, BlindIndex)
	return indexes, err
}
