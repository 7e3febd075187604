package keystest

import (
	"slices"

	"onecard/keys"
)

// Capabilities is what a keeper says that it can do. The suite holds it to all
// of it, and to refusing the rest.
type Capabilities struct {
	// Usages are the purposes of keys, by algorithm. Every keeper has one
	// algorithm for FieldEncryption and one for BlindIndex.
	Usages map[keys.Algorithm][]keys.Usage
	// Rotates: the keeper makes the next version of a key itself (Rotator).
	Rotates bool
}

// Rotator is a keeper that makes the next version of a key.
type Rotator interface {
	Rotate(name string) (version int, err error)
}

// can tells whether the keeper has keys of that usage and algorithm.
func (c Capabilities) can(algorithm keys.Algorithm, usage keys.Usage) bool {
	return slices.Contains(c.Usages[algorithm], usage)
}

// algorithm returns the one that the keeper has for a usage of personal data.
func (c Capabilities) algorithm(usage keys.Usage) keys.Algorithm {
	for algorithm := range c.Usages {
		if c.can(algorithm, usage) {
			return algorithm
		}
	}
	return ""
}

// split sorts fixtures into those that the keeper takes and those that it
// refuses.
func (c Capabilities) split(fixtures []Fixture) (taken, refused []Fixture) {
	for _, f := range fixtures {
		if c.can(f.Spec.Algorithm, f.Spec.Usage) {
			taken = append(taken, f)
		} else {
			refused = append(refused, f)
		}
	}
	return taken, refused
}

// vaultFixtures are the keys of personal data, in the keeper's algorithms, with
// as many versions of DATA as said.
func (c Capabilities) vaultFixtures(versions int) []Fixture {
	data, index := c.algorithm(keys.FieldEncryption), c.algorithm(keys.BlindIndex)
	fixtures := []Fixture{fixture(keys.IndexKey, 1, keys.BlindIndex, index, 0, testKey+otherKey)}
	for i, value := range []string{testKey + otherKey, otherKey + testKey}[:versions] {
		if data == keys.SM4 {
			value = value[:len(testKey)]
		}
		fixtures = append(fixtures, fixture(keys.DataKey, i+1, keys.FieldEncryption, data, 0, value))
	}
	return fixtures
}

// Software says what the software keeper can do.
func Software() Capabilities {
	return Capabilities{Rotates: true, Usages: map[keys.Algorithm][]keys.Usage{
		keys.SM4:       {keys.Authentication, keys.Maintenance, keys.Debit, keys.Master, keys.Transport, keys.CheckCode, keys.FieldEncryption},
		keys.TripleDES: {keys.Authentication, keys.Maintenance, keys.Debit, keys.Master, keys.Transport, keys.CheckCode, keys.Channel},
		keys.AES128:    {keys.Channel},
		keys.AES192:    {keys.Channel},
		keys.AES256:    {keys.Channel},
		keys.HMACSM3:   {keys.BlindIndex},
	}}
}

// Token says what a keeper over a PKCS#11 token can do.
func Token() Capabilities {
	return Capabilities{Rotates: true, Usages: map[keys.Algorithm][]keys.Usage{
		keys.TripleDES: {keys.Authentication, keys.Maintenance, keys.Debit},
		"AES-256":      {keys.FieldEncryption},
		"HMAC-SHA256":  {keys.BlindIndex},
	}}
}

// Remote says what a keeper with those capabilities can do for another process:
// the same, but making keys.
func (c Capabilities) Remote() Capabilities {
	c.Rotates = false
	return c
}
