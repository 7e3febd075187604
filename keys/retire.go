package keys

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Unused proves that nothing stands under a version of the key DATA or INDEX:
// nil, or ErrInUse for what there is.
type Unused func(ctx context.Context, version int) error

// DestroyAfter is how long a version of such a key stays retired, and can be
// taken back, before it may be destroyed. No transaction lasts as long.
const DestroyAfter = 24 * time.Hour

// Retire ends an old version of the key DATA or INDEX (停用旧密钥) once unused has
// proved that nothing stands under it: ErrInUse otherwise, and for the version
// that new data gets. [Keeper.SetLife] takes it back. ErrWrongUsage for other
// keys, which end by SetLife.
func (k *Keeper) Retire(ctx context.Context, name string, version int, unused Unused) error {
	if err := k.superseded(name, version); err != nil {
		return err
	}
	if err := unused(ctx, version); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	present, err := k.resting(name, version)
	if err != nil {
		return err
	}
	return k.relive(present, Life{Status: Retired, From: present.From, Until: k.now().UTC().Truncate(time.Second)})
}

// Destroy removes a version of the key DATA or INDEX that has been retired for
// [DestroyAfter] from the file (销毁), once unused has proved again that nothing
// stands under it; ErrInUse otherwise. Copies of the file still have it.
func (k *Keeper) Destroy(ctx context.Context, name string, version int, unused Unused) error {
	if err := k.superseded(name, version); err != nil {
		return err
	}
	if err := unused(ctx, version); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	present, err := k.resting(name, version)
	if err != nil {
		return err
	}
	if present.Status != Retired || k.now().Before(present.Until.Add(DestroyAfter)) {
		return fmt.Errorf("停用满 %.0f 小时后才可销毁 it must have been retired for so many hours: %w", DestroyAfter.Hours(), keyError(name, version, ErrInUse))
	}
	next := *k.doc
	next.Keys = slices.DeleteFunc(slices.Clone(k.doc.Keys), present.replaces)
	if err := k.commit(&next); err != nil {
		return err
	}
	k.keys[name] = slices.DeleteFunc(slices.Clone(k.keys[name]), func(h *held) bool { return h == present })
	return nil
}

// resting returns a version of a key of data at rest. The caller holds the lock.
func (k *Keeper) resting(name string, version int) (*held, error) {
	at := slices.IndexFunc(k.keys[name], func(h *held) bool { return h.Version == version })
	if at < 0 {
		return nil, keyError(name, version, ErrNoKey)
	}
	return k.keys[name][at], nil
}

// superseded refuses a version that is not older than the one for new data, and
// keys of other things than data at rest.
func (k *Keeper) superseded(name string, version int) error {
	if name != DataKey && name != IndexKey {
		return keyError(name, version, ErrWrongUsage)
	}
	current, err := k.Current(name)
	if err == nil && version >= current {
		return keyError(name, version, ErrInUse)
	}
	return err
}
