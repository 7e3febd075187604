package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/card/chip"
	"onecard/card/profile"
)

// FuzzMessages plays a virtual reader that says anything: each whole frame is
// carried out, a cut one ends the connection.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0, 1, 4, 0, 5, 0, 0x84, 0, 0, 8})
	f.Add([]byte{0, 0, 0xFF, 0xFF, 1})
	profiles, err := profile.Load()
	require.NoError(f, err)
	image, err := chip.Blank(profiles[0], [4]byte{1, 2, 3, 4}, [16]byte{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, said []byte) {
		store, err := chip.NewMemory(image)
		require.NoError(t, err)
		c, err := chip.New(profiles, store, nil)
		require.NoError(t, err)
		s := &slot{chip: c}
		for r := bytes.NewReader(said); ; {
			message, err := readMessage(r)
			if err != nil {
				return
			}
			answer, torn := s.answer(message)
			require.False(t, torn)
			if len(message) != 1 {
				require.GreaterOrEqual(t, len(answer), 2)
			}
		}
	})
}
