package audit

import (
	"bytes"
	"maps"
	"slices"

	"github.com/emmansun/gmsm/sm3"
)

// Point is an entry that somebody vouches for: the number and hash of the end
// of a chain at some time.
type Point struct {
	Seq  int64
	Hash []byte
}

// reach is how many entries are looked ahead, and remembered, to tell what
// happened where a chain does not hold together.
const reach = 64

// Verifier reads a chain from an entry on and finds what is wrong with it. An
// entry that follows costs one hash and no memory. Where one does not follow,
// it and those after it are held against one another: a hash binds an entry's
// number, so an entry tells where it stood when it was written.
type Verifier struct {
	chain    string
	start    int64   // where it began
	last     Point   // the last entry that holds
	shift    int64   // by which the numbers of entries are off since something was put in or taken out
	points   []Point // that are still to come
	past     [reach]Point
	window   []Entry
	held     map[int64]Entry // met before their place
	findings []*Finding
	buffer   []byte
}

// NewVerifier verifies a chain from the entry after start on; Point{} is its
// beginning. points are those vouched for.
func NewVerifier(chain string, start Point, points []Point) *Verifier {
	v := &Verifier{chain: chain, start: start.Seq, held: map[int64]Entry{}}
	v.points = slices.SortedFunc(slices.Values(points), func(a, b Point) int { return int(min(max(a.Seq-b.Seq, -1), 1)) })
	v.points = slices.DeleteFunc(v.points, func(p Point) bool { return p.Seq <= start.Seq })
	if start.Seq == 0 {
		start.Hash = Zero
	}
	v.hold(start)
	return v
}

// Last returns the last entry that holds.
func (v *Verifier) Last() Point { return v.last }

// Add takes the next entry. It keeps nothing of it.
func (v *Verifier) Add(e *Entry) {
	if len(v.window) == 0 && len(v.held) == 0 && v.follows(e) {
		v.hold(Point{v.last.Seq + 1, e.Hash})
		return
	}
	v.window = append(v.window, e.clone())
	if len(v.window) > reach {
		v.settle()
	}
}

// Close ends the chain at the head that it is said to have; nil stands for a
// head that is gone. It returns what was found, in the order of the chain.
func (v *Verifier) Close(head *Point) []*Finding {
	for len(v.window) > 0 || v.held[v.last.Seq+1].Seq != 0 {
		v.settle()
	}
	for len(v.held) > 0 { // what came before them never did
		seq := lowest(v.held)
		v.gap(seq, new(v.held[seq]))
		v.settle()
	}
	if n := len(v.points); n > 0 && (head == nil || v.points[n-1].Seq > head.Seq) {
		head = &v.points[n-1]
	}
	if head != nil {
		v.closeHead(*head)
	} else if v.last.Seq > 0 {
		v.find(v.last.Seq, v.last.Seq, ErrHead)
	}
	slices.SortStableFunc(v.findings, func(a, b *Finding) int { return int(min(max(a.Seq-b.Seq, -1), 1)) })
	return v.findings
}

func (v *Verifier) closeHead(head Point) {
	switch known := v.remembered(head.Seq); {
	case head.Seq < v.start:
		v.find(head.Seq+1, v.start, ErrTruncated)
	case v.last.Seq < head.Seq:
		v.find(v.last.Seq+1, head.Seq, ErrTruncated)
	case v.last.Seq > head.Seq:
		v.findings = slices.DeleteFunc(v.findings, func(f *Finding) bool { return f.Seq > head.Seq })
		v.find(head.Seq+1, v.last.Seq, ErrInserted)
	case head.Seq > 0 && !bytes.Equal(known, head.Hash):
		v.find(head.Seq, head.Seq, ErrHead)
	}
}

// follows says whether an entry stands where it stood and follows from the last.
func (v *Verifier) follows(e *Entry) bool {
	return e.Seq-v.shift == v.last.Seq+1 && bytes.Equal(e.PrevHash, v.last.Hash) && v.is(e, v.last.Seq+1)
}

// is says whether an entry's fields give its hash under a number.
func (v *Verifier) is(e *Entry, seq int64) bool {
	var sum [sm3.Size]byte
	sum, v.buffer = e.digest(v.buffer, seq)
	return bytes.Equal(sum[:], e.Hash)
}

// origin returns the number under which an entry was written, 0 when its fields
// give its hash under none of those near.
func (v *Verifier) origin(e *Entry) int64 {
	for _, near := range []int64{e.Seq, e.Seq - v.shift, v.last.Seq + 1} {
		if near > 0 && v.is(e, near) {
			return near
		}
	}
	for away := int64(1); away <= reach; away++ {
		for _, near := range []int64{e.Seq - away, e.Seq + away} {
			if near > 0 && v.is(e, near) {
				return near
			}
		}
	}
	return 0
}

// hold makes a point the last that holds, and compares it with what was signed.
func (v *Verifier) hold(p Point) {
	kept := &v.past[p.Seq%reach]
	kept.Seq, kept.Hash = p.Seq, append(kept.Hash[:0], p.Hash...)
	v.last = *kept
	for len(v.points) > 0 && v.points[0].Seq <= p.Seq {
		if signed := v.points[0]; signed.Seq == p.Seq && !bytes.Equal(signed.Hash, p.Hash) {
			v.find(p.Seq, p.Seq, ErrRewritten)
		}
		v.points = v.points[1:]
	}
}

// remembered returns the hash of an entry of those just read, nil of others.
func (v *Verifier) remembered(seq int64) []byte {
	if p := v.past[max(seq, 0)%reach]; p.Seq == seq {
		return p.Hash
	}
	return nil
}

func (v *Verifier) find(first, last int64, kind error) {
	switch n := len(v.findings); {
	case n < maxFindings:
		v.findings = append(v.findings, &Finding{Chain: v.chain, Seq: first, Last: last, Kind: kind})
	case n == maxFindings:
		v.findings = append(v.findings, &Finding{Chain: v.chain, Seq: first, Last: first, Kind: ErrMany})
	}
}

func lowest(entries map[int64]Entry) int64 {
	least := int64(0)
	for seq := range entries {
		if least == 0 || seq < least {
			least = seq
		}
	}
	return least
}

// expected returns the number that the next entry should have.
func (v *Verifier) expected() int64 {
	if n := len(v.window); n > 0 {
		return v.window[n-1].Seq + 1
	}
	return v.last.Seq + 1 + v.shift
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
