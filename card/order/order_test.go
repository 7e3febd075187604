package order_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/api/pki"
	"onecard/card"
	"onecard/card/order"
)

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// province is an authority with its certificate for orders.
func province(t testing.TB) (*tls.Certificate, order.Reader, *pki.Authority) {
	t.Helper()
	authority, err := pki.Open(filepath.Join(t.TempDir(), "pki"), nil, func() time.Time { return now })
	require.NoError(t, err)
	with, err := authority.Orders()
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(authority.CA()))
	return with, order.Reader{Roots: roots, Now: func() time.Time { return now }}, authority
}

var atr = []byte{0x3B, 0x6D, 0x00, 0x00, 0x81}

func sample() order.Order {
	return order.Order{
		Session: uuid.MustParse("01890000-0000-7000-8000-000000000001"), Seq: 3, ATR: "3B6D000081", NotAfter: now.Add(2 * time.Minute), Budget: 32,
		Steps: []card.Step{{Command: apdu.Command{INS: 0xB2, P1: 1, P2: 0x2C, Ne: 256}, Accept: []apdu.SW{0x6A83}, Label: "读"}},
	}
}

func place() order.Place { return order.Place{Session: sample().Session, Seq: 3, ATR: atr} }

// begins is the place at which a session begins on an answer of the chip.
func begins(challenge byte) order.Place {
	p := place()
	p.Opening = []apdu.Response{{SW: apdu.OK}, {Data: []byte{challenge}, SW: apdu.OK}}
	return p
}

func TestOpen(t *testing.T) {
	t.Parallel()
	with, reader, _ := province(t)
	token, err := order.Sign(sample(), with)
	require.NoError(t, err)
	got, err := reader.Open(token, place())
	require.NoError(t, err)
	require.Equal(t, sample(), got)
}

// TestRefused: whatever is wrong with an order has its name.
func TestRefused(t *testing.T) {
	t.Parallel()
	with, reader, authority := province(t)
	token, err := order.Sign(sample(), with)
	require.NoError(t, err)
	stranger, _, _ := province(t)
	foreign, err := order.Sign(sample(), stranger)
	require.NoError(t, err)
	dir := t.TempDir()
	enrolled, err := authority.Enrol("W-1")
	require.NoError(t, err)
	require.NoError(t, enrolled.WriteFiles(dir))
	station, err := tls.LoadX509KeyPair(filepath.Join(dir, pki.FileCertificate), filepath.Join(dir, pki.FileKey))
	require.NoError(t, err)
	usurped, err := order.Sign(sample(), &station)
	require.NoError(t, err)
	// The payload with one more status word accepted, under the old signature.
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	widened := parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), "6A83", "6A82", 1))) + "." + parts[2]
	require.NotEqual(t, token, widened)
	unknown, err := json.Marshal(map[string]any{"session": sample().Session, "seq": 3, "atr": "3B6D000081", "notAfter": now, "onlyIf": "something"})
	require.NoError(t, err)
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(unknown) + "."

	first := sample()
	first.Opening = order.Answered(begins(1).Opening)
	begun, err := order.Sign(first, with)
	require.NoError(t, err)
	got, err := reader.Open(begun, begins(1))
	require.NoError(t, err)
	require.Equal(t, first, got)

	other, next, chip, late := place(), place(), place(), reader
	other.Session[0] ^= 1
	next.Seq++
	chip.ATR = []byte{0x3B, 0x6D, 0x00, 0x00, 0x82}
	late.Now = func() time.Time { return now.Add(2*time.Minute + order.Skew + time.Second) }
	for name, test := range map[string]struct {
		reader order.Reader
		token  string
		at     order.Place
		want   error
	}{
		"nothing":                   {reader, "", place(), order.ErrSignature},
		"no signature":              {reader, none, place(), order.ErrSignature},
		"another province":          {reader, foreign, place(), order.ErrSignature},
		"a workstation":             {reader, usurped, place(), order.ErrSignature},
		"widened":                   {reader, widened, place(), order.ErrSignature},
		"another signature":         {reader, token[:len(token)-4] + "AAAA", place(), order.ErrSignature},
		"another session":           {reader, token, other, order.ErrPlace},
		"repeated at the next step": {reader, token, next, order.ErrPlace},
		"later at a beginning":      {reader, token, begins(1), order.ErrPlace},
		"an earlier beginning":      {reader, begun, begins(2), order.ErrPlace},
		"a beginning later":         {reader, begun, place(), order.ErrPlace},
		"another chip":              {reader, token, chip, order.ErrChip},
		"late":                      {late, token, place(), order.ErrLate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := test.reader.Open(test.token, test.at)
			require.ErrorIs(t, err, test.want)
		})
	}
	for at := range len(token) {
		altered := []byte(token)
		if altered[at]++; altered[at] == '.' {
			continue
		}
		if got, err := reader.Open(string(altered), place()); err == nil {
			require.Equal(t, sample(), got, "the last bits of base64 mean nothing")
		}
	}
}

func FuzzOpen(f *testing.F) {
	with, reader, _ := province(f)
	token, err := order.Sign(sample(), with)
	require.NoError(f, err)
	f.Add("")
	f.Add("a.b.c")
	f.Add(strings.Replace(token, ".", ".A", 1))
	f.Fuzz(func(t *testing.T, token string) {
		_, err := reader.Open(token, place())
		require.ErrorIs(t, err, order.ErrSignature)
	})
}

// BenchmarkSign and BenchmarkOpen are what signing adds to a script.
func BenchmarkSign(b *testing.B) {
	with, _, _ := province(b)
	for b.Loop() {
		_, err := order.Sign(sample(), with)
		require.NoError(b, err)
	}
}

func BenchmarkOpen(b *testing.B) {
	with, reader, _ := province(b)
	token, err := order.Sign(sample(), with)
	require.NoError(b, err)
	for b.Loop() {
		_, err := reader.Open(token, place())
		require.NoError(b, err)
	}
}
