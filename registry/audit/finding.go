package audit

import (
	"errors"
	"fmt"
)

// What can be wrong with a chain (审计链异常).
var (
	// ErrAltered: the entry's fields do not give its hash, or the next entry
	// follows from another one in its place.
	ErrAltered = errors.New("审计记录被改动 audit entry altered")
	// ErrMissing: the entry of this number is gone.
	ErrMissing = errors.New("审计记录缺失 audit entry missing")
	// ErrInserted: the entry does not belong into the chain.
	ErrInserted = errors.New("审计记录系插入 audit entry inserted")
	// ErrReordered: the entry stands in another's place.
	ErrReordered = errors.New("审计记录顺序被改 audit entry out of its place")
	// ErrTruncated: the chain ends before this entry, which its head or a signed
	// checkpoint vouches for.
	ErrTruncated = errors.New("审计记录被截断 audit chain cut off before this entry")
	// ErrRewritten: the chain holds together, but is not the one that was signed
	// at this entry.
	ErrRewritten = errors.New("审计链被重写 audit chain differs from what was signed at this entry")
	// ErrHead: the head is missing, or is not that of the last entry, or its
	// keyed digest is wrong.
	ErrHead = errors.New("审计链尾不符 the head of the audit chain does not match")
	// ErrMany: more is wrong than is listed.
	ErrMany = errors.New("其余异常不再列出 more is wrong from here on than is listed")
)

// Finding says where a chain is broken. It is an error of its Kind.
type Finding struct {
	Chain string // place
	Seq   int64  // number of the entry, from 1
	Last  int64  // the last entry of a run of several; else Seq
	Kind  error  // one of the Err…
}

func (f *Finding) Error() string {
	if f.Last > f.Seq {
		return fmt.Sprintf("%v (%s/%d–%d)", f.Kind, f.Chain, f.Seq, f.Last)
	}
	return fmt.Sprintf("%v (%s/%d)", f.Kind, f.Chain, f.Seq)
}

// Unwrap returns the kind.
func (f *Finding) Unwrap() error { return f.Kind }

// maxFindings bounds what is listed of one chain.
const maxFindings = 100
