package keys

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// Keeper is the software keeper (软件密钥保管): it holds the keys of one sealed
// file in memory and computes with them. It is safe for concurrent use, and
// shows nothing of itself in any format.
type Keeper struct {
	masked
	path   string
	kek    KEK
	random io.Reader
	now    func() time.Time

	mu sync.RWMutex
	// doc is the file as last read or written; keys are its entries by name,
	// versions ascending.
	doc  *document
	keys map[string][]*held
	file refreshed
}

// held is one version of one key.
type held struct {
	masked
	entry
	value secret
}

// Option adjusts a keeper.
type Option func(*Keeper)

// WithRandom sets the source of keys and nonces (default crypto/rand.Reader).
// It must be safe for concurrent use and, outside tests, cryptographic.
func WithRandom(random io.Reader) Option { return func(k *Keeper) { k.random = random } }

// WithClock sets the clock that dates new keys (default time.Now).
func WithClock(now func() time.Time) Option { return func(k *Keeper) { k.now = now } }

// Create makes a new sealed key file with version 1 of every key described,
// but the maker's transport keys, which are imported. A file that exists is
// ErrExists.
func Create(path string, kek KEK, specs []Spec, options ...Option) (*Keeper, error) {
	k := newKeeper(path, kek, options)
	k.doc = &document{Format: documentFormat, Salt: make([]byte, 16), Keys: []entry{}}
	if _, err := io.ReadFull(k.random, k.doc.Salt); err != nil {
		return nil, fmt.Errorf("keys: random: %w", err)
	}
	if err := k.doc.sign(kek); err != nil {
		return nil, err
	}
	content, err := k.doc.encode()
	if err != nil {
		return nil, err
	}
	if err := writeNew(path, content); err != nil {
		return nil, err
	}
	return k, k.Add(specs...)
}

// Open opens a sealed key file and checks every key in it. ErrWrongKEK,
// ErrTampered, ErrFormat and ErrPermissions tell what is wrong.
func Open(path string, kek KEK, options ...Option) (*Keeper, error) {
	k := newKeeper(path, kek, options)
	k.file.due(time.Now())
	state, _ := os.Stat(path) // before it is read: what is written in between is read again
	content, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	if err := k.load(content); err != nil {
		return nil, fmt.Errorf("keys: %s: %w", path, err)
	}
	k.file.state = state
	return k, nil
}

// newKeeper returns a keeper without keys.
func newKeeper(path string, kek KEK, options []Option) *Keeper {
	k := &Keeper{path: path, kek: kek, random: rand.Reader, now: time.Now, keys: map[string][]*held{}}
	for _, option := range options {
		option(k)
	}
	return k
}

// load fills an empty keeper from the content of its file.
func (k *Keeper) load(content []byte) error {
	doc, err := parseDocument(content)
	if err != nil {
		return err
	}
	if err := doc.verify(k.kek); err != nil {
		return err
	}
	for _, e := range doc.Keys {
		value, err := e.unseal(k.kek, doc.Salt)
		if err != nil {
			return err
		}
		k.keys[e.Name] = append(k.keys[e.Name], &held{entry: e, value: hide(value)})
	}
	k.doc = doc
	return nil
}

// Add makes version 1 of each key described which the file does not have yet,
// but of the maker's transport keys; keys which are there with the same
// description stay as they are, with another description they are ErrExists.
func (k *Keeper) Add(specs ...Spec) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var added []*held
	defer func() { forget(added, k.keys) }()
	for _, spec := range specs {
		if err := spec.check(); err != nil {
			return err
		}
		if present := k.keys[spec.Name]; len(present) > 0 {
			if present[0].Spec != spec {
				return keyError(spec.Name, present[0].Version, ErrExists)
			}
			continue
		}
		if spec.Usage.imported() {
			continue
		}
		made, err := k.generate(spec, 1)
		if err != nil {
			return err
		}
		added = append(added, made)
	}
	return k.store(added)
}

// Rotate makes the next version of a key and returns its number (密钥轮换). The
// older versions stay: cards and data made with them need them. Keys of the
// maker are imported instead: ErrWrongUsage.
func (k *Keeper) Rotate(name string) (version int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	versions := k.keys[name]
	if len(versions) == 0 {
		return 0, keyError(name, 0, ErrNoKey)
	}
	last := versions[len(versions)-1]
	if last.Usage.imported() {
		return 0, keyError(name, last.Version, ErrWrongUsage)
	}
	if last.Version == maxVersion {
		return 0, keyError(name, last.Version, ErrExists)
	}
	next, err := k.generate(last.Spec, last.Version+1)
	if err != nil {
		return 0, err
	}
	added := []*held{next}
	defer func() { forget(added, k.keys) }()
	if err := k.store(added); err != nil {
		return 0, err
	}
	return next.Version, nil
}

// generate makes a random key, not yet stored.
func (k *Keeper) generate(spec Spec, version int) (*held, error) {
	value := make([]byte, spec.size())
	if _, err := io.ReadFull(k.random, value); err != nil {
		return nil, fmt.Errorf("keys: random: %w", err)
	}
	return k.hold(spec, version, value)
}

// hold seals a key, not yet stored. It keeps value.
func (k *Keeper) hold(spec Spec, version int, value []byte) (*held, error) {
	h := &held{
		entry: entry{Spec: spec, Version: version, Created: k.now().UTC().Truncate(time.Second)},
		value: hide(value),
	}
	if err := h.seal(k.kek, k.doc.Salt, value, k.random); err != nil {
		clear(value)
		return nil, err
	}
	return h, nil
}

// replaces tells whether the version takes the place of that one.
func (h *held) replaces(e entry) bool { return e.Name == h.Name && e.Version == h.Version }

// store writes the file with the keys added, or put in the place of what they
// were, and only then lets them be used.
// The caller holds the lock of the keeper.
func (k *Keeper) store(added []*held) error {
	if len(added) == 0 {
		return nil
	}
	next := *k.doc
	next.Keys = slices.Clone(k.doc.Keys)
	for _, h := range added {
		next.Keys = slices.DeleteFunc(next.Keys, h.replaces)
		next.Keys = append(next.Keys, h.entry)
	}
	slices.SortFunc(next.Keys, func(a, b entry) int {
		if before(a, b) {
			return -1
		}
		return 1
	})
	if err := k.commit(&next); err != nil {
		return err
	}
	for _, h := range added {
		versions := slices.DeleteFunc(slices.Clone(k.keys[h.Name]), func(present *held) bool { return h.replaces(present.entry) })
		versions = append(versions, h)
		slices.SortFunc(versions, func(a, b *held) int { return a.Version - b.Version })
		k.keys[h.Name] = versions
	}
	return nil
}

// commit signs and writes the document in the place of the present one.
func (k *Keeper) commit(next *document) error {
	if err := next.sign(k.kek); err != nil {
		return err
	}
	if err := k.write(next); err != nil {
		return err
	}
	k.doc = next
	return nil
}

// write replaces the file, unless another process wrote it in between.
func (k *Keeper) write(next *document) error {
	// What parses back is what Open will accept.
	content, err := next.encode()
	if err != nil {
		return err
	}
	if _, err := parseDocument(content); err != nil {
		return err
	}
	release, err := lock(k.path)
	if err != nil {
		return err
	}
	defer release()
	current, err := readPrivate(k.path)
	if err != nil {
		return err
	}
	expected, err := k.doc.encode()
	if err != nil {
		return err
	}
	if string(current) != string(expected) {
		return fmt.Errorf("keys: %s: %w", k.path, ErrChanged)
	}
	return replace(k.path, content)
}

// forget clears the keys of a change that was not stored.
func forget(added []*held, stored map[string][]*held) {
	for _, h := range added {
		if !slices.Contains(stored[h.Name], h) {
			clear(h.value())
		}
	}
}

// Info describes one version of a key, without the key.
type Info struct {
	Spec
	Life
	Version int       `json:"version"`
	Created time.Time `json:"created"`
	// CheckValue is the key check value in hexadecimal (CheckValue).
	CheckValue string `json:"checkValue"`
}

// Keys lists the keys by name and version.
func (k *Keeper) Keys() []Info {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var list []Info
	for _, name := range slices.Sorted(maps.Keys(k.keys)) {
		for _, h := range k.keys[name] {
			list = append(list, Info{Spec: h.Spec, Life: h.Life, Version: h.Version, Created: h.Created, CheckValue: h.CheckValue})
		}
	}
	return list
}

// derive returns a copy of the key, diversified; the caller clears it.
func (h *held) derive(factors [][]byte) ([]byte, error) {
	value := slices.Clone(h.value())
	for _, factor := range factors {
		if len(factor) != factorSize {
			clear(value)
			return nil, keyError(h.Name, h.Version, ErrFactors)
		}
		next, err := diversify(h.Algorithm, value, factor)
		clear(value)
		if err != nil {
			return nil, keyError(h.Name, h.Version, err)
		}
		value = next
	}
	return value, nil
}

// use lends compute the key that is named, diversified, if its usage is one of
// those allowed and all its factors are there, and clears it afterwards.
func (k *Keeper) use(ctx context.Context, key Key, compute func(Algorithm, []byte) error, allowed ...Usage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h, err := k.find(key)
	if err != nil {
		return err
	}
	if !slices.Contains(allowed, h.Usage) {
		return keyError(h.Name, h.Version, ErrWrongUsage)
	}
	factors, err := h.path(key.Factors)
	if err != nil {
		return keyError(h.Name, h.Version, err)
	}
	value, err := h.derive(factors)
	if err != nil {
		return err
	}
	defer clear(value)
	if err := compute(h.Algorithm, value); err != nil {
		return keyError(h.Name, h.Version, err)
	}
	return nil
}
