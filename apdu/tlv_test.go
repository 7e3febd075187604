package apdu_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

func TestTLV(t *testing.T) {
	t.Parallel()
	// The answer to SELECT of an environment, with a name and a short file id.
	objects, err := apdu.ParseTLV(unhex(t, "6F16 840F 7378312E73682EC9E7BBE1B1A3D5CF A503 880101"))
	require.NoError(t, err)
	name, ok := apdu.FindTLV(objects, 0x6F, 0x84)
	require.True(t, ok)
	require.Equal(t, unhex(t, "7378312E73682EC9E7BBE1B1A3D5CF"), name.Value)
	id, ok := apdu.FindTLV(objects, 0x6F, 0xA5, 0x88)
	require.True(t, ok)
	require.Equal(t, []byte{1}, id.Value)
	for _, path := range [][]uint32{nil, {0x70}, {0x6F, 0x85}, {0x6F, 0x84, 0x01}} {
		_, ok := apdu.FindTLV(objects, path...)
		require.False(t, ok, path)
	}
}

// TestTLVSiblings: a path goes on in the next object of the same tag.
func TestTLVSiblings(t *testing.T) {
	t.Parallel()
	objects, err := apdu.ParseTLV(unhex(t, "6103 4F0101 6103 500102"))
	require.NoError(t, err)
	label, ok := apdu.FindTLV(objects, 0x61, 0x50)
	require.True(t, ok)
	require.Equal(t, []byte{2}, label.Value)
}

func TestTLVLengths(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000} {
		for _, tag := range []uint32{0x04, 0x5F50, 0x9F8101} {
			value := bytes.Repeat([]byte{0x5A}, n)
			coded := apdu.AppendTLV(nil, tag, value)
			objects, err := apdu.ParseTLV(coded)
			require.NoError(t, err)
			require.Len(t, objects, 1)
			require.Equal(t, tag, objects[0].Tag)
			require.Equal(t, value, objects[0].Value[:n:n])
		}
	}
}

func TestTLVRefused(t *testing.T) {
	t.Parallel()
	for name, coded := range map[string]string{
		"no length":             "84",
		"value cut":             "8405 0102",
		"length cut":            "8482 01",
		"indefinite length":     "3080 0000",
		"length of four bytes":  "8484 00000001 FF",
		"tag cut":               "1F",
		"tag of five bytes":     "1F81818181 00",
		"child cut":             "3003 040301",
		"nested without an end": "3012301030 0E300C300A 3008300630 0430023000",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := apdu.ParseTLV(unhex(t, coded))
			require.ErrorIs(t, err, apdu.ErrMalformed)
		})
	}
}

func FuzzTLV(f *testing.F) {
	f.Add(unhex(f, "6F0384010101"))
	f.Add(unhex(f, "1F8101 02 0102"))
	f.Add(unhex(f, "8481 05 0102030405"))
	f.Fuzz(func(t *testing.T, b []byte) {
		objects, err := apdu.ParseTLV(b)
		if err != nil {
			require.ErrorIs(t, err, apdu.ErrMalformed)
			return
		}
		var coded []byte
		for _, object := range objects {
			coded = apdu.AppendTLV(coded, object.Tag, object.Value)
		}
		again, err := apdu.ParseTLV(coded)
		require.NoError(t, err)
		require.Equal(t, len(objects), len(again))
		for i, object := range objects {
			require.Equal(t, object.Tag, again[i].Tag)
			require.True(t, bytes.Equal(object.Value, again[i].Value))
		}
	})
}
