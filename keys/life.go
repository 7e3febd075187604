package keys

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Status is what a version of a key is still for (密钥状态).
type Status string

// The statuses of a version.
const (
	// Active: for new cards and for cards in the field (启用).
	Active Status = ""
	// Field: only for cards, and data, that were made with it (仅用于在用卡).
	Field Status = "field"
	// Retired: for nothing any more (停用).
	Retired Status = "retired"
)

// Life says when and for what a version of a key is used.
type Life struct {
	Status Status `json:"status,omitempty"`
	// From is when new cards begin to get the version; zero is at once.
	From time.Time `json:"from,omitzero"`
	// Until is when the version retires by itself; zero is never.
	Until time.Time `json:"until,omitzero"`
}

// check reports what is wrong with the life of a key of that usage. The database
// says which version of the key of blind indexes is used: this only ends it.
func (l Life) check(usage Usage) error {
	if !slices.Contains([]Status{Active, Field, Retired}, l.Status) {
		return inputError("状态 status", "active, field, retired")
	}
	if !l.Until.IsZero() && !l.Until.After(l.From) {
		return inputError("until", "应晚于 must be after from")
	}
	if usage == BlindIndex && (l.Status == Field || !l.From.IsZero()) {
		return fmt.Errorf("盲索引密钥由 keys reindex 启用 which key of blind indexes is used, keys reindex says: %w", ErrWrongUsage)
	}
	return nil
}

// ends tells whether the version serves nothing from a day on.
func (l Life) ends() bool { return l.Status == Retired || !l.Until.IsZero() }

// whole cuts the times to seconds of UTC, as the file holds them.
func (l Life) whole() Life {
	for _, at := range []*time.Time{&l.From, &l.Until} {
		if !at.IsZero() {
			*at = at.UTC().Truncate(time.Second)
		}
	}
	return l
}

// current tells whether new cards get the version.
func (l Life) current(now time.Time) bool {
	return l.Status == Active && !now.Before(l.From) && !l.retired(now)
}

// retired tells whether nothing may use the version any more.
func (l Life) retired(now time.Time) bool {
	return l.Status == Retired || (!l.Until.IsZero() && !now.Before(l.Until))
}

// SetLife says what a version of a key is still for, from now on: ErrNoKey if
// there is no such version, ErrWrongUsage for what its usage does not allow,
// ErrNotActive if new personal data would have no key. Data at rest can be
// opened as long as it lies there: its key ends by [Keeper.Retire] alone. Other
// keepers of the same file see it within [Refresh].
func (k *Keeper) SetLife(name string, version int, life Life) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := slices.IndexFunc(k.keys[name], func(h *held) bool { return h.Version == version })
	if at < 0 {
		return keyError(name, version, ErrNoKey)
	}
	present := k.keys[name][at]
	life = life.whole()
	if err := life.check(present.Usage); err != nil {
		return keyError(name, version, err)
	}
	if (present.Usage == FieldEncryption || present.Usage == BlindIndex) && life.ends() {
		return fmt.Errorf("须证明无数据使用后才可停用 it retires when nothing stands under it: %w", keyError(name, version, ErrWrongUsage))
	}
	if present.Usage == FieldEncryption && !slices.ContainsFunc(k.keys[name], func(h *held) bool {
		return (h == present && life.current(k.now())) || (h != present && h.current(k.now()))
	}) {
		return keyError(name, version, ErrNotActive)
	}
	return k.relive(present, life)
}

// relive stores the version with another life.
func (k *Keeper) relive(present *held, life Life) error {
	if present.Life == life {
		return nil
	}
	changed := &held{entry: present.entry, value: present.value}
	changed.Life = life
	if err := changed.seal(k.kek, k.doc.Salt, present.value(), k.random); err != nil {
		return err
	}
	return k.store([]*held{changed})
}

// Current returns the version of a key that new cards get: the highest one
// that is active now. ErrNotActive says that there is none.
func (k *Keeper) Current(name string) (version int, err error) {
	h, err := k.find(Key{Name: name})
	if err != nil {
		return 0, err
	}
	return h.Version, nil
}

// find returns the version of the key that is named, for 0 the current one.
// A retired version is ErrRetired. One that is not known may have been made by
// another process just now.
func (k *Keeper) find(key Key) (*held, error) {
	if k.file.due(time.Now()) {
		k.refresh()
	}
	h, err := k.known(key)
	if errors.Is(err, ErrNoKey) && k.refresh() {
		return k.known(key)
	}
	return h, err
}

func (k *Keeper) known(key Key) (*held, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	now := k.now()
	versions := k.keys[key.Name]
	for _, h := range slices.Backward(versions) {
		switch {
		case key.Version == 0 && h.current(now):
			return h, nil
		case key.Version == 0 || key.Version != h.Version:
		case h.retired(now):
			return nil, keyError(key.Name, key.Version, ErrRetired)
		default:
			return h, nil
		}
	}
	if key.Version == 0 && len(versions) > 0 {
		return nil, keyError(key.Name, key.Version, ErrNotActive)
	}
	return nil, keyError(key.Name, key.Version, ErrNoKey)
}

// look returns the version of the key that is named whatever its life, for 0
// the current one or, if none is, the highest.
func (k *Keeper) look(key Key) (*held, error) {
	h, err := k.find(key)
	if err == nil {
		return h, nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, h := range slices.Backward(k.keys[key.Name]) {
		if key.Version == 0 || key.Version == h.Version {
			return h, nil
		}
	}
	return nil, err
}
