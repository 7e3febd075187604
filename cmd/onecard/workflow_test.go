package main

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/issuance"
)

// update lets TestReport write the page instead of comparing it.
var update = flag.Bool("update", false, "write docs/workflow.md")

// TestReport compares docs/workflow.md with the tables.
func TestReport(t *testing.T) {
	t.Parallel()
	const page = "../../docs/workflow.md"
	report := issuance.Report(machines()...)
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(report), 0o644))
	}
	written, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, report, string(written), "the page is not that of the tables: run go test ./cmd/onecard -run TestReport -update")
}
