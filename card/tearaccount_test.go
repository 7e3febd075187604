package card_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
)

// lastCommand is a chip whose power goes at a command, in every way at once:
// what is left each time is kept.
type lastCommand struct {
	*testing.T
	chip   *chip.Chip
	number int

	count int
	left  []*chip.EEPROM
}

var errLastCommand = errors.New("the power is gone")

func (l *lastCommand) Transmit(_ context.Context, command []byte) ([]byte, error) {
	if l.count++; l.count < l.number {
		return l.chip.Transmit(command), nil
	}
	if l.count > l.number {
		return nil, errLastCommand
	}
	whole, memory, err := l.chip.Fork()
	require.NoError(l, err)
	memory.CutAt(0, chip.TornOld)
	l.left = append(l.left, memory.Clone())
	whole.Transmit(command)
	l.left = append(l.left, memory.Clone())
	for event := 1; event <= memory.Events(); event++ {
		for _, torn := range []chip.Torn{chip.TornOld, chip.TornNew, chip.TornBad} {
			fork, own, err := l.chip.Fork()
			require.NoError(l, err)
			own.CutAt(event, torn)
			fork.Transmit(command)
			l.left = append(l.left, own.Clone())
		}
	}
	return nil, errLastCommand
}

// TestTearAccount cuts the power at every byte that a debit programs. What was
// asked is on record by then; whatever the chip has kept, the account pays once.
func TestTearAccount(t *testing.T) {
	t.Parallel()
	exhaustive(t)
	for version := range lives {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			v := newProvinceOf(t, version)
			movement := card.Movement{Credit: true, Amount: 10000, Total: 10000, Terminal: "630100000001", TerminalSerial: 1, At: time.Date(2026, 11, 23, 9, 30, 15, 0, time.UTC)}
			move := func(transmitter apdu.Transmitter, atr []byte) (*card.Account, error) {
				op, _, err := v.driveOn(t.Context(), transmitter, atr, "debit", func(id *card.Identity) (card.Operation, error) {
					return card.NewAccount(v.profile, id, movement)
				}, pin)
				done, _ := op.(*card.Account)
				return done, err
			}
			socket := v.made(t, 0xAE)
			socket.Chip.PowerOn()
			_, err := move(socket, socket.Chip.ATR())
			require.NoError(t, err)
			start := image(t, socket)
			movement = card.Movement{Amount: 4580, Total: 5840, Terminal: "630100000002", TerminalSerial: 2, At: movement.At}

			on := func(memory *chip.EEPROM) *chip.Chip {
				c, err := chip.New(v.profiles, memory, nil)
				require.NoError(t, err)
				c.PowerOn()
				return c
			}
			cases, carriedOut := 0, 0
			for number := 1; ; number++ {
				memory, err := chip.NewEEPROM(v.profile, start)
				require.NoError(t, err)
				last := &lastCommand{T: t, chip: on(memory), number: number}
				asked, err := move(last, last.chip.ATR())
				if err == nil {
					break // it has fewer commands
				}
				require.ErrorIs(t, err, errLastCommand)
				for _, memory := range last.left {
					cases++
					if v.settles(t, on(memory), asked, move) {
						carriedOut++
					}
				}
			}
			t.Logf("%d power cuts, in %d of them the chip had paid", cases, carriedOut)
			require.Greater(t, carriedOut, 1)
			require.Greater(t, cases, carriedOut)
		})
	}
}

// settles finds out what became of what the chip was asked, has it done where it
// was not, and says which.
func (v province) settles(t *testing.T, on *chip.Chip, asked *card.Account, move func(apdu.Transmitter, []byte) (*card.Account, error)) (paid bool) {
	t.Helper()
	socket := &chip.Socket{Chip: on}
	if asked != nil && asked.Moved.Serial != 0 {
		op, _, err := v.drive(t.Context(), socket, "debit", func(id *card.Identity) (card.Operation, error) { return asked.Settle(id) }, "")
		require.NoError(t, err)
		paid = op.(*card.Account).Moved.Done
	}
	if !paid {
		done, err := move(socket, on.ATR())
		require.NoError(t, err)
		require.True(t, done.Moved.Done)
	}
	read, _, err := v.access(t.Context(), socket, pin, card.Item{Path: "DF04/EF06/tag92"}, card.Item{Path: "DF04/EF08"})
	require.NoError(t, err)
	balance, err := read.Values()[0].Fen()
	require.NoError(t, err)
	require.Equal(t, card.Fen(5420), balance)
	require.Len(t, read.Values(), 1+2, "the balance and two records")
	return paid
}
