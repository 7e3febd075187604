package authentication

import (
	"fmt"
	"maps"
	"slices"

	"onecard/card/profile"
)

// Key is a key as the keeper is told of it: the same type as the keeper's own.
type Key = struct {
	Name    string   `json:"name"`
	Version int      `json:"version"`
	Factors [][]byte `json:"factors,omitempty"`
}

// keyTable knows the keys by name and by address (密钥地址).
type keyTable struct {
	addresses map[string]string // by name; empty for one without
	names     map[string]string // by address
	suffixes  map[string]string // of the keeper's names, by algorithm as requests have it
}

// newKeyTable makes the table from the profiles and from further addresses by
// name, the latter winning. An address of two keys is refused.
func newKeyTable(profiles []*profile.Profile, further ...map[string]string) (*keyTable, error) {
	t := &keyTable{addresses: map[string]string{}, names: map[string]string{}, suffixes: map[string]string{}}
	for _, p := range profiles {
		t.suffixes[algorithmOf(p)] = p.KeySuffix
		for _, scope := range p.Scopes {
			for _, key := range scope.Keys {
				if t.addresses[key.Name] == "" {
					t.addresses[key.Name] = key.Address
				}
			}
		}
	}
	for _, more := range further {
		maps.Copy(t.addresses, more)
	}
	for _, name := range slices.Sorted(maps.Keys(t.addresses)) {
		address := t.addresses[name]
		if other, taken := t.names[address]; taken && address != "" {
			return nil, fmt.Errorf("authentication: keys %s and %s have one address", other, name)
		}
		if address != "" {
			t.names[address] = name
		}
	}
	return t, nil
}

// algorithmOf returns a profile's algorithm as requests have it (算法标识).
func algorithmOf(p *profile.Profile) string {
	if p.Algorithm == profile.TripleDES {
		return algorithmDES
	}
	return algorithmSM4
}

// name returns the name of a key that is given by address or by name.
func (t *keyTable) name(given string) string {
	if name := t.names[given]; name != "" {
		return name
	}
	return given
}

// resolve is name for a request: it refuses what the table does not know.
func (t *keyTable) resolve(given string) (string, error) {
	name := t.name(given)
	address, known := t.addresses[name]
	switch {
	case !known:
		return "", invalid("key", "没有这个密钥或密钥地址", "no such key or key address")
	case address == "":
		return "", noAddress(name)
	}
	return name, nil
}
