//go:build race

package card_test

import "testing"

// exhaustive leaves a search with one goroutine to the run without the race
// detector, which would take eight times as long: see the Makefile.
func exhaustive(t *testing.T) {
	t.Helper()
	t.Skip("runs without the race detector")
}
