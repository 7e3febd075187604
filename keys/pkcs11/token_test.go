package pkcs11_test

import (
	"context"
	"encoding/hex"
	"testing"
	"time"

	p11 "github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"onecard/keys"
	"onecard/keys/keystest"
	"onecard/keys/pkcs11"
	"onecard/keys/pkcs11/pkcs11test"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	keystest.Run(t, keystest.Token(), func(t *testing.T, fixtures []keystest.Fixture) (keystest.Keeper, error) {
		return pkcs11test.Keeper(t, fixtures)
	})
}

func morning() time.Time { return time.Date(2011, time.April, 14, 9, 0, 0, 0, time.UTC) }

// opened makes a token and opens it.
func opened(t *testing.T) (pkcs11test.Token, *pkcs11.Keeper) {
	t.Helper()
	token := pkcs11test.New(t)
	keeper, err := token.Open(t, pkcs11test.PIN, pkcs11.Config{Now: morning})
	require.NoError(t, err)
	return token, keeper
}

var irk = keys.Spec{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.TripleDES, Depth: 2}

func TestHierarchy(t *testing.T) {
	t.Parallel()
	token, keeper := opened(t)
	specs := pkcs11.Hierarchy()
	names := map[string]keys.Usage{}
	for _, spec := range specs {
		names[spec.Name] = spec.Usage
	}
	require.Len(t, names, len(specs), "names are unique")
	require.Equal(t, keys.FieldEncryption, names[keys.DataKey])
	require.Equal(t, keys.BlindIndex, names[keys.IndexKey])
	require.NoError(t, keeper.Add(specs...))
	require.NoError(t, keeper.Add(specs...), "keys that are there stay")
	list := keeper.Keys()
	require.Len(t, list, len(specs))
	for _, info := range list {
		require.Equal(t, 1, info.Version)
		require.Equal(t, morning(), info.Created)
		require.Len(t, info.CheckValue, 6)
	}
	require.NoError(t, keeper.Close())
	reopened, err := token.Open(t, pkcs11test.PIN, pkcs11.Config{})
	require.NoError(t, err)
	require.Equal(t, list, reopened.Keys())
	require.NoError(t, reopened.Close())
}

func TestRefusesKeys(t *testing.T) {
	t.Parallel()
	_, keeper := opened(t)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	with := func(change func(*keys.Spec)) keys.Spec {
		spec := irk
		change(&spec)
		return spec
	}
	for name, test := range map[string]struct {
		spec keys.Spec
		want error
	}{
		"SM4":            {with(func(s *keys.Spec) { s.Algorithm = keys.SM4 }), keys.ErrAlgorithm},
		"master":         {with(func(s *keys.Spec) { s.Usage = keys.Master }), keys.ErrAlgorithm},
		"unknown usage":  {with(func(s *keys.Spec) { s.Usage = "everything" }), keys.ErrAlgorithm},
		"name":           {with(func(s *keys.Spec) { s.Name = "irk" }), keys.ErrInput},
		"depth":          {with(func(s *keys.Spec) { s.Depth = 3 }), keys.ErrInput},
		"negative depth": {with(func(s *keys.Spec) { s.Depth = -1 }), keys.ErrInput},
		"data depth":     {keys.Spec{Name: keys.DataKey, Usage: keys.FieldEncryption, Algorithm: pkcs11.AES256, Depth: 1}, keys.ErrInput},
	} {
		require.ErrorIs(t, keeper.Add(test.spec), test.want, name)
	}
	require.ErrorContains(t, keeper.Add(keys.Spec{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4}), "SM4")
	require.ErrorIs(t, keeper.Import(irk, 0, make([]byte, 16)), keys.ErrInput)
	require.ErrorIs(t, keeper.Import(irk, 255, make([]byte, 16)), keys.ErrInput)
	require.ErrorIs(t, keeper.Import(irk, 1, make([]byte, 15)), keys.ErrInput)
	require.Empty(t, keeper.Keys())

	require.NoError(t, keeper.Import(irk, 254, make([]byte, 16)))
	require.ErrorIs(t, keeper.Import(irk, 254, make([]byte, 16)), keys.ErrExists)
	require.ErrorIs(t, keeper.Add(with(func(s *keys.Spec) { s.Usage = keys.Maintenance })), keys.ErrExists)
	_, err := keeper.Rotate("IRK")
	require.ErrorIs(t, err, keys.ErrExists)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	token := pkcs11test.New(t)
	_, err := token.Open(t, "wrong", pkcs11.Config{})
	require.ErrorIs(t, err, pkcs11.ErrToken)
	require.ErrorIs(t, err, p11.Error(p11.CKR_PIN_INCORRECT))
	_, err = token.Open(t, pkcs11test.PIN, pkcs11.Config{Token: "another"})
	require.ErrorIs(t, err, pkcs11.ErrNoToken)
	_, err = pkcs11.Open(pkcs11.Config{Module: t.TempDir() + "/none.so", Token: "x"}, "")
	require.ErrorIs(t, err, pkcs11.ErrModule)
}

// The token itself, asked past the keeper, gives no key out and lets none be
// used for anything else.
func TestObjects(t *testing.T) {
	t.Parallel()
	_, keeper := opened(t)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	require.NoError(t, keeper.Import(irk, 3, []byte("0123456789abcdef")))
	require.NoError(t, keeper.Add(pkcs11.Hierarchy()...))
	pkcs11.Past(t, keeper, func(api *p11.Ctx, session p11.SessionHandle) {
		require.NoError(t, api.FindObjectsInit(session, []*p11.Attribute{p11.NewAttribute(p11.CKA_LABEL, "IRK/3")}))
		found, _, err := api.FindObjects(session, 2)
		require.NoError(t, err)
		require.NoError(t, api.FindObjectsFinal(session))
		require.Len(t, found, 1)
		_, err = api.GetAttributeValue(session, found[0], []*p11.Attribute{p11.NewAttribute(p11.CKA_VALUE, nil)})
		require.ErrorIs(t, err, p11.Error(p11.CKR_ATTRIBUTE_SENSITIVE))
		for _, change := range []*p11.Attribute{p11.NewAttribute(p11.CKA_EXTRACTABLE, true), p11.NewAttribute(p11.CKA_SENSITIVE, false), p11.NewAttribute(p11.CKA_ENCRYPT, true)} {
			require.Error(t, api.SetAttributeValue(session, found[0], []*p11.Attribute{change}))
		}
		require.Error(t, api.EncryptInit(session, []*p11.Mechanism{p11.NewMechanism(p11.CKM_DES3_ECB, nil)}, found[0]))
	})
}

// What was derived on the way is gone afterwards, also after a refusal.
func TestNothingStaysInTheSession(t *testing.T) {
	t.Parallel()
	_, keeper := opened(t)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	stk := keys.Spec{Name: "STK", Usage: keys.Maintenance, Algorithm: keys.TripleDES, Depth: 2}
	require.NoError(t, keeper.Add(stk))
	card := keys.Key{Name: "STK", Factors: [][]byte{make([]byte, 8), make([]byte, 8)}}
	_, err := keeper.CommandMAC(t.Context(), card, make([]byte, 8), make([]byte, 5))
	require.NoError(t, err)
	_, err = keeper.PINBlock(t.Context(), card, make([]byte, 8), []byte{0x84, 0x24, 0, 1, 0}, "123456")
	require.ErrorIs(t, err, keys.ErrInput)
	pkcs11.Past(t, keeper, func(api *p11.Ctx, session p11.SessionHandle) {
		require.NoError(t, api.FindObjectsInit(session, nil))
		found, _, err := api.FindObjects(session, 10)
		require.NoError(t, err)
		require.NoError(t, api.FindObjectsFinal(session))
		require.Len(t, found, 1)
	})
}

// Another application's objects are left alone; a key of ours that could be
// read out is not used.
func TestStrangeObjects(t *testing.T) {
	t.Parallel()
	token, keeper := opened(t)
	require.NoError(t, keeper.Import(irk, 1, make([]byte, 16)))
	plant := func(id string, extractable bool) {
		pkcs11.Past(t, keeper, func(api *p11.Ctx, session p11.SessionHandle) {
			_, err := api.CreateObject(session, []*p11.Attribute{
				p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_DES2), p11.NewAttribute(p11.CKA_TOKEN, true),
				p11.NewAttribute(p11.CKA_PRIVATE, true), p11.NewAttribute(p11.CKA_SENSITIVE, !extractable), p11.NewAttribute(p11.CKA_EXTRACTABLE, extractable),
				p11.NewAttribute(p11.CKA_LABEL, "STK/1"), p11.NewAttribute(p11.CKA_ID, []byte(id)), p11.NewAttribute(p11.CKA_VALUE, make([]byte, 16)),
			})
			require.NoError(t, err)
		})
		require.NoError(t, keeper.Close())
	}
	plant("another application", true)
	keeper, err := token.Open(t, pkcs11test.PIN, pkcs11.Config{})
	require.NoError(t, err)
	require.Len(t, keeper.Keys(), 1)

	plant(`{"format":"onecard-key/1","spec":{"name":"STK","usage":"maintenance","algorithm":"3DES","depth":2},"version":1}`, true)
	_, err = token.Open(t, pkcs11test.PIN, pkcs11.Config{})
	require.ErrorIs(t, err, pkcs11.ErrExposed)
	require.ErrorContains(t, err, "STK")
}

// A token that goes away is noticed, and says so to whoever runs the keeper.
func TestLost(t *testing.T) {
	t.Parallel()
	token, keeper := opened(t)
	require.NoError(t, keeper.Add(pkcs11.Hierarchy()...))
	sealed, err := keeper.Seal(t.Context(), nil, []byte("x"))
	require.NoError(t, err)
	pkcs11.CloseSessions(t, keeper)
	select {
	case <-keeper.Lost():
		require.Fail(t, "nobody has asked yet")
	default:
	}
	_, err = keeper.Open(t.Context(), nil, sealed)
	require.ErrorIs(t, err, pkcs11.ErrToken)
	require.NotErrorIs(t, err, keys.ErrSealed)
	<-keeper.Lost()
	require.NoError(t, keeper.Close())
	reopened, err := token.Open(t, pkcs11test.PIN, pkcs11.Config{})
	require.NoError(t, err)
	plain, err := reopened.Open(t.Context(), nil, sealed)
	require.NoError(t, err)
	require.Equal(t, "x", string(plain))
	require.NoError(t, reopened.Close())
}

// Whoever waits for a session goes when the caller does.
func TestWaitsForASessionNoLongerThanTheCaller(t *testing.T) {
	t.Parallel()
	token := pkcs11test.New(t)
	keeper, err := token.Open(t, pkcs11test.PIN, pkcs11.Config{Sessions: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	require.NoError(t, keeper.Import(keys.Spec{Name: "FLAT", Usage: keys.Authentication, Algorithm: keys.TripleDES}, 1, make([]byte, 16)))
	pkcs11.Past(t, keeper, func(*p11.Ctx, p11.SessionHandle) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := keeper.Cryptogram(ctx, keys.Key{Name: "FLAT"}, make([]byte, 8), make([]byte, 8))
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	auth, err := keeper.Cryptogram(t.Context(), keys.Key{Name: "FLAT"}, make([]byte, 8), make([]byte, 8))
	require.NoError(t, err)
	require.Len(t, hex.EncodeToString(auth), 16)
}
