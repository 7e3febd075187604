package card_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
)

// costs is what each operation takes besides those of TestLife and
// TestAccessScripts: scripts with the opening, and commands to the chip, by
// version. docs/chip-work.md has those of 3.00.
var costs = map[string]map[string]measure{
	"1.00": {
		"refresh": {2, 26}, "resetPIN": {3, 16}, "unblockPIN": {3, 16}, "credit": {3, 19}, "debit": {3, 19}, "rekey": {2, 46},
		"lock": {2, 14}, "unlock": {2, 12}, "verify PIN": {0, 12}, "change PIN": {0, 12}, "blockCard": {2, 14},
	},
	"2.00": {
		"refresh": {2, 28}, "resetPIN": {3, 16}, "unblockPIN": {3, 16}, "credit": {3, 19}, "debit": {3, 19}, "rekey": {2, 65},
		"lock": {2, 14}, "unlock": {2, 12}, "verify PIN": {0, 12}, "change PIN": {0, 12}, "blockCard": {2, 14},
	},
	"3.00": {
		"refresh": {3, 29}, "resetPIN": {3, 15}, "unblockPIN": {3, 15}, "credit": {3, 18}, "debit": {3, 18}, "rekey": {2, 64},
		"lock": {2, 13}, "unlock": {2, 12}, "verify PIN": {0, 11}, "change PIN": {0, 11}, "blockCard": {2, 13},
	},
}

// TestCosts counts what passes between reader and chip. The work is in the order
// in which a card can meet it.
func TestCosts(t *testing.T) {
	t.Parallel()
	for version := range lives {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			v := newProvinceOf(t, version)
			v.renew(t)
			socket := v.made(t, 0xC0)
			cardID := image(t, socket).Records["SSSE/EF05"][0]
			at := time.Date(2026, 11, 23, 9, 30, 15, 0, time.UTC)
			found := map[string]measure{}
			for _, work := range []struct {
				name, kind string
				begin      func(*card.Identity) (card.Operation, error)
			}{
				{"refresh", "access", func(id *card.Identity) (card.Operation, error) {
					items, err := contents(t, "马秀兰").HolderItems(v.profile)
					require.NoError(t, err)
					return card.NewAccess(v.profile, id, items)
				}},
				{"resetPIN", "activate", func(id *card.Identity) (card.Operation, error) { return card.NewActivate(v.profile, id) }},
				{"unblockPIN", "unblockPIN", func(id *card.Identity) (card.Operation, error) { return card.NewUnblockPIN(v.profile, id) }},
				{"credit", "debit", func(id *card.Identity) (card.Operation, error) {
					return card.NewAccount(v.profile, id, card.Movement{Credit: true, Amount: 10000, Total: 10000, Terminal: "630100000001", TerminalSerial: 1, At: at})
				}},
				{"debit", "debit", func(id *card.Identity) (card.Operation, error) {
					return card.NewAccount(v.profile, id, card.Movement{Amount: 100, Total: 200, Terminal: "630100000001", TerminalSerial: 2, At: at})
				}},
				{"rekey", "rekey", func(id *card.Identity) (card.Operation, error) { return card.NewRekey(v.profile, id, 2) }},
				{"lock", "lock", func(id *card.Identity) (card.Operation, error) { return card.NewLock(v.profile, id, cardID, false) }},
				{"unlock", "unlock", func(id *card.Identity) (card.Operation, error) { return card.NewLock(v.profile, id, cardID, true) }},
				{"blockCard", "blockCard", func(id *card.Identity) (card.Operation, error) { return card.NewBlockCard(v.profile, id) }},
			} {
				if work.name == "blockCard" {
					found["verify PIN"] = v.alone(t, socket, func(ctx context.Context, channel *apdu.Channel) error {
						return card.VerifyPIN(ctx, channel, v.profile, pin)
					})
					found["change PIN"] = v.alone(t, socket, func(ctx context.Context, channel *apdu.Channel) error {
						return card.ChangePIN(ctx, channel, v.profile, pin, "271828")
					})
				}
				socket.Chip.PowerOn()
				v.items, _ = contents(t, "马秀兰").HolderItems(v.profile)
				_, m, err := v.drive(t.Context(), socket, work.kind, work.begin, pin)
				require.NoError(t, err, work.name)
				found[work.name] = m
			}
			require.Equal(t, costs[version], found)
		})
	}
}

// alone counts work of the counter alone, opening included.
func (v province) alone(t *testing.T, socket *chip.Socket, work func(context.Context, *apdu.Channel) error) measure {
	t.Helper()
	socket.Chip.PowerOn()
	counter := &counted{Transmitter: socket}
	channel := apdu.NewChannel(counter)
	_, err := card.Run(t.Context(), channel, card.Opening(v.profile, card.ChallengeLength), nil)
	require.NoError(t, err)
	require.NoError(t, work(t.Context(), channel))
	return measure{0, counter.sent}
}
