package keystest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// rules is what holds for any algorithm.
type rules struct {
	can       Capabilities
	algorithm keys.Algorithm
	keeper    Keeper
	fixtures  []Fixture
}

func newRules(can Capabilities, algorithm keys.Algorithm, keeper Keeper) rules {
	fixtures := sm4Fixtures()
	if algorithm == keys.TripleDES {
		fixtures = desFixtures()
	}
	taken, _ := can.split(fixtures)
	return rules{can, algorithm, keeper, append(taken, can.vaultFixtures(1)...)}
}

// operation is one use of a key, correct but for the key.
type operation struct {
	name    string
	allowed []keys.Usage
	run     func(ctx context.Context, keeper Keeper, key keys.Key) error
}

// blockSize returns the block of a chip's cipher.
func blockSize(algorithm keys.Algorithm) int {
	if algorithm == keys.TripleDES {
		return 8
	}
	return 16
}

// loadHeader is the header of a key load.
func loadHeader(algorithm keys.Algorithm) []byte {
	size := blockSize(algorithm)
	return []byte{0x84, 0xD4, 0, 0, byte((20/size+1)*size + 4)}
}

// reload is the header of a PIN reload.
func (r rules) reload() []byte { return []byte{0x84, 0x24, 0, 1, byte(blockSize(r.algorithm) + 4)} }

// operations lists the uses of a named key that the keeper has keys for.
func (r rules) operations() []operation {
	eight, iv, finish := make([]byte, 8), make([]byte, blockSize(r.algorithm)), []byte{0x84, 0xF0, 0, 0, 4}
	list := []operation{
		{"Cryptogram", []keys.Usage{keys.Authentication}, func(ctx context.Context, keeper Keeper, key keys.Key) error {
			_, err := keeper.Cryptogram(ctx, key, eight, eight)
			return err
		}},
		{"CommandMAC", []keys.Usage{keys.Maintenance}, func(ctx context.Context, keeper Keeper, key keys.Key) error {
			_, err := keeper.CommandMAC(ctx, key, eight, finish)
			return err
		}},
		{"PINBlock", []keys.Usage{keys.Maintenance}, func(ctx context.Context, keeper Keeper, key keys.Key) error {
			_, err := keeper.PINBlock(ctx, key, eight, r.reload(), "123456")
			return err
		}},
		{"CipherCommand", []keys.Usage{keys.Maintenance}, func(ctx context.Context, keeper Keeper, key keys.Key) error {
			_, err := keeper.CipherCommand(ctx, key, eight, r.reload(), eight[:3])
			return err
		}},
		{"TransactionMAC", []keys.Usage{keys.Debit}, func(ctx context.Context, keeper Keeper, key keys.Key) error {
			_, err := keeper.TransactionMAC(ctx, key, eight, finish)
			return err
		}},
	}
	if !r.can.can(r.algorithm, keys.Master) {
		return list
	}
	return append(list, []operation{
		{"WrapKey under", []keys.Usage{keys.Master, keys.Transport}, func(ctx context.Context, keeper Keeper, key keys.Key) error {
			_, _, err := keeper.WrapKey(ctx, key, flat("FLAT"), [3]byte{}, loadHeader(r.algorithm), iv)
			return err
		}},
		{"WrapKey target", []keys.Usage{keys.Authentication, keys.Maintenance, keys.Master, keys.Debit}, func(ctx context.Context, keeper Keeper, key keys.Key) error {
			_, _, err := keeper.WrapKey(ctx, flat("MK"), key, [3]byte{}, loadHeader(r.algorithm), iv)
			return err
		}},
		{"DirectMAC", []keys.Usage{keys.CheckCode, keys.Master, keys.Transport}, func(ctx context.Context, keeper Keeper, key keys.Key) error {
			_, err := keeper.DirectMAC(ctx, key, iv, finish)
			return err
		}},
		{"DirectMAC long", []keys.Usage{keys.CheckCode}, func(ctx context.Context, keeper Keeper, key keys.Key) error {
			_, err := keeper.DirectMAC(ctx, key, iv, make([]byte, 12))
			return err
		}},
	}...)
}

// complete names a key of the suite with as many factors as its depth.
func complete(f Fixture) keys.Key {
	key := keys.Key{Name: f.Spec.Name, Version: f.Version}
	for range f.Spec.Depth {
		key.Factors = append(key.Factors, []byte("330100sx"))
	}
	return key
}

// testUsages tries every use with every key: one key, one purpose.
func (r rules) testUsages(t *testing.T) {
	keeper := r.keeper
	for _, op := range r.operations() {
		for _, f := range r.fixtures {
			err := op.run(t.Context(), keeper, complete(f))
			allowed := false
			for _, usage := range op.allowed {
				allowed = allowed || usage == f.Spec.Usage
			}
			if allowed {
				require.NoError(t, err, "%s with %s", op.name, f.Spec.Name)
				continue
			}
			require.ErrorIs(t, err, keys.ErrWrongUsage, "%s with %s", op.name, f.Spec.Name)
			require.ErrorContains(t, err, f.Spec.Name)
		}
	}
}

// testNames: unknown names and versions, wrong factors, versions.
func (r rules) testNames(t *testing.T) {
	keeper := r.keeper
	for _, key := range []keys.Key{{Name: "NONE", Version: 1}, {Name: "IRK", Version: 3, Factors: factors(t)}, {}} {
		for _, op := range r.operations() {
			err := op.run(t.Context(), keeper, key)
			require.ErrorIs(t, err, keys.ErrNoKey, op.name)
			require.ErrorContains(t, err, key.Name)
			require.ErrorContains(t, err, fmt.Sprint(key.Version))
		}
		_, _, err := keeper.CheckValue(t.Context(), key)
		require.ErrorIs(t, err, keys.ErrNoKey)
	}
	full := factors(t)
	for _, wrong := range [][][]byte{nil, full[:1], append(full, full[0]), {full[0], full[1][:7]}, {full[0], append(full[1], 0)}} {
		_, err := keeper.Cryptogram(t.Context(), keys.Key{Name: "IRK", Version: 1, Factors: wrong}, make([]byte, 8), make([]byte, 8))
		require.ErrorIs(t, err, keys.ErrFactors)
		// Above all the province's own key is never wrapped out.
		data, _, err := keeper.WrapKey(t.Context(), flat("MK"), keys.Key{Name: "IRK", Version: 1, Factors: wrong}, [3]byte{}, loadHeader(r.algorithm), make([]byte, blockSize(r.algorithm)))
		if r.can.can(r.algorithm, keys.Master) {
			require.ErrorIs(t, err, keys.ErrFactors)
		} else {
			require.Error(t, err)
		}
		require.Nil(t, data)
	}
	_, _, err := keeper.CheckValue(t.Context(), keys.Key{Name: "IRK", Version: 1, Factors: append(full, full[0])})
	require.ErrorIs(t, err, keys.ErrFactors)

	auth := func(version int) []byte {
		out, err := keeper.Cryptogram(t.Context(), keys.Key{Name: "IRK", Version: version, Factors: full}, make([]byte, 8), make([]byte, 8))
		require.NoError(t, err)
		return out
	}
	require.NotEqual(t, auth(1), auth(2))
	require.Equal(t, auth(2), auth(0), "version 0 is the current one")
}

// testLengths refuses arguments of the wrong form without repeating a PIN.
func (r rules) testLengths(t *testing.T) {
	ctx, keeper, eight, iv := t.Context(), r.keeper, make([]byte, 8), make([]byte, blockSize(r.algorithm))
	refused := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, keys.ErrInput)
	}
	for _, wrong := range [][]byte{nil, make([]byte, 7), make([]byte, 9), make([]byte, 16)} {
		_, err := keeper.Cryptogram(ctx, flat("FLAT"), wrong, eight)
		refused(err)
		_, err = keeper.Cryptogram(ctx, flat("FLAT"), eight, wrong)
		refused(err)
		_, err = keeper.CommandMAC(ctx, flat("FLATSTK"), wrong, make([]byte, 5))
		refused(err)
		_, err = keeper.PINBlock(ctx, flat("FLATSTK"), wrong, r.reload(), "123456")
		refused(err)
	}
	_, err := keeper.CommandMAC(ctx, flat("FLATSTK"), eight, make([]byte, 4))
	refused(err)
	headers := [][]byte{nil, {0x84, 0x24, 0, 1}, {0x84, 0x24, 0, 1, 0x0B}, append(r.reload(), 0)}
	for _, header := range headers {
		_, err := keeper.PINBlock(ctx, flat("FLATSTK"), eight, header, "123456")
		refused(err)
	}
	for _, pin := range []string{"", "12", "12345", "12345678901234", "12345A", "１２３４", "-12345"} {
		_, err := keeper.PINBlock(ctx, flat("FLATSTK"), eight, r.reload(), pin)
		refused(err)
		if len(pin) > 2 {
			require.NotContains(t, err.Error(), pin)
		}
	}
	if !r.can.can(r.algorithm, keys.Master) {
		return
	}
	for _, header := range headers {
		_, _, err = keeper.WrapKey(ctx, flat("MK"), flat("FLAT"), [3]byte{}, header, iv)
		refused(err)
	}
	for _, wrong := range [][]byte{nil, iv[1:], append(iv, 0)} {
		_, _, err := keeper.WrapKey(ctx, flat("MK"), flat("FLAT"), [3]byte{}, loadHeader(r.algorithm), wrong)
		refused(err)
		_, err = keeper.DirectMAC(ctx, flat("CHECK"), wrong, eight)
		refused(err)
	}
}

// testCancelled: nothing is computed for a caller who has gone.
func (r rules) testCancelled(t *testing.T) {
	keeper := r.keeper
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, op := range r.operations() {
		for _, f := range r.fixtures {
			require.ErrorIs(t, op.run(ctx, keeper, complete(f)), context.Canceled, op.name)
		}
	}
	_, _, err := keeper.CheckValue(ctx, flat("FLAT"))
	require.ErrorIs(t, err, context.Canceled)
	_, err = keeper.Seal(ctx, nil, nil)
	require.ErrorIs(t, err, context.Canceled)
	_, err = keeper.Index(ctx, 1, "", nil)
	require.ErrorIs(t, err, context.Canceled)
}

// testConcurrent: the same answers when many ask at once.
func (r rules) testConcurrent(t *testing.T) {
	keeper := r.keeper
	const callers = 8
	r1, r2 := unhex(t, "1122334455667788"), unhex(t, "8877665544332211")
	want, err := keeper.Cryptogram(t.Context(), flat("FLAT"), r1, r2)
	require.NoError(t, err)
	answers := make([][]byte, callers)
	errs := make([]error, callers)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			for range 50 {
				if answers[i], errs[i] = keeper.Cryptogram(t.Context(), flat("FLAT"), r1, r2); errs[i] != nil {
					return
				}
				sealed, err := keeper.Seal(t.Context(), nil, r1)
				if err == nil {
					_, err = keeper.Open(t.Context(), nil, sealed)
				}
				if errs[i] = err; err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	for i := range callers {
		require.NoError(t, errs[i])
		require.Equal(t, want, answers[i])
	}
}
