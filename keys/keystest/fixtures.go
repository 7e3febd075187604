package keystest

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// Keeper is a keeper under test.
type Keeper = keys.Service

// Chip is what chip operations ask of a keeper.
type Chip = keys.Chip

// Vault is what protects personal data.
type Vault = keys.Vault

// Fixture is one version of a key that the keeper under test must hold.
type Fixture struct {
	Spec    keys.Spec
	Version int
	// Value is the key in the clear.
	Value []byte
}

// Open prepares a keeper that holds exactly the fixtures; what it needs to
// clean up it gives to t.Cleanup. It returns the keeper's error if it will not
// have one of them.
type Open func(t *testing.T, fixtures []Fixture) (Keeper, error)

// must opens a keeper that has to take the fixtures.
func (open Open) must(t *testing.T, fixtures []Fixture) Keeper {
	t.Helper()
	keeper, err := open(t, fixtures)
	require.NoError(t, err)
	return keeper
}

// The keys of the published vectors.
const (
	zeroKey = "00000000000000000000000000000000"
	testKey = "00112233445566778899AABBCCDDEEFF"
	// otherKey differs, for second versions.
	otherKey = "0F1E2D3C4B5A69788796A5B4C3D2E1F0"
	// testKey diversified by "330100sx", then by 8665330100000001.
	testKeySM4Card = "175ADC97CC017809FE23ECF2B4DEE57B"
	testKeyDESCard = "5DED475310A8695C0F7DCFD35F191C23"
)

// fixture describes a key by its row.
func fixture(name string, version int, usage keys.Usage, algorithm keys.Algorithm, depth int, value string) Fixture {
	bytes, err := hex.DecodeString(value)
	if err != nil {
		bytes = nil // the keeper will refuse it
	}
	return Fixture{keys.Spec{Name: name, Usage: usage, Algorithm: algorithm, Depth: depth}, version, bytes}
}

// chipFixtures are the keys of the suite of one algorithm; leaf is testKey
// diversified to the card.
func chipFixtures(algorithm keys.Algorithm, leaf string) []Fixture {
	return []Fixture{
		fixture("ZERO", 1, keys.Authentication, algorithm, 0, zeroKey),
		fixture("FLAT", 1, keys.Authentication, algorithm, 0, testKey),
		fixture("LEAF", 1, keys.Authentication, algorithm, 0, leaf),
		fixture("IRK", 1, keys.Authentication, algorithm, 2, testKey),
		fixture("IRK", 2, keys.Authentication, algorithm, 2, otherKey),
		fixture("FLATSTK", 1, keys.Maintenance, algorithm, 0, testKey),
		fixture("FLATDPK", 1, keys.Debit, algorithm, 0, testKey),
		fixture("STK", 1, keys.Maintenance, algorithm, 2, otherKey),
		fixture("MK", 1, keys.Master, algorithm, 0, otherKey),
		fixture("TRANSPORT", 1, keys.Transport, algorithm, 1, testKey),
		fixture("CHECK", 1, keys.CheckCode, algorithm, 0, testKey),
	}
}

// sm4Fixtures are the keys of the SM4 suite.
func sm4Fixtures() []Fixture { return chipFixtures(keys.SM4, testKeySM4Card) }

// desFixtures are the keys of the 3DES suite.
func desFixtures() []Fixture { return chipFixtures(keys.TripleDES, testKeyDESCard) }

// unhex decodes a vector.
func unhex(t *testing.T, text string) []byte {
	t.Helper()
	value, err := hex.DecodeString(text)
	require.NoError(t, err)
	return value
}

// factors are those of the diversification vector.
func factors(t *testing.T) [][]byte {
	t.Helper()
	return [][]byte{[]byte("330100sx"), unhex(t, "8665330100000001")}
}

// flat names version 1 of a key that is used as it is.
func flat(name string) keys.Key { return keys.Key{Name: name, Version: 1} }
