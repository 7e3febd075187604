package pcsc

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ebfe/scard"
	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

// TestTPDU: what T=0 carries of the four cases.
func TestTPDU(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte{0xAB}, 255)
	for name, test := range map[string]struct{ command, want []byte }{
		"case 1":                     {[]byte{0x84, 0x1E, 0, 0}, []byte{0x84, 0x1E, 0, 0, 0}},
		"case 2":                     {[]byte{0, 0x84, 0, 0, 8}, []byte{0, 0x84, 0, 0, 8}},
		"case 2, all":                {[]byte{0, 0xB0, 0, 0, 0}, []byte{0, 0xB0, 0, 0, 0}},
		"case 3":                     {[]byte{0, 0x20, 0, 0, 1, 0x12}, []byte{0, 0x20, 0, 0, 1, 0x12}},
		"case 4":                     {[]byte{0, 0xA4, 4, 0, 1, 0xA0, 0}, []byte{0, 0xA4, 4, 0, 1, 0xA0}},
		"case 4, data that end in 0": {[]byte{0, 0xA4, 4, 0, 2, 0xA0, 0, 5}, []byte{0, 0xA4, 4, 0, 2, 0xA0, 0}},
		"case 4, as long as can be":  {append(append([]byte{0, 0xDC, 1, 4, 255}, data...), 0), append([]byte{0, 0xDC, 1, 4, 255}, data...)},
		"case 2, coded long":         {[]byte{0, 0xB0, 0, 0, 0, 1, 0}, []byte{0, 0xB0, 0, 0, 0}},
		"case 3, coded long":         {[]byte{0, 0x20, 0, 0, 0, 0, 1, 0x12}, []byte{0, 0x20, 0, 0, 1, 0x12}},
		"case 4, coded long":         {[]byte{0, 0xA4, 4, 0, 0, 0, 1, 0xA0, 1, 0}, []byte{0, 0xA4, 4, 0, 1, 0xA0}},
		"extended by Ne":             {[]byte{0, 0xB0, 0, 0, 0, 2, 0}, []byte{0, 0xB0, 0, 0, 0, 2, 0}},
		"no APDU":                    {[]byte{0, 0x20, 0, 0, 9, 0x12}, []byte{0, 0x20, 0, 0, 9, 0x12}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given := bytes.Clone(test.command)
			require.Equal(t, test.want, appendTPDU(nil, given))
			require.Equal(t, test.command, given, "the caller's bytes stay as they are")
		})
	}
}

// FuzzTPDU: it stands for the same command, but for Le after data.
func FuzzTPDU(f *testing.F) {
	f.Add([]byte{0, 0xA4, 4, 0, 1, 0xA0, 0})
	f.Add([]byte{0, 0xA4, 4, 0, 0, 0, 1, 0xA0, 1, 0})
	f.Fuzz(func(t *testing.T, command []byte) {
		want, err := apdu.ParseCommand(command)
		sent := appendTPDU(nil, bytes.Clone(command))
		if err != nil {
			require.Equal(t, command, sent)
			return
		}
		got, err := apdu.ParseCommand(sent)
		require.NoError(t, err)
		if len(want.Data) <= apdu.MaxShortNc && want.Ne <= apdu.MaxShortNe {
			require.Equal(t, len(sent), 5+len(want.Data))
			if len(want.Data) > 0 {
				want.Ne = 0
			} else if want.Ne == 0 {
				want.Ne = apdu.MaxShortNe // P3 = 00
			}
		}
		require.Equal(t, want, got)
	})
}

// TestKinds: each failure of the library is one of ours and no other.
func TestKinds(t *testing.T) {
	t.Parallel()
	ours := []error{ErrNoService, ErrNoPermission, ErrNoReader, ErrNoCard, ErrRemoved, ErrReset, ErrShared, ErrMute, ErrClosed}
	require.NoError(t, translate("test", nil))
	reached := map[error]bool{ErrClosed: true} // which is not the library's
	for number, kind := range kinds {
		err := translate("test", number)
		require.ErrorContains(t, err, "test: ")
		for _, e := range ours {
			require.Equal(t, e == kind, errors.Is(err, e), "%v: %v", number, e)
		}
		reached[kind] = true
	}
	for _, e := range ours {
		require.True(t, reached[e], e)
	}
	for _, unknown := range []error{scard.ErrInsufficientBuffer, errors.New("else")} {
		require.ErrorIs(t, translate("test", unknown), unknown)
	}
}
