package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/registry/indicator"
)

// TestMapping: the table of a peer is printed with what its codes mean there, and
// a table of the province's own stands before the one built in.
func TestMapping(t *testing.T) {
	t.Parallel()
	out, printed := terminalWith("")
	require.NoError(t, (&mappingCommand{Peer: "shandong"}).Run(out))
	require.Regexp(t, `cardStatus +sfzt +1 +社保卡状态 .*3 应用锁定 = 2（读作 read as 2）；4 临时挂失 = B；9 注销 = 4/3`, printed.String())
	require.Contains(t, printed.String(), "301 交通银行 = 无 none")
	out, printed = terminalWith("")
	require.NoError(t, (&mappingCommand{}).Run(out))
	require.Contains(t, printed.String(), "ministry")
	require.ErrorContains(t, (&mappingCommand{Peer: "nobody"}).Run(out), "shandong")

	own := t.TempDir()
	text, err := os.ReadFile("../../registry/indicator/peers/bank.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(own, "ccb.yaml"), text, 0o600))
	out, printed = terminalWith("")
	require.NoError(t, (&mappingCommand{Peer: "ccb", Tables: own}).Run(out))
	require.Contains(t, printed.String(), "AAZ502")
	require.NoError(t, os.WriteFile(filepath.Join(own, "ccb.yaml"), []byte("title: {zh: 甲}\n"), 0o600))
	require.ErrorIs(t, (&mappingCommand{Tables: own}).Run(out), indicator.ErrTable)
}
