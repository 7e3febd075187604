package keystest

import (
	"context"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// Chip is what chip operations ask of a keeper.
type Chip interface {
	Cryptogram(ctx context.Context, key keys.Key, r1, r2 []byte) ([]byte, error)
	CommandMAC(ctx context.Context, key keys.Key, r, message []byte) ([]byte, error)
	PINBlock(ctx context.Context, key keys.Key, r, header []byte, pin string) ([]byte, error)
	WrapKey(ctx context.Context, under, target keys.Key, attributes [3]byte, header, iv []byte) (data, next []byte, err error)
	DirectMAC(ctx context.Context, key keys.Key, iv, message []byte) ([]byte, error)
}

// Vault is what protects personal data.
type Vault interface {
	Seal(ctx context.Context, aad, plain []byte) ([]byte, error)
	Open(ctx context.Context, aad, sealed []byte) ([]byte, error)
	Index(ctx context.Context, purpose string, value []byte) ([]byte, error)
}

// Keeper is a keeper under test.
type Keeper interface {
	Chip
	Vault
	CheckValue(ctx context.Context, key keys.Key) (kcv []byte, method string, err error)
}

// Fixture is one version of a key that the keeper under test must hold.
type Fixture struct {
	Spec    keys.Spec
	Version int
	// Value is the key in the clear.
	Value []byte
}

// Open prepares a keeper that holds exactly the fixtures; what it needs to
// clean up it gives to t.Cleanup.
type Open func(t *testing.T, fixtures []Fixture) Keeper

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

// sm4Fixtures are the keys of the SM4 suite.
func sm4Fixtures() []Fixture {
	return []Fixture{
		fixture("ZERO", 1, keys.Authentication, keys.SM4, 0, zeroKey),
		fixture("FLAT", 1, keys.Authentication, keys.SM4, 0, testKey),
		fixture("LEAF", 1, keys.Authentication, keys.SM4, 0, testKeySM4Card),
		fixture("IRK", 1, keys.Authentication, keys.SM4, 2, testKey),
		fixture("IRK", 2, keys.Authentication, keys.SM4, 2, otherKey),
		fixture("FLATSTK", 1, keys.Maintenance, keys.SM4, 0, testKey),
		fixture("STK", 1, keys.Maintenance, keys.SM4, 2, otherKey),
		fixture("MK", 1, keys.Master, keys.SM4, 0, otherKey),
		fixture("TRANSPORT", 1, keys.Transport, keys.SM4, 1, testKey),
		fixture("CHECK", 1, keys.CheckCode, keys.SM4, 0, testKey),
		fixture(keys.DataKey, 1, keys.FieldEncryption, keys.SM4, 0, testKey),
		fixture(keys.IndexKey, 1, keys.BlindIndex, keys.HMACSM3, 0, testKey+otherKey),
	}
}

// desFixtures are the keys of the 3DES suite.
func desFixtures() []Fixture {
	return []Fixture{
		fixture("ZERO", 1, keys.Authentication, keys.TripleDES, 0, zeroKey),
		fixture("FLAT", 1, keys.Authentication, keys.TripleDES, 0, testKey),
		fixture("LEAF", 1, keys.Authentication, keys.TripleDES, 0, testKeyDESCard),
		fixture("IRK", 1, keys.Authentication, keys.TripleDES, 2, testKey),
		fixture("FLATSTK", 1, keys.Maintenance, keys.TripleDES, 0, testKey),
		fixture("MK", 1, keys.Master, keys.TripleDES, 0, otherKey),
		fixture("CHECK", 1, keys.CheckCode, keys.TripleDES, 0, testKey),
		fixture("SM4MK", 1, keys.Master, keys.SM4, 0, otherKey),
	}
}

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
