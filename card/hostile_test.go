package card_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/chip/hostile"
	"onecard/card/profile"
)

// line is a hostile chip in a reader, with what was sent to it.
type line struct {
	chip *hostile.Chip
	sent [][]byte
}

func (l *line) Transmit(_ context.Context, command []byte) ([]byte, error) {
	l.sent = append(l.sent, bytes.Clone(command))
	return l.chip.Transmit(command), nil
}

// attempts are the commands sent that a chip counts as attempts.
func (l *line) attempts() (all []string) {
	for _, c := range l.sent {
		if c[1] == 0x82 || (c[1] == 0x20 || c[1] == 0x5E) && len(c) > 5 {
			all = append(all, hex.EncodeToString(c))
		}
	}
	return all
}

// under is one operation on a hostile chip.
type under struct {
	start string // which of the images
	run   func(ctx context.Context, v province, l *line) (genuine bool, err error)
	local bool // without the province, which alone can prove a chip
}

// provincial is an operation that the province drives.
func provincial(start, kind string, begin func(v province, id *card.Identity) (card.Operation, error)) under {
	return under{start: start, run: func(ctx context.Context, v province, l *line) (bool, error) {
		op, _, err := v.driveOn(ctx, l, l.chip.ATR(), kind, func(id *card.Identity) (card.Operation, error) { return begin(v, id) }, pin)
		proven, ok := op.(interface{ Genuine() bool })
		return ok && proven.Genuine(), err
	}}
}

// operations are all operations of the package.
func operations(cardID []byte, intended card.Contents) map[string]under {
	local := func(run func(ctx context.Context, channel *apdu.Channel, p *profile.Profile) error) under {
		return under{start: "made", local: true, run: func(ctx context.Context, v province, l *line) (bool, error) {
			channel := apdu.NewChannel(l)
			if _, err := card.Run(ctx, channel, card.Opening(v.profile, card.ChallengeLength), nil); err != nil {
				return false, err
			}
			l.sent = nil
			return false, run(ctx, channel, v.profile)
		}}
	}
	return map[string]under{
		"read": provincial("made", "read", func(v province, id *card.Identity) (card.Operation, error) { return card.NewRead(v.profile, id) }),
		"inspect": provincial("made", "compare", func(v province, id *card.Identity) (card.Operation, error) {
			return card.NewInspect(v.profile, id, true), nil
		}),
		"personalise": provincial("blank", "personalise", func(v province, id *card.Identity) (card.Operation, error) {
			return card.NewPersonalise(v.profile, id, intended, 1)
		}),
		"personalise again": provincial("made", "personalise", func(v province, id *card.Identity) (card.Operation, error) {
			return card.NewPersonalise(v.profile, id, intended, 1)
		}),
		"activate": provincial("made", "activate", func(v province, id *card.Identity) (card.Operation, error) { return card.NewActivate(v.profile, id) }),
		"unblock":  provincial("made", "unblockPIN", func(v province, id *card.Identity) (card.Operation, error) { return card.NewUnblockPIN(v.profile, id) }),
		"lock": provincial("made", "lock", func(v province, id *card.Identity) (card.Operation, error) {
			return card.NewLock(v.profile, id, cardID, false)
		}),
		"unlock": provincial("locked", "unlock", func(v province, id *card.Identity) (card.Operation, error) {
			return card.NewLock(v.profile, id, cardID, true)
		}),
		"block": provincial("made", "blockCard", func(v province, id *card.Identity) (card.Operation, error) { return card.NewBlockCard(v.profile, id) }),
		"rekey": provincial("made", "rekey", func(v province, id *card.Identity) (card.Operation, error) { return card.NewRekey(v.profile, id, 2) }),
		"access": provincial("made", "access", func(v province, id *card.Identity) (card.Operation, error) {
			return card.NewAccess(v.profile, id, v.items)
		}),
		"verify": local(func(ctx context.Context, ch *apdu.Channel, p *profile.Profile) error {
			return card.VerifyPIN(ctx, ch, p, pin)
		}),
		"change PIN": local(func(ctx context.Context, ch *apdu.Channel, p *profile.Profile) error {
			return card.ChangePIN(ctx, ch, p, pin, pin)
		}),
		"bank": local(func(ctx context.Context, ch *apdu.Channel, p *profile.Profile) error {
			_, err := card.BankNumber(ctx, ch, p)
			return err
		}),
	}
}

// victim is a province with the images of its chips.
type victim struct {
	province
	images     map[string]*chip.Image
	operations map[string]under
}

func newVictim(t *testing.T, version string) victim {
	t.Helper()
	v := victim{province: newProvinceOf(t, version), images: map[string]*chip.Image{}}
	v.items = []card.Item{{Path: "DF01/EF06/telephone", Write: &card.Data{Text: "09718123456"}}, {Path: "DF04/EF06/tag92"}}
	if version == "1.00" {
		v.items = []card.Item{{Path: "SSSE/EF05/cardType"}, {Path: "DF04/EF06/tag92"}}
	}
	keep := func(name string, c *chip.Chip) {
		image, err := c.Image()
		require.NoError(t, err)
		v.images[name] = image
	}
	keep("blank", v.blank(t, 0xB1))
	socket := v.made(t, 0xB2)
	keep("made", socket.Chip)
	keep("other", v.made(t, 0xB3).Chip)
	image := v.images["made"]
	cardID := image.Records["SSSE/EF05"][0]
	v.operations = operations(cardID, contents(t, "马秀兰"))
	_, _, err := v.drive(t.Context(), socket, "lock", func(id *card.Identity) (card.Operation, error) { return card.NewLock(v.profile, id, cardID, false) }, "")
	require.NoError(t, err)
	keep("locked", socket.Chip)
	v.renew(t)
	return v
}

// put inserts a chip; the adversary has been switched on before.
func (v victim) put(t *testing.T, name, start string) *line {
	t.Helper()
	inner := v.insert(t, v.images[start])
	inner.PowerOn()
	if name == "relay" {
		other := v.insert(t, v.images["other"])
		other.PowerOn()
		channel := apdu.NewChannel(&chip.Socket{Chip: other})
		_, err := channel.Send(t.Context(), apdu.Command{INS: 0xA4, P1: 4, Data: v.profile.Environment, Ne: 256})
		require.NoError(t, err)
		return &line{chip: hostile.Relay(inner, other)}
	}
	c, err := hostile.New(name, inner)
	require.NoError(t, err)
	c.PowerOn()
	c.PowerOn()
	return &line{chip: c}
}

// The bounds of one operation, whatever the chip does.
const (
	mostAPDUs = 400
	mostTime  = 5 * time.Second
	mostBytes = 16 << 20
)

// refused requires an error that has its words.
func refused(t *testing.T, err error) {
	t.Helper()
	var known interface {
		Explain() (text, remedy profile.Text)
	}
	require.ErrorAs(t, err, &known, "%v", err)
	text, _ := known.Explain()
	require.NotEmpty(t, text.ZH)
	require.NotEmpty(t, text.EN)
}

// TestHostile puts every adversary under every operation: it is refused by
// name, within bounds, and a chip that does not prove itself is asked nothing
// that it could count. It is not parallel, for it measures what is allocated.
func TestHostile(t *testing.T) {
	all := append(hostile.All(), hostile.Adversary{Name: "relay", False: true})
	for _, version := range []string{"1.00", "2.00", "3.00"} {
		v := newVictim(t, version)
		for _, adversary := range all {
			for name, operation := range v.operations {
				if adversary.Name == "slow" || version != "3.00" && !adversary.False {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", version, adversary.Name, name), func(t *testing.T) {
					l := v.put(t, adversary.Name, operation.start)
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					began := time.Now()
					genuine, err := operation.run(t.Context(), v.province, l)
					require.Less(t, time.Since(began), mostTime)
					runtime.ReadMemStats(&after)
					require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(mostBytes))
					require.Less(t, len(l.sent), mostAPDUs)
					if err != nil {
						refused(t, err)
					}
					attempts := l.attempts()
					seen := map[string]bool{}
					for _, attempt := range attempts {
						require.False(t, seen[attempt], "an attempt is made once")
						seen[attempt] = true
					}
					if adversary.False && !operation.local {
						require.False(t, genuine)
						require.Empty(t, attempts)
						require.True(t, err != nil || name == "inspect")
					}
				})
			}
		}
	}
}

// TestHostileNames says what each adversary is called when it is read.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "3.00")
	want := map[string]error{
		"silent": card.ErrAnswer, "one-byte": card.ErrAnswer, "empty": card.ErrAnswer, "64k": card.ErrAnswer, "dribble": card.ErrAnswer,
		"endless-61": card.ErrAnswer, "endless-61-empty": card.ErrAnswer, "endless-6c": apdu.ErrLength, "shorter": card.ErrAnswer, "longer": card.ErrAnswer,
		"tlv-lying-length": card.ErrAnswer, "tlv-indefinite": card.ErrAnswer, "tlv-nested": card.ErrAnswer, "tlv-four-bytes": card.ErrAnswer,
		"other-tag": card.ErrAnswer, "record-lying-length": card.ErrAnswer, "garbage-text": nil,
		"challenge-short": card.ErrAnswer, "challenge-long": card.ErrAnswer, "challenge-none": card.ErrAnswer, "challenge-same": apdu.ErrWrongSecret,
		"auth-zero": card.ErrNotGenuine, "auth-none": card.ErrNotGenuine, "auth-echo": card.ErrNotGenuine, "replay": card.ErrNotGenuine,
		"clone": card.ErrNotGenuine, "relay": card.ErrNotGenuine,
		"changes-identity": nil, "changes-version": nil, "changes-atr": card.ErrNotGenuine,
		"other-version": apdu.ErrSecurity, "version-of-nobody": card.ErrUnknownVersion, "other-identity": card.ErrNotGenuine,
		"claims-blank": card.ErrNotPersonalised, "claims-finished": nil, "keys-newer": card.ErrUnknownKeys, "keys-unknown": card.ErrNotGenuine,
		"keys-none": card.ErrNotGenuine, "keys-thousands": card.ErrAnswer, "slow": nil,
	}
	for name, want := range want {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			genuine, err := v.operations["read"].run(t.Context(), v.province, v.put(t, name, "made"))
			require.ErrorIs(t, err, want)
			require.Equal(t, want == nil, genuine)
		})
	}
	for _, adversary := range hostile.All() {
		require.Contains(t, want, adversary.Name)
	}
}

// TestHostileText: what a card says in no character set, or to the screen, is
// shown by a sign in its place.
func TestHostileText(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "3.00")
	l := v.put(t, "garbage-text", "made")
	op, _, err := v.driveOn(t.Context(), l, l.chip.ATR(), "read", func(id *card.Identity) (card.Operation, error) { return card.NewRead(v.profile, id) }, "")
	require.NoError(t, err)
	name := values(op.(*card.Read).Values())["name"]
	require.Contains(t, name, "\uFFFD")
	require.NotContains(t, name, "\x1b")
	require.NotContains(t, name, "\n")
}

// TestSlow: who waits no longer is let go at the next command.
func TestSlow(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "3.00")
	for name, operation := range v.operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			l := v.put(t, "slow", operation.start)
			_, err := operation.run(ctx, v.province, l)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Less(t, len(l.sent), 4)
		})
	}
}

// TestEveryStatus answers each command of an operation with status words of
// every class.
func TestEveryStatus(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "3.00")
	words := []apdu.SW{0x0000, 0x6100, 0x6283, 0x63C0, 0x63C3, 0x6581, 0x6700, 0x6985, 0x6A81, 0x6A83, 0x6C08, 0x6D00, 0x6F00, 0x9302, 0xFFFF}
	for name, operation := range v.operations {
		if strings.HasPrefix(name, "personalise") || name == "rekey" {
			continue // the same steps, and as many more as there are keys
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, more := 1, true; more; n++ {
				for _, sw := range words {
					inner := v.insert(t, v.images[operation.start])
					inner.PowerOn()
					l := &line{chip: hostile.At(n, sw, inner)}
					_, err := operation.run(t.Context(), v.province, l)
					if err != nil {
						refused(t, err)
					}
					more = len(l.sent) >= n || operation.local && n < 16
				}
			}
		})
	}
}

// TestForeignWrongKeys: a card of another province loses no attempt.
func TestForeignWrongKeys(t *testing.T) {
	t.Parallel()
	v, other := newVictim(t, "3.00"), newVictim(t, "3.00")
	for name, operation := range v.operations {
		if operation.local || operation.start == "blank" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := v.insert(t, other.images[operation.start])
			c.PowerOn()
			l := &line{chip: hostile.At(0, 0, c)}
			genuine, err := operation.run(t.Context(), v.province, l)
			require.False(t, genuine)
			if name != "inspect" {
				refused(t, err)
				require.False(t, errors.Is(err, card.ErrIncomplete))
			}
			image, err := c.Image()
			require.NoError(t, err)
			for key, slot := range image.Keys {
				require.Equal(t, slot.Most, slot.Tries, key)
			}
		})
	}
}
