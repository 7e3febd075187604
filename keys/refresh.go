package keys

import (
	"os"
	"sync/atomic"
	"time"
)

// Refresh is within how long a keeper sees what another process has written
// into the key file.
const Refresh = time.Second

// refreshed is which file a keeper has read, and when it last looked.
type refreshed struct {
	looked atomic.Int64 // Unix nanoseconds
	state  os.FileInfo  // under the keeper's lock
}

// due tells whether it is time to look, to one caller only.
func (r *refreshed) due(now time.Time) bool {
	last := r.looked.Load()
	return now.UnixNano()-last >= int64(Refresh) && r.looked.CompareAndSwap(last, now.UnixNano())
}

// refresh reads the file again if another has been put in its place, and tells
// whether it did. A file that is away, or not good, changes nothing: the keys in
// hand still serve.
func (k *Keeper) refresh() bool {
	state, err := os.Stat(k.path)
	if err != nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file.state != nil && os.SameFile(state, k.file.state) && state.ModTime().Equal(k.file.state.ModTime()) {
		return false
	}
	content, err := readPrivate(k.path)
	if err != nil {
		return false
	}
	again := newKeeper(k.path, k.kek, nil)
	if again.load(content) != nil {
		return false
	}
	k.doc, k.keys, k.file.state = again.doc, again.keys, state
	return true
}
