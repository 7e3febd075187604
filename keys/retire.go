package keys

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Unused proves that nothing is sealed under a version of the key DATA: nil, or
// ErrInUse for what there is.
type Unused func(ctx context.Context, version int) error

// DestroyAfter is how long a version of the key DATA stays retired, and can be
// taken back, before it may be destroyed. No transaction lasts as long.
const DestroyAfter = 24 * time.Hour

// Retire ends an old version of the key DATA (停用旧数据密钥) once unused has
// proved that nothing is sealed under it: ErrInUse otherwise, and for the version
// that new data gets. [Keeper.SetLife] with the status Field takes it back.
func (k *Keeper) Retire(ctx context.Context, version int, unused Unused) error {
	if err := k.superseded(version); err != nil {
		return err
	}
	if err := unused(ctx, version); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	present, err := k.data(version)
	if err != nil {
		return err
	}
	return k.relive(present, Life{Status: Retired, From: present.From, Until: k.now().UTC().Truncate(time.Second)})
}

// Destroy removes a version of the key DATA that has been retired for
// [DestroyAfter] from the file (销毁), once unused has proved again that nothing
// is sealed under it; ErrInUse otherwise. Copies of the file still have it.
func (k *Keeper) Destroy(ctx context.Context, version int, unused Unused) error {
	if err := k.superseded(version); err != nil {
		return err
	}
	if err := unused(ctx, version); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	present, err := k.data(version)
	if err != nil {
		return err
	}
	if present.Status != Retired || k.now().Before(present.Until.Add(DestroyAfter)) {
		return fmt.Errorf("停用满 %.0f 小时后才可销毁 it must have been retired for so many hours: %w", DestroyAfter.Hours(), keyError(DataKey, version, ErrInUse))
	}
	next := *k.doc
	next.Keys = slices.DeleteFunc(slices.Clone(k.doc.Keys), present.replaces)
	if err := k.commit(&next); err != nil {
		return err
	}
	k.keys[DataKey] = slices.DeleteFunc(slices.Clone(k.keys[DataKey]), func(h *held) bool { return h == present })
	return nil
}

// data returns a version of the key DATA. The caller holds the lock.
func (k *Keeper) data(version int) (*held, error) {
	at := slices.IndexFunc(k.keys[DataKey], func(h *held) bool { return h.Version == version })
	if at < 0 {
		return nil, keyError(DataKey, version, ErrNoKey)
	}
	return k.keys[DataKey][at], nil
}

// superseded refuses a version that is not older than the one for new data.
func (k *Keeper) superseded(version int) error {
	current, err := k.Current(DataKey)
	if err == nil && version >= current {
		return keyError(DataKey, version, ErrInUse)
	}
	return err
}
