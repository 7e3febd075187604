package bank_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/bank"
)

// TestDocs: what a bank's engineer reads names every operation, every state and
// every change.
func TestDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/bank.md")
	require.NoError(t, err)
	names := []string{bank.Protocol, bank.OpenAccount, bank.ChangeStatus, bank.ChangeHolder, bank.ChargeFee, bank.RefundFee, bank.ReverseMessage, "message.query",
		bank.ChangeActivate, bank.ChangeOralLoss, bank.ChangeLoss, bank.ChangeUnloss, bank.ChangeFreeze, bank.ChangeClose, bank.TopicAccount, bank.ClassOurs, bank.ClassBank, bank.ClassDiffer}
	for _, state := range append(bank.Accounts.States, bank.Orders.States...) {
		if state.Name != "" {
			names = append(names, state.Name)
		}
	}
	for _, name := range names {
		require.True(t, strings.Contains(string(text), "`"+name+"`"), "docs/bank.md does not name %s", name)
	}
}

// TestMachines: what leads from a state leads to one that there is, every state
// is reached, and nothing leads out of a final one.
func TestMachines(t *testing.T) {
	t.Parallel()
	for _, machine := range []issuance.Machine{bank.Accounts, bank.Orders} {
		reached := map[string]bool{machine.Initial: true}
		lines := map[string]bool{}
		for range machine.Rules {
			for _, r := range machine.Rules {
				reached[r.To] = reached[r.To] || reached[r.From]
			}
		}
		for _, r := range machine.Rules {
			require.NotEmpty(t, machine.State(r.From).Text.ZH, r.From)
			require.NotEmpty(t, machine.State(r.To).Text.ZH, r.To)
			require.False(t, machine.State(r.From).Final, r.From)
			require.False(t, lines[r.From+"/"+r.Event], "%s: %s stands twice", r.From, r.Event)
			lines[r.From+"/"+r.Event] = true
		}
		for _, s := range machine.States {
			require.True(t, reached[s.Name], "%s: nothing leads to %s", machine.Name, s.Name)
		}
	}
}
