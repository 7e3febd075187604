package audit

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// chainOf makes a chain of n entries.
func chainOf(n int) []Entry {
	entries := make([]Entry, n)
	previous := Zero
	for i := range entries {
		entries[i] = Entry{
			Seq: int64(i + 1), At: 1700000000000000 + int64(i)*1000, Chain: []byte("630102"), Operator: []byte("op1"), Workstation: []byte("ws1"),
			Place: []byte("630102"), Action: []byte("card.issued"), Subject: fmt.Appendf(nil, "card:%d", i), Detail: []byte(`{"n":"1"}`), PrevHash: previous,
		}
		seal(&entries[i])
		previous = entries[i].Hash
	}
	return entries
}

func seal(e *Entry) { sum := e.Digest(); e.Hash = sum[:] }

func point(e Entry) *Point { return &Point{e.Seq, e.Hash} }

func verify(entries []Entry, head *Point, points ...Point) (said []string) {
	v := NewVerifier("630102", Point{}, points)
	for i := range entries {
		e := entries[i].clone()
		v.Add(&e)
		for _, b := range [][]byte{e.Subject, e.Hash, e.PrevHash} { // it keeps nothing of it
			clear(b)
		}
	}
	for _, f := range v.Close(head) {
		said = append(said, f.Error())
	}
	return said
}

// renumber gives entries the numbers of where they stand, as somebody must who
// puts one into a table whose key is the number.
func renumber(entries []Entry) []Entry {
	for i := range entries {
		entries[i].Seq = int64(i + 1)
	}
	return entries
}

func one(kind error, seq int) []string {
	return []string{(&Finding{Chain: "630102", Seq: int64(seq), Kind: kind}).Error()}
}

// forged is a well-made entry that follows from the one before it.
func forged(before Entry) Entry {
	e := before.clone()
	e.Seq, e.PrevHash, e.Operator = before.Seq+1, before.Hash, []byte("forger")
	seal(&e)
	return e
}

// tampering are the ways in which one entry of a chain is tampered with, and
// what must be said; k is its index.
var tampering = map[string]func(c []Entry, k int) ([]Entry, []string){
	"field altered": func(c []Entry, k int) ([]Entry, []string) {
		c[k].Subject = []byte("card:x")
		return c, one(ErrAltered, k+1)
	},
	"hash altered": func(c []Entry, k int) ([]Entry, []string) {
		c[k].Hash = bytes.Repeat([]byte{7}, 32)
		return c, one(ErrAltered, k+1)
	},
	"link altered": func(c []Entry, k int) ([]Entry, []string) {
		c[k].PrevHash = bytes.Repeat([]byte{7}, 32)
		return c, one(ErrAltered, k+1)
	},
	"altered and hashed anew": func(c []Entry, k int) ([]Entry, []string) {
		c[k].Subject = []byte("card:x")
		seal(&c[k])
		return c, one(ErrAltered, k+1)
	},
	"missing": func(c []Entry, k int) ([]Entry, []string) {
		return slices.Delete(c, k, k+1), one(ErrMissing, k+1)
	},
	"missing and renumbered": func(c []Entry, k int) ([]Entry, []string) {
		return renumber(slices.Delete(c, k, k+1)), one(ErrMissing, k+1)
	},
	"inserted": func(c []Entry, k int) ([]Entry, []string) {
		e := c[k].clone()
		e.Operator = []byte("forger")
		return renumber(slices.Insert(c, k, e)), one(ErrInserted, k+1)
	},
	"inserted, well made": func(c []Entry, k int) ([]Entry, []string) {
		return renumber(slices.Insert(c, k+1, forged(c[k]))), one(ErrInserted, k+2)
	},
	"inserted, hashed alone": func(c []Entry, k int) ([]Entry, []string) {
		e := forged(c[k])
		e.PrevHash = bytes.Repeat([]byte{9}, 32)
		seal(&e)
		return renumber(slices.Insert(c, k+1, e)), one(ErrInserted, k+2)
	},
	"two inserted, well made": func(c []Entry, k int) ([]Entry, []string) {
		first := forged(c[k])
		c = renumber(slices.Insert(c, k+1, first, forged(first)))
		return c, []string{(&Finding{Chain: "630102", Seq: int64(k + 2), Last: int64(k + 3), Kind: ErrInserted}).Error()}
	},
	"once more, in an export": func(c []Entry, k int) ([]Entry, []string) {
		return slices.Insert(c, k+1, c[k].clone()), one(ErrInserted, k+1)
	},
	"two exchanged": func(c []Entry, k int) ([]Entry, []string) {
		c[k], c[k+1] = c[k+1], c[k]
		return renumber(c), append(one(ErrReordered, k+1), one(ErrReordered, k+2)...)
	},
	"two lines exchanged, in an export": func(c []Entry, k int) ([]Entry, []string) {
		c[k], c[k+1] = c[k+1], c[k]
		return c, one(ErrReordered, k+2)
	},
	"a line moved down, in an export": func(c []Entry, k int) ([]Entry, []string) {
		e := c[k]
		c = slices.Insert(slices.Delete(c, k, k+1), k+8, e)
		return c, nil
	},
	"under a wrong number": func(c []Entry, k int) ([]Entry, []string) {
		c[k].Seq += 5
		return c, one(ErrReordered, k+6)
	},
}

func TestTampering(t *testing.T) {
	t.Parallel()
	const n = 400
	for name, tamper := range tampering {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, k := range []int{1, 2, 63, 64, 65, 200, n - 80, n - 20} {
				whole := chainOf(n)
				head := point(whole[n-1])
				entries, want := tamper(whole, k)
				said := verify(entries, head)
				if want == nil { // each of those that had to make room may be named
					require.NotEmpty(t, said)
					require.Contains(t, said[0], ErrReordered.Error(), k)
					continue
				}
				require.Equal(t, want, said, k)
			}
		})
	}
}

func TestWhole(t *testing.T) {
	t.Parallel()
	c := chainOf(200)
	require.Empty(t, verify(nil, nil))
	require.Empty(t, verify(nil, &Point{}))
	require.Empty(t, verify(c, point(c[199])))
	require.Empty(t, verify(c, point(c[199]), *point(c[99]), *point(c[9]), *point(c[199])))
	v := NewVerifier("630102", *point(c[99]), nil)
	for i := range c[100:] {
		v.Add(&c[100+i])
	}
	require.Empty(t, v.Close(point(c[199])))
	require.EqualValues(t, 200, v.Last().Seq)
}

// TestEnds: what only the head or a signed point can tell.
func TestEnds(t *testing.T) {
	t.Parallel()
	c := chainOf(200)
	head := point(c[199])
	require.Equal(t, one(ErrTruncated, 200), verify(c[:199], head))
	require.Equal(t, []string{(&Finding{Chain: "630102", Seq: 1, Last: 200, Kind: ErrTruncated}).Error()}, verify(nil, head))
	require.Equal(t, one(ErrTruncated, 200), verify(c[:199], point(c[198]), *head), "with its head, but a signed point knows")
	require.Equal(t, one(ErrTruncated, 200), verify(c[:199], nil, *head))
	require.Equal(t, one(ErrInserted, 200), verify(c, point(c[198])))
	require.Equal(t, one(ErrHead, 200), verify(c, nil), "the head is gone")
	require.Equal(t, one(ErrHead, 200), verify(c, &Point{200, Zero}))

	again := chainOf(200)
	for i := 50; i < 200; i++ {
		again[i].PrevHash = again[i-1].Hash
		again[i].Operator = []byte("forger")
		seal(&again[i])
	}
	require.Empty(t, verify(again, point(again[199])), "well made from there on: only a signed point tells")
	require.Equal(t, one(ErrRewritten, 121), verify(again, point(again[199]), *point(c[29]), *point(c[120])))
}

// TestMany: however much is wrong, it is told within bounds and no entry is
// waited for.
func TestMany(t *testing.T) {
	t.Parallel()
	c := chainOf(3000)
	head := point(c[2999])
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		i, j := random.IntN(3000), random.IntN(3000)
		c[i], c[j] = c[j], c[i]
		c[random.IntN(3000)].Place = []byte("630103")
	}
	said := verify(c, head)
	require.LessOrEqual(t, len(said), maxFindings+2)
	require.NotEmpty(t, verify(renumber(c), head))
	require.Len(t, verify(c[:1500], head, Point{9000, Zero}), len(verify(c[:1500], head, Point{9000, Zero})))
}

// FuzzVerifier: no order and no content of entries stops it, and only the whole
// chain is found whole.
func FuzzVerifier(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7}, byte(0), byte(0))
	f.Add([]byte{0, 1, 3, 2, 4, 5, 6, 7}, byte(2), byte(1))
	f.Add([]byte{0, 7, 7, 7, 1}, byte(9), byte(3))
	whole := chainOf(8)
	f.Fuzz(func(t *testing.T, order []byte, at, way byte) {
		if len(order) > 300 {
			return
		}
		var c []Entry
		for _, i := range order {
			c = append(c, whole[i%8].clone())
		}
		touched := way%4 != 0 && len(c) > 0
		if touched {
			e := &c[int(at)%len(c)]
			switch way % 4 {
			case 1:
				e.Seq += int64(at) - 100
			case 2:
				e.At++
			case 3:
				e.PrevHash = Zero[:at%33]
				seal(e)
			}
		}
		same := len(c) == 8
		for i := range c {
			same = same && i < 8 && c[i].Seq == whole[i].Seq && c[i].At == whole[i].At && bytes.Equal(c[i].Hash, whole[i].Hash) && bytes.Equal(c[i].PrevHash, whole[i].PrevHash)
		}
		require.Equal(t, same, len(verify(c, point(whole[7]))) == 0)
	})
}

// BenchmarkVerifier is the work on one entry of the usual size.
func BenchmarkVerifier(b *testing.B) {
	c := chainOf(1000)
	b.ReportAllocs()
	for n := 0; n < b.N; n += len(c) {
		v := NewVerifier("630102", Point{}, nil)
		for i := range c {
			v.Add(&c[i])
		}
		require.Empty(b, v.Close(point(c[len(c)-1])))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
