package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// checkIndexes makes sure that there is a setting, and that the Vault has the
// keys of the versions that it names.
func (db *DB) checkIndexes(ctx context.Context) error {
	value, err := db.firstSetting(ctx, indexSetting, strconv.Itoa(firstIndex))
	if err != nil {
		return err
	}
	keys, err := parseIndexKeys(value)
	if err != nil {
		return err
	}
	for _, version := range []int{firstIndex, keys.write, keys.also} {
		if version == 0 {
			continue
		}
		if err := db.checkVersion(ctx, version); err != nil {
			return err
		}
	}
	return nil
}

// checkVersion compares a version of the key with the one that the database was
// first given under that number.
func (db *DB) checkVersion(ctx context.Context, version int) error {
	name := "vault-check"
	if version != firstIndex {
		name = fmt.Sprintf("vault-check-%d", version)
	}
	index, err := db.vault.Index(ctx, version, "vault-check", []byte("onecard"))
	if err != nil {
		return err
	}
	mark := hex.EncodeToString(index)
	value, err := db.firstSetting(ctx, name, mark)
	if err == nil && value != mark {
		err = ErrWrongVault
	}
	return err
}

// ErrIndexInUse: digests stand under the version, or may.
var ErrIndexInUse = errors.New("盲索引仍在使用此版本 digests stand under this version of the key of blind indexes")

// IndexUnused proves that no digest stands under a version of the key INDEX: nil,
// or ErrIndexInUse with what does. A change of the key ends only when a pass over
// all tables has found none.
func (db *DB) IndexUnused(ctx context.Context, version int) error {
	keys, err := settledIndexes(db.Read(ctx))
	if err != nil {
		return err
	}
	switch version {
	case keys.write, keys.also:
		return fmt.Errorf("%w: %d: onecard keys reindex", ErrIndexInUse, version)
	case firstIndex:
		return fmt.Errorf("%w: %d: %s", ErrIndexInUse, version, strings.Join(slices.Sorted(maps.Keys(RestingIndexes)), ", "))
	}
	return nil
}
