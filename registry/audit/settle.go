package audit

import "bytes"

// settle says what happened at the front of the window and takes one step on.
func (v *Verifier) settle() {
	next := v.last.Seq + 1
	if e, ok := v.held[next]; ok {
		delete(v.held, next)
		v.hold(Point{next, e.Hash})
		return
	}
	e := &v.window[0]
	if v.follows(e) {
		v.take(next)
		return
	}
	origin := v.origin(e)
	switch {
	case origin == 0:
		v.unknown(e, next)
	case origin < next:
		v.late(e, origin)
	case origin > next:
		v.early(e, origin, next)
	case bytes.Equal(e.PrevHash, v.last.Hash):
		v.find(e.Seq, e.Seq, ErrReordered) // the right entry under a wrong number
		v.take(next)
		v.align()
	case v.successor(next) != nil:
		v.find(e.Seq, e.Seq, ErrInserted)
		v.drop()
		v.align()
	default: // it follows from another entry than the one in the last place
		if v.last.Seq > 0 {
			v.find(v.last.Seq, v.last.Seq, ErrAltered)
		} else {
			v.find(e.Seq, e.Seq, ErrAltered)
		}
		v.take(next)
	}
}

// unknown settles an entry whose fields do not give its hash.
func (v *Verifier) unknown(e *Entry, next int64) {
	after := v.successor(next)
	switch {
	case after != nil && v.origin(after) == next:
		// Those after it follow without it.
		v.find(e.Seq, e.Seq, ErrInserted)
		v.drop()
		v.align()
	case e.Seq-v.shift > next+reach:
		v.find(e.Seq, e.Seq, ErrInserted)
		v.drop()
	case e.Seq-v.shift > next:
		v.gap(e.Seq-v.shift, e)
	default:
		v.find(e.Seq, e.Seq, ErrAltered)
		hash := e.Hash
		if len(v.window) > 1 && v.window[1].Seq == e.Seq+1 {
			hash = v.window[1].PrevHash // what stood there, as far as it is known
		}
		hash = bytes.Clone(hash)
		v.drop()
		v.pass(Point{next, hash})
	}
}

// late settles an entry that was written before the last.
func (v *Verifier) late(e *Entry, origin int64) {
	switch before := v.remembered(origin - 1); {
	case bytes.Equal(e.Hash, v.remembered(origin)):
		v.find(e.Seq, e.Seq, ErrInserted) // once more
		v.drop()
		v.align()
	case before != nil && bytes.Equal(before, e.PrevHash):
		// What was taken for the entries since then was put in before it.
		v.find(origin, v.last.Seq, ErrInserted)
		v.take(origin)
		v.align()
	case v.found(origin):
		v.find(e.Seq, e.Seq, ErrReordered)
		v.drop()
	default:
		v.find(e.Seq, e.Seq, ErrInserted)
		v.drop()
		v.align()
	}
}

// early settles an entry that was written after those that should come now.
func (v *Verifier) early(e *Entry, origin, next int64) {
	if v.successor(next) != nil && v.origin(v.successor(next)) == next {
		v.find(e.Seq, e.Seq, ErrReordered)
		v.held[origin] = *e
		v.drop()
		return
	}
	v.gap(origin, e)
	v.shift = e.Seq - origin
}

// gap notes that the entries before e, which is number seq, are gone.
func (v *Verifier) gap(seq int64, e *Entry) {
	v.find(v.last.Seq+1, seq-1, ErrMissing)
	v.pass(Point{seq - 1, e.PrevHash})
}

// pass makes a point the last without holding it against what was signed: it is
// known to be wrong already.
func (v *Verifier) pass(p Point) {
	for len(v.points) > 0 && v.points[0].Seq <= p.Seq {
		v.points = v.points[1:]
	}
	v.hold(p)
}

// found says whether an entry was reported missing, and takes that back: it
// stands elsewhere.
func (v *Verifier) found(seq int64) bool {
	for i, f := range v.findings {
		if f.Kind == ErrMissing && f.Seq <= seq && seq <= f.Last {
			if f.Seq == f.Last {
				v.findings = append(v.findings[:i], v.findings[i+1:]...)
			}
			return true
		}
	}
	return false
}

// successor returns the entry of the window, after its front, that follows from
// the last.
func (v *Verifier) successor(next int64) *Entry {
	for i := 1; i < len(v.window); i++ {
		if e := &v.window[i]; bytes.Equal(e.PrevHash, v.last.Hash) && v.is(e, next) {
			return e
		}
	}
	return nil
}

// take holds the front of the window as the entry of a number.
func (v *Verifier) take(seq int64) {
	v.hold(Point{seq, v.window[0].Hash})
	v.drop()
}

func (v *Verifier) drop() { v.window = append(v.window[:0], v.window[1:]...) }

// align takes the numbers of those that follow as they now are.
func (v *Verifier) align() {
	if len(v.window) > 0 {
		if origin := v.origin(&v.window[0]); origin != 0 {
			v.shift = v.window[0].Seq - origin
		}
	}
}
