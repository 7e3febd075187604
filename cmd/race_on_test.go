//go:build race

package cmd_test

// raceFlags build the programs with the race detector when the tests have it,
// and as the tests have it: see the Makefile.
var raceFlags = []string{"-race", "-gcflags=modernc.org/...=-race=false"}
