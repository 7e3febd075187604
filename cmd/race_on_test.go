//go:build race

package cmd_test

// raceFlag builds the programs with the race detector when the tests have it.
const raceFlag = "-race"
