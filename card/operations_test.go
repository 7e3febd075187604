package card_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
)

const pin = "270419"

// made returns a personalised and activated card.
func (v province) made(t *testing.T, serial uint32) *chip.Socket {
	t.Helper()
	socket := &chip.Socket{Chip: v.blank(t, serial)}
	_, _, err := v.personalise(t.Context(), socket, contents(t, "马秀兰"))
	require.NoError(t, err)
	_, err = v.activate(t.Context(), socket, pin)
	require.NoError(t, err)
	return socket
}

// renew gives the province the next version of the keys of its cards.
func (v province) renew(t *testing.T) {
	t.Helper()
	for _, scope := range v.profile.Scopes {
		for _, key := range scope.Keys {
			_, err := v.keeper.Rotate(v.profile.KeeperKey(key.Name))
			require.NoError(t, err)
		}
	}
}

// access reads and writes items.
func (v province) access(ctx context.Context, socket *chip.Socket, number string, items ...card.Item) (*card.Access, measure, error) {
	socket.Chip.PowerOn()
	v.items = items
	op, m, err := v.drive(ctx, socket, "access", func(id *card.Identity) (card.Operation, error) { return card.NewAccess(v.profile, id, items) }, number)
	done, _ := op.(*card.Access)
	return done, m, err
}

// TestAccess writes the vectors of all elements and records of each version and
// reads everything. One script for each distinct key to write and to read, and
// the opening.
func TestAccess(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]struct{ write, read measure }{
		"1.00": {measure{1 + 15 + 4, 221}, measure{1 + 4, 135}},
		"2.00": {measure{1 + 25 + 8, 331}, measure{1 + 8, 210}},
		"3.00": {measure{1 + 25 + 8, 330}, measure{1 + 9, 209}},
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			v := newProvinceOf(t, version)
			socket := v.made(t, 0xA1)
			vectors := vectors(t, v.profile)
			var items []card.Item
			written := 0
			for _, item := range card.ReadEverything(v.profile) {
				vector := vectors[item.Path]
				item.Write = &card.Data{Text: vector.Text, Parts: vector.Parts}
				if scope := item.Path[:4]; scope != "SSSE" && item.Path != "DF04/EF08" {
					items = append(items, item)
					written++
				}
			}
			done, m, err := v.access(t.Context(), socket, pin, items...)
			require.NoError(t, err)
			require.True(t, done.Genuine())
			require.Equal(t, want.write, m, "scripts and APDUs of writing and reading back %d elements", written)

			read, m, err := v.access(t.Context(), socket, pin, card.ReadEverything(v.profile)...)
			require.NoError(t, err)
			require.Equal(t, want.read, m, "scripts and APDUs of reading everything")
			for _, value := range read.Values() {
				vector, ok := vectors[value.File+"/"+value.Name]
				if value.Name == "record" {
					vector, ok = vectors[value.File]
				}
				require.True(t, ok, value)
				if value.File[:4] == "SSSE" {
					continue
				}
				require.Equal(t, vector.Text, value.Value, value)
				for _, part := range value.Parts {
					require.Equal(t, vector.Parts[part.Name], part.Value, value)
				}
			}
			require.Greater(t, len(read.Values()), written)
		})
	}
}

// TestAccessScripts counts the scripts of smaller work.
func TestAccessScripts(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	socket := v.made(t, 0xA2)
	telephone := card.Item{Path: "DF01/EF06/telephone", Write: &card.Data{Text: "09718123456"}}
	for name, test := range map[string]struct {
		items []card.Item
		want  measure
	}{
		"one element, free":          {[]card.Item{{Path: "SSSE/EF05/cardType"}}, measure{2, 13}},
		"one element of the holder":  {[]card.Item{{Path: "SSSE/EF06/name"}}, measure{2, 14}},
		"one element of a directory": {[]card.Item{{Path: "DF01/EF06/telephone"}}, measure{2, 15}},
		"written and read back":      {[]card.Item{telephone}, measure{3, 18}},
		"two directories":            {[]card.Item{{Path: "DF01/EF06/telephone"}, {Path: "DF03/EF07/tag70"}}, measure{3, 19}},
		"number and key":             {[]card.Item{{Path: "DF04/EF06/tag92"}}, measure{2, 16}},
		"photograph":                 {[]card.Item{{Path: "SSSE/EF08"}}, measure{2, 31}},
	} {
		t.Run(name, func(t *testing.T) {
			_, m, err := v.access(t.Context(), socket, pin, test.items...)
			require.NoError(t, err)
			require.Equal(t, test.want, m)
		})
	}
	_, _, err := v.access(t.Context(), socket, "999999", card.Item{Path: "DF04/EF06/tag92"})
	var refused *card.PINError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 5, refused.Left)
	for _, item := range []card.Item{{Path: "DF09/EF05/x"}, {Path: "SSSE/EF05"}, {Path: "SSSE/EF05/none"}, {Path: "DF02/EF07/x"}, {Path: "x"}} {
		_, _, err := v.access(t.Context(), socket, pin, item)
		require.ErrorIs(t, err, card.ErrNoTarget, item.Path)
	}
	_, _, err = v.access(t.Context(), socket, pin, card.Item{Path: "DF04/EF08", Write: &card.Data{}})
	require.ErrorIs(t, err, card.ErrNotAllowed)
	var encode *card.EncodeError
	_, _, err = v.access(t.Context(), socket, pin, card.Item{Path: "DF01/EF09/employerName", Write: &card.Data{Text: "𠮷牧业"}})
	require.ErrorAs(t, err, &encode)
	require.Equal(t, '𠮷', encode.Rune)
}

// TestRecords appends records and reads them, the newest first, the oldest
// gone.
func TestRecords(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	socket := v.made(t, 0xA3)
	for _, employer := range []string{"甲", "乙", "丙", "丁", "戊"} {
		_, _, err := v.access(t.Context(), socket, pin, card.Item{Path: "DF02/EF07", Write: &card.Data{Parts: map[string]string{
			"occupation": "1010100", "from": "20240101", "until": "20251231", "employer": employer}}})
		require.NoError(t, err)
	}
	done, _, err := v.access(t.Context(), socket, pin, card.Item{Path: "DF02/EF07"})
	require.NoError(t, err)
	var employers []string
	for _, record := range done.Values() {
		employer, ok := record.Part("employer")
		require.True(t, ok)
		employers = append(employers, employer.Value)
		from, ok := record.Part("from")
		require.True(t, ok)
		day, err := from.Date()
		require.NoError(t, err)
		require.Equal(t, "2024-01-01", day.String())
	}
	require.Equal(t, []string{"戊", "丁", "丙", "乙"}, employers)
}

// TestUnblockPIN gives the attempts back and leaves the number as it is.
func TestUnblockPIN(t *testing.T) {
	t.Parallel()
	for version := range lives {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			v := newProvinceOf(t, version)
			socket := v.made(t, 0xA4)
			channel := apdu.NewChannel(socket)
			for range v.profile.PIN.Tries {
				require.Error(t, card.VerifyPIN(t.Context(), channel, v.profile, "000000"))
			}
			require.ErrorIs(t, card.VerifyPIN(t.Context(), channel, v.profile, pin), apdu.ErrBlockedKey)
			socket.Chip.PowerOn()
			_, m, err := v.drive(t.Context(), socket, "unblockPIN", func(id *card.Identity) (card.Operation, error) { return card.NewUnblockPIN(v.profile, id) }, "")
			require.NoError(t, err)
			require.Equal(t, card.ActivateScripts, m.scripts)
			require.NoError(t, card.VerifyPIN(t.Context(), channel, v.profile, pin))
		})
	}
}

// TestBlockCard ends a card.
func TestBlockCard(t *testing.T) {
	t.Parallel()
	for version := range lives {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			v := newProvinceOf(t, version)
			socket := v.made(t, 0xA5)
			socket.Chip.PowerOn()
			_, m, err := v.drive(t.Context(), socket, "blockCard", func(id *card.Identity) (card.Operation, error) { return card.NewBlockCard(v.profile, id) }, "")
			require.NoError(t, err)
			require.Equal(t, card.LockScripts, m.scripts)
			_, _, err = v.read(t.Context(), socket)
			require.ErrorIs(t, err, card.ErrCardBlocked)
		})
	}
}

// TestRekey changes the keys of a card in the field, cut off at every command.
func TestRekey(t *testing.T) {
	t.Parallel()
	for version := range lives {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			v := newProvinceOf(t, version)
			v.renew(t)
			rekey := func(socket *chip.Socket) (measure, error) {
				socket.Chip.PowerOn()
				_, m, err := v.drive(t.Context(), socket, "rekey", func(id *card.Identity) (card.Operation, error) { return card.NewRekey(v.profile, id, 2) }, "")
				return m, err
			}
			whole := v.made(t, 0xA6)
			before := whole.Count()
			m, err := rekey(whole)
			require.NoError(t, err)
			require.Equal(t, card.RekeyScripts, m.scripts)
			total := whole.Count() - before
			old := image(t, v.made(t, 0xA7))
			for cut := 1; cut <= total; cut++ {
				for _, first := range []bool{true, false} {
					torn := &chip.Socket{Chip: v.insert(t, old), Cut: cut, Before: first}
					_, err := rekey(torn)
					require.ErrorIs(t, err, chip.ErrPower)
					_, err = rekey(torn)
					require.NoError(t, err)
					for _, slot := range image(t, torn).Keys {
						require.Equal(t, byte(2), slot.Version)
					}
					read, _, err := v.read(t.Context(), torn)
					require.NoError(t, err)
					require.True(t, read.Genuine())
				}
			}
			_, err = rekey(whole)
			require.NoError(t, err, "a card that has them already")
		})
	}
}

// TestBankNumber reads the account number beside the social security card.
func TestBankNumber(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"1.00": "", "2.00": "6222000000000001689", "3.00": "6222000000000001689"} {
		v := newProvinceOf(t, version)
		socket := v.made(t, 0xA8)
		channel := apdu.NewChannel(socket)
		number, err := card.BankNumber(t.Context(), channel, v.profile)
		if want == "" {
			require.ErrorIs(t, err, card.ErrNoFinance)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, number)
		_, _, err = v.read(t.Context(), socket)
		require.NoError(t, err)
	}
}

// TestProtected writes with a MAC, and enciphered: each writing takes a
// challenge of its own, and so a script. An altered command is refused, and so
// is a plain one.
func TestProtected(t *testing.T) {
	t.Parallel()
	for version := range lives {
		for _, protection := range []string{profile.ProtectionMAC, profile.ProtectionCipher} {
			t.Run(version+" "+protection, func(t *testing.T) {
				t.Parallel()
				v := newProvinceOf(t, version)
				v.change(func(p *profile.Profile) { p.Choices.Protection = protection })
				socket := v.made(t, 0xAA)
				items := []card.Item{
					{Path: "DF01/EF05/householdAddress", Write: &card.Data{Text: "青海省西宁市城东区"}},
					{Path: "DF01/EF08/maritalStatus", Write: &card.Data{Text: "2"}},
					{Path: "DF01/EF05/householdKind", Write: &card.Data{Text: "1"}},
				}
				done, m, err := v.access(t.Context(), socket, pin, items...)
				require.NoError(t, err)
				require.Equal(t, 1+2+3+1, m.scripts, "opening, two keys, three writings, and the key to read back")
				var read []string
				for _, value := range done.Values() {
					read = append(read, value.Value)
				}
				require.ElementsMatch(t, []string{"青海省西宁市城东区", "2", "1"}, read)
				require.ErrorIs(t, v.altered(t, socket, items[1:2], func(c *apdu.Command) { c.Data[0] ^= 1 }), apdu.ErrMessageMAC)
				require.ErrorIs(t, v.altered(t, socket, items[1:2], func(c *apdu.Command) {
					*c = apdu.Command{INS: c.INS, P1: c.P1, P2: c.P2, Data: []byte{0x2B, 1, '1'}}
				}), apdu.ErrMessageMAC)
			})
		}
	}
}

// altered carries an access out whose protected commands somebody alters.
func (v province) altered(t *testing.T, socket *chip.Socket, items []card.Item, alter func(*apdu.Command)) error {
	t.Helper()
	channel := apdu.NewChannel(socket)
	opened, err := card.Open(t.Context(), channel, v.profiles, socket.Chip.PowerOn(), func(p *profile.Profile) (*card.Script, error) { return card.OpeningFor(p, items) })
	require.NoError(t, err)
	op, err := card.NewAccess(v.profile, opened.Identity, items)
	require.NoError(t, err)
	for in := (card.Input{}); ; {
		script, err := op.Next(t.Context(), v.keeper, in)
		if err != nil || script == nil {
			return err
		}
		for i := range script.Steps {
			if script.Steps[i].Command.CLA == 0x04 {
				alter(&script.Steps[i].Command)
			}
		}
		in.Responses, err = card.Run(t.Context(), channel, script, nil)
		require.NoError(t, err)
	}
}

// TestContactless makes a card in a reader and reads it on another, without
// contacts: the same card, with the same keys.
func TestContactless(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	socket := v.made(t, 0xAB)
	_, contact, err := v.read(t.Context(), socket)
	require.NoError(t, err)
	on := v.insert(t, image(t, socket))
	on.Contactless = true
	laid := &chip.Socket{Chip: on}
	atr := laid.Chip.PowerOn()
	require.Equal(t, []byte{0x3B, 0x8D, 0x80, 0x01}, atr[:4])
	read, m, err := v.read(t.Context(), laid)
	require.NoError(t, err)
	require.True(t, read.Genuine())
	require.Equal(t, socket.Chip.ATR(), read.Identity.ATR, "the card on record")
	require.Equal(t, measure{contact.scripts, contact.apdus - 2}, m, "no GET RESPONSE")
	// Cards of 2.00 have no such side.
	older := newProvinceOf(t, "2.00")
	old := older.insert(t, image(t, older.made(t, 0xAC)))
	old.Contactless = true
	_, _, err = older.read(t.Context(), &chip.Socket{Chip: old})
	require.ErrorIs(t, err, card.ErrUnknownVersion)
}

func image(t *testing.T, socket *chip.Socket) *chip.Image {
	t.Helper()
	image, err := socket.Chip.Image()
	require.NoError(t, err)
	return image
}

// TestAccount credits and debits the account, cut off at every command: what
// was interrupted is found out about, and nothing happens twice.
func TestAccount(t *testing.T) {
	t.Parallel()
	for version := range lives {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			v := newProvinceOf(t, version)
			socket := v.made(t, 0xAD)
			at := time.Date(2026, 11, 23, 9, 30, 15, 0, time.UTC)
			move := func(socket *chip.Socket, number string, m card.Movement) (*card.Account, measure, error) {
				socket.Chip.PowerOn()
				op, measured, err := v.drive(t.Context(), socket, "debit", func(id *card.Identity) (card.Operation, error) { return card.NewAccount(v.profile, id, m) }, number)
				done, _ := op.(*card.Account)
				return done, measured, err
			}
			credit := card.Movement{Credit: true, Amount: 10000, Total: 10000, Terminal: "630100000001", TerminalSerial: 1, At: at}
			debit := card.Movement{Amount: 4580, Total: 5840, Terminal: "630100000002", TerminalSerial: 0x00010002, At: at}
			done, _, err := move(socket, pin, credit)
			require.NoError(t, err)
			require.Equal(t, card.Fen(10000), done.Moved.After)
			_, _, err = move(socket, "111111", debit)
			require.ErrorIs(t, err, apdu.ErrWrongSecret)
			before := socket.Count()
			done, m, err := move(socket, pin, debit)
			require.NoError(t, err)
			require.Equal(t, card.AccountScripts, m.scripts)
			total := socket.Count() - before
			require.Equal(t, card.Moved{Serial: 2, Before: 10000, After: 5420, TAC: done.Moved.TAC, Done: true}, done.Moved)
			debit.Amount, debit.Total = 5421, 5421
			_, _, err = move(socket, pin, debit)
			require.ErrorIs(t, err, apdu.ErrFunds)

			for cut := 1; cut <= total; cut++ {
				for _, first := range []bool{true, false} {
					store := image(t, socket)
					torn := &chip.Socket{Chip: v.insert(t, store), Cut: cut, Before: first}
					debit.Amount, debit.Total = 100, 100
					op, _, err := move(torn, pin, debit)
					require.ErrorIs(t, err, chip.ErrPower)
					if op != nil && op.Moved.Serial != 0 {
						// The request was stored before the chip was asked.
						torn.Chip.PowerOn()
						settled, _, err := v.drive(t.Context(), torn, "debit", func(id *card.Identity) (card.Operation, error) { return op.Settle(id) }, "")
						require.NoError(t, err)
						op = settled.(*card.Account)
					}
					if op == nil || !op.Moved.Done {
						op, _, err = move(torn, pin, debit)
						require.NoError(t, err)
					}
					require.Equal(t, card.Fen(5320), op.Moved.After, "once, %d %v", cut, first)
					read, _, err := v.access(t.Context(), torn, pin, card.Item{Path: "DF04/EF06/tag92"}, card.Item{Path: "DF04/EF08"})
					require.NoError(t, err)
					fen, err := read.Values()[0].Fen()
					require.NoError(t, err)
					require.Equal(t, card.Fen(5320), fen)
					require.Len(t, read.Values(), 1+3, "the balance and three records")
				}
			}
		})
	}
}
