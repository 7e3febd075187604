// Package memory sets how the programs trade memory for time.
package memory

import (
	"os"
	"runtime/debug"
)

// growth is by how many per cent of what lives the heap grows before rubbish is
// collected. The programs keep little alive and make much that is short-lived:
// with the runtime's 100 per cent a look-up spends a third of its time on
// collecting.
const growth = 400

// Relax has rubbish collected seldom, until the process takes limit bytes; from
// there on as often as it must. 0 is no limit. What GOGC and GOMEMLIMIT say in
// the environment goes first.
func Relax(limit int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
	if limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
}

// Loading is the limit of a process that loads a table of any size, in bytes.
const Loading = 400 << 20
