package registry

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"fmt"
)

// Seal enciphers a value for a column of a row, such as
// ("persons.name_sealed", the person's id). It opens for the same column and
// row only.
func (db *DB) Seal(ctx context.Context, column, row string, plain []byte) ([]byte, error) {
	sealed, err := db.vault.Seal(ctx, sealContext(column, row), plain)
	if err != nil {
		return nil, fmt.Errorf("registry: seal %s: %w", column, err)
	}
	return sealed, nil
}

// Unseal deciphers what [DB.Seal] returned for the same column and row.
func (db *DB) Unseal(ctx context.Context, column, row string, sealed []byte) ([]byte, error) {
	plain, err := db.vault.Open(ctx, sealContext(column, row), sealed)
	if err != nil {
		return nil, fmt.Errorf("registry: unseal %s: %w", column, err)
	}
	return plain, nil
}

// Index returns the keyed digest by which equal values of a column are found.
func (db *DB) Index(ctx context.Context, column string, value []byte) ([]byte, error) {
	index, err := db.vault.Index(ctx, column, value)
	if err != nil {
		return nil, fmt.Errorf("registry: index %s: %w", column, err)
	}
	return index, nil
}

// sealContext joins column and row; a column's name has no zero byte.
func sealContext(column, row string) []byte { return []byte(column + "\x00" + row) }

// checkVault compares the Vault with the one that the database was made with:
// under other keys nothing would be found and nothing would open.
func (db *DB) checkVault(ctx context.Context) error {
	index, err := db.vault.Index(ctx, "vault-check", []byte("onecard"))
	if err != nil {
		return err
	}
	value, err := db.firstSetting(ctx, "vault-check", hex.EncodeToString(index))
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(value), []byte(hex.EncodeToString(index))) {
		return ErrWrongVault
	}
	return nil
}
