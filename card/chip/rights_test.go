package chip

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card/profile"
)

const testPIN = "\x12\x34\x56"

// holder sets the number of personal's card.
func holder(t testing.TB) *bench {
	t.Helper()
	b := personal(t)
	b.chip.image.PIN = Hex(testPIN)
	require.Equal(t, apdu.OK, b.chip.save())
	return b
}

func (b *bench) verify(pin string) apdu.SW {
	b.t.Helper()
	_, sw := b.send(append([]byte{0, 0x20, 0, 0, byte(len(pin))}, pin...))
	return sw
}

// goTo makes a DF current.
func (b *bench) goTo(scope *profile.Scope) {
	b.t.Helper()
	if scope.Index == 0 {
		b.enter()
		return
	}
	b.ok(append([]byte{0, 0xA4, 0, 0, 2}, scope.FID...))
}

// gain proves a term of a rule in the current DF.
func (b *bench) gain(term string) {
	b.t.Helper()
	if term == profile.PINKey {
		require.Equal(b.t, apdu.OK, b.verify(testPIN))
		return
	}
	b.prove(term)
}

// access is one way at data: what reads or writes it, and the rule for it.
type access struct {
	name, rule string
	command    []byte
}

// accesses are all ways at a file: each element, the cyclic records, the bytes.
func accesses(file *profile.File) []access {
	sfi := file.SFI()
	name := file.Name()
	switch file.Kind {
	case profile.Transparent:
		return []access{
			{name + " read", file.Read, []byte{0, 0xB0, 0x80 | sfi, 0, 0}},
			{name + " write", file.Write, []byte{0, 0xD6, 0x80 | sfi, 0, 1, 0xAB}},
		}
	case profile.Cyclic:
		record := append([]byte{0, 0xDC, 0, sfi<<3 | 3, byte(file.Size)}, bytes.Repeat([]byte{0xAB}, file.Size)...)
		return []access{{name + " write", file.Write, record}, {name + " read", file.Read, []byte{0, 0xB2, 1, sfi<<3 | 4, 0}}}
	}
	var all []access
	for i := range file.Elements {
		e := &file.Elements[i]
		update := append([]byte{0, 0xDC, byte(e.Record), sfi<<3 | 4, byte(2 + e.Length), e.Tag, byte(e.Length)}, bytes.Repeat([]byte{0xAB}, e.Length)...)
		all = append(all, access{name + " write " + e.Name, file.Write, update},
			access{name + " read " + e.Name, file.ReadRule(e), []byte{0, 0xB2, byte(e.Record), sfi<<3 | 4, 0}})
	}
	return all
}

// terms are what a rule names, and whether all of it is needed.
func terms(rule string) (all []string, together bool) {
	return strings.FieldsFunc(rule, func(r rune) bool { return r == '|' || r == '&' }), strings.Contains(rule, "&")
}

// TestAccess tries every element of every file of the profile: with nothing
// proven and with each part of its rule; and of every file the first with every
// other key of its DF.
func TestAccess(t *testing.T) {
	t.Parallel()
	_, p := load(t)
	for s := range p.Scopes {
		t.Run(p.Scopes[s].Name, func(t *testing.T) {
			t.Parallel()
			b := holder(t)
			scope := &b.chip.profile.Scopes[s]
			for f := range scope.Files {
				if scope.Files[f].Kind == profile.Cyclic { // so that there is one to read
					b.chip.image.Records[scope.Name+"/"+scope.Files[f].Name()] = []Hex{make(Hex, scope.Files[f].Size)}
				}
			}
			tried := 0
			for f := range scope.Files {
				for i, way := range accesses(&scope.Files[f]) {
					b.try(scope, way, i < 2)
					tried++
				}
			}
			require.Positive(t, tried)
		})
	}
}

// try holds one way at data against its rule; with all other keys of the DF too
// where that is asked for, since it takes long.
func (b *bench) try(scope *profile.Scope, way access, others bool) {
	b.t.Helper()
	attempt := func(proven ...string) apdu.SW {
		b.chip.PowerOn()
		b.enter()
		b.goTo(scope)
		for _, term := range proven {
			b.gain(term)
		}
		before := b.stored()
		_, sw := b.send(way.command)
		if sw != apdu.OK {
			require.Equal(b.t, before, b.stored(), way.name)
		}
		return sw
	}
	check := func(proven ...string) {
		b.t.Helper()
		want := apdu.SW(0x6982)
		if profile.Allows(way.rule, func(term string) bool { return slices.Contains(proven, term) }) {
			want = apdu.OK
		}
		require.Equal(b.t, want.String(), attempt(proven...).String(), "%s (%s) with %v", way.name, way.rule, proven)
	}
	needed, together := terms(way.rule)
	check()
	if way.rule == profile.Free || way.rule == profile.Never {
		check(profile.PINKey)
		return
	}
	for _, term := range needed {
		check(term)
	}
	if together {
		check(needed...)
	}
	if !others {
		return
	}
	var rest []string
	for _, key := range scope.Keys {
		if key.Purpose == "external" && !slices.Contains(needed, key.Name) {
			rest = append(rest, key.Name)
		}
	}
	check(rest...)
}

// TestRightsOfOneDF: a right that was gained in one DF is none in another, nor
// after coming back; the holder's number counts everywhere.
func TestRightsOfOneDF(t *testing.T) {
	t.Parallel()
	b := holder(t)
	scope := func(name string) *profile.Scope {
		s, ok := b.chip.profile.Scope(name)
		require.True(t, ok)
		return s
	}
	b.goTo(scope("DF01"))
	b.prove("RKDF01")
	require.Equal(t, apdu.OK, b.sw("00B2012C00"))
	b.goTo(scope("DF02"))
	require.Equal(t, apdu.SW(0x6982), b.sw("00B2012C00"))
	b.goTo(scope("DF01"))
	require.Equal(t, apdu.SW(0x6982), b.sw("00B2012C00"))
	require.Equal(t, apdu.OK, b.verify(testPIN))
	for _, name := range []string{"DF01", "DF02", "DF01"} {
		b.goTo(scope(name))
		require.Equal(t, apdu.OK, b.sw("00B2012C00"), name)
	}
	// A failed attempt takes the right away again.
	require.Equal(t, apdu.SW(0x63C5), b.verify("\x00\x00\x00"))
	require.Equal(t, apdu.SW(0x6982), b.sw("00B2012C00"))
}

// TestElements reads by number and by tag, and refuses what is no element.
func TestElements(t *testing.T) {
	t.Parallel()
	b := personal(t)
	b.prove("UKSSSE")
	require.Equal(t, apdu.OK, b.sw("00DC052C 06 0504 20261123"))
	for _, command := range []string{"00B2052C06", "00B2052806"} { // by number, by tag
		require.Equal(t, unhex(t, "050420261123"), b.ok(unhex(t, command)))
	}
	require.Equal(t, apdu.SW(0x6A83), b.sw("00B2002C06"))
	require.Equal(t, apdu.SW(0x6700), b.sw("00DC052C 05 0503 202611"), "of another length")
	require.Equal(t, apdu.SW(0x6A80), b.sw("00DC052C 06 0604 20261123"), "of another tag")
	require.Equal(t, apdu.SW(0x6A80), b.sw("00DC052C 06 0503 20261123"), "that contradicts itself")
	require.Equal(t, apdu.SW(0x6A83), b.sw("00DC632C 06 0504 20261123"), "of no record")
	require.Equal(t, apdu.SW(0x6A82), b.sw("00DC01FC 01 00"), "of no file")
}

// TestCyclic: the latest record comes first, the oldest falls out.
func TestCyclic(t *testing.T) {
	t.Parallel()
	b := holder(t)
	scope, _ := b.chip.profile.Scope("DF04")
	b.goTo(scope)
	file, ok := b.chip.profile.File("DF04/EF15")
	require.True(t, ok)
	require.Equal(t, apdu.OK, b.verify(testPIN))
	b.prove("UK2DF04")
	read := func(n int) apdu.SW { return b.sw(fmt.Sprintf("00B2%02XAC00", n)) }
	require.Equal(t, apdu.SW(0x6A83), read(1))
	for n := range file.Records + 2 {
		require.Equal(t, apdu.OK, b.sw(fmt.Sprintf("00DC00AB03%06X", n)))
	}
	require.Equal(t, unhex(t, fmt.Sprintf("%06X", file.Records+1)), b.ok(unhex(t, "00B201AC00")))
	require.Equal(t, unhex(t, "000002"), b.ok(unhex(t, fmt.Sprintf("00B2%02XAC00", file.Records))))
	for _, n := range []int{0, file.Records + 1} {
		require.Equal(t, apdu.SW(0x6A83), read(n))
	}
	require.Equal(t, apdu.SW(0x6A86), b.sw("00B201AD00"), "read by anything but number")
	require.Equal(t, apdu.SW(0x6A86), b.sw("00DC01AC03000000"), "written but at the end")
	require.Equal(t, apdu.SW(0x6700), b.sw("00DC00AB020000"))
}

// TestBinary reads and writes in the file and at its edges.
func TestBinary(t *testing.T) {
	t.Parallel()
	b := personal(t)
	b.prove("UKSSSE")
	b.prove("RKSSSE")
	require.Equal(t, apdu.OK, b.sw("00D68710 03 010203"))
	require.Equal(t, unhex(t, "FF010203FF"), b.ok(unhex(t, "00B0870F05")))
	require.Equal(t, unhex(t, "0203"), b.ok(unhex(t, "00B0001102")), "of the current file")
	require.Len(t, b.ok(unhex(t, "00B0030000")), 256)
	require.Equal(t, apdu.SW(0x6C05), b.sw("00B003FB06"), "five bytes are left")
	require.Equal(t, apdu.SW(0x6B00), b.sw("00B0040001"))
	require.Equal(t, apdu.SW(0x6B00), b.sw("00D6040001AB"))
	require.Equal(t, apdu.SW(0x6700), b.sw("00D603FE03ABABAB"), "over the edge")
	require.Equal(t, apdu.SW(0x6700), b.sw("00D60000"), "nothing")
	require.Equal(t, apdu.SW(0x6700), b.sw("00B00000"), "nothing")
}
