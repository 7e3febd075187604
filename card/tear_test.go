package card_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
)

// tear is the search of all that power cuts can make of a chip while an
// operation runs: before, after and inside each command, at every byte that it
// programs, and again during the recovery from that. What a cut leaves is what
// the chip has kept when it is switched on again; from each such state the
// operation is begun anew, as the province would, and cut again.
type tear struct {
	v province
	// resume carries the operation out on a chip that may be anywhere in it.
	resume func(ctx context.Context, chip apdu.Transmitter, on *chip.Chip) error
	// holds says what is wrong with a chip whose operation has ended.
	holds func(*chip.Image) error
	plain bool // the chip writes in place, without its buffer

	t        *testing.T
	seen     map[[32]byte]bool
	queue    []state
	cases    int
	failures []string
}

// state is what a chip has kept.
type state struct {
	memory *chip.EEPROM
	depth  int // of cuts that led there
	cut    string
}

// cutter is the chip in its reader, at every command of which the power is cut
// in every way, on copies.
type cutter struct {
	*tear
	chip  *chip.Chip
	from  state
	count int
}

func (c *cutter) Transmit(_ context.Context, command []byte) ([]byte, error) {
	if c.from.depth < 2 {
		c.count++
		c.cutInside(command)
	}
	return c.chip.Transmit(command), nil
}

// cutInside tries all cuts at one command.
func (c *cutter) cutInside(command []byte) {
	whole, memory, err := c.chip.Fork()
	require.NoError(c.t, err)
	memory.CutAt(0, chip.TornOld)
	before := memory.Clone()
	whole.Transmit(command)
	c.found(before, fmt.Sprintf("before command %d", c.count))
	c.found(memory.Clone(), fmt.Sprintf("after command %d", c.count))
	for event := 1; event <= memory.Events(); event++ {
		// Later cuts are sampled: the first ones have shown each write atomic.
		if c.from.depth > 0 && (event+c.count)%11 != 0 {
			continue
		}
		for _, torn := range []chip.Torn{chip.TornOld, chip.TornNew, chip.TornBad} {
			fork, own, err := c.chip.Fork()
			require.NoError(c.t, err)
			own.CutAt(event, torn)
			fork.Transmit(command)
			where := fmt.Sprintf("command %d byte %d as %d", c.count, event, torn)
			if c.from.depth == 0 && torn == chip.TornBad {
				c.cutRecovery(own, where)
			}
			c.found(own.Clone(), where)
		}
	}
}

// cutRecovery cuts the power again at every byte that the recovery programs.
func (c *cutter) cutRecovery(memory *chip.EEPROM, where string) {
	// Every byte of the recovery is cut, shared out over the cuts before it.
	const step = 5
	whole := memory.Clone()
	whole.CutAt(0, chip.TornOld)
	if whole.Recover() != nil {
		c.fail("%s: the recovery fails", where)
		return
	}
	for event := 1 + c.cases%step; event <= whole.Events(); event += step {
		again := memory.Clone()
		again.CutAt(event, chip.TornBad)
		if err := again.Recover(); !errors.Is(err, chip.ErrPower) {
			c.fail("%s: the cut of the recovery at %d had no effect", where, event)
		}
		c.found(again.Clone(), fmt.Sprintf("%s, recovery byte %d", where, event))
	}
}

// found takes a state that a cut has led to: what the chip keeps when it is
// switched on.
func (c *cutter) found(memory *chip.EEPROM, where string) {
	c.cases++
	if err := memory.Recover(); err != nil {
		c.fail("%s: %v", where, err)
		return
	}
	sum := sha256.Sum256(memory.Content())
	if !c.seen[sum] {
		c.seen[sum] = true
		c.queue = append(c.queue, state{memory, c.from.depth + 1, where})
	}
}

func (r *tear) fail(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// run searches from an image, at most limit states.
func (r *tear) run(t *testing.T, image *chip.Image, limit int) {
	t.Helper()
	r.t, r.seen = t, map[[32]byte]bool{}
	memory, err := chip.NewEEPROM(r.v.profile, image)
	require.NoError(t, err)
	memory.Plain = r.plain
	r.seen[sha256.Sum256(memory.Content())] = true
	r.queue = []state{{memory, 0, "the beginning"}}
	for n := 0; len(r.queue) > 0 && n < limit; n++ {
		s := r.queue[0]
		r.queue = r.queue[1:]
		if err := r.try(s); err != nil {
			r.fail("%s: %v", s.cut, err)
		}
		if r.plain && n == 0 && len(r.queue) > limit {
			// A chip without a buffer has a state for each byte: some, evenly.
			every := len(r.queue) / limit
			for i := range limit {
				r.queue[i] = r.queue[i*every]
			}
			r.queue = r.queue[:limit]
		}
	}
}

func (r *tear) try(s state) error {
	on, err := chip.New(r.v.profiles, s.memory.Clone(), nil)
	if err != nil {
		return err
	}
	on.PowerOn()
	if err := r.resume(r.t.Context(), &cutter{tear: r, chip: on, from: s}, on); err != nil {
		return err
	}
	image, err := on.Image()
	if err != nil {
		return err
	}
	return r.holds(image)
}

// work runs an operation on a chip to its end, through JSON between scripts.
func (v province) work(ctx context.Context, transmitter apdu.Transmitter, on *chip.Chip, kind, number string, begin func(*card.Identity) (card.Operation, error)) error {
	_, _, err := v.driveOn(ctx, transmitter, on.ATR(), kind, begin, number)
	return err
}

// complete says what is missing in a card with its keys of a version: no
// counter is spent.
func complete(version byte, spent int) func(*chip.Image) error {
	return func(image *chip.Image) error {
		if image.LifeCycle != 3 {
			return fmt.Errorf("life cycle %d", image.LifeCycle)
		}
		for name, slot := range image.Keys {
			if slot.Version != version || int(slot.Most)-int(slot.Tries) > spent {
				return fmt.Errorf("key %s: version %d, %d of %d attempts", name, slot.Version, slot.Tries, slot.Most)
			}
		}
		return nil
	}
}

// plainChip turns the search red: go test -run TestTearEverywhere ./card -plain
var plainChip = flag.Bool("plain", false, "the software chip writes in place, without its buffer")

// TestTearEverywhere prints the number of cases for each version and operation.
func TestTearEverywhere(t *testing.T) {
	t.Parallel()
	exhaustive(t)
	for version, life := range lives {
		for _, test := range tears(life.name) {
			t.Run(version+" "+test.name, func(t *testing.T) {
				t.Parallel()
				v := newProvinceOf(t, version)
				r := test.search(t, v)
				r.plain = *plainChip
				image := test.start(t, v)
				r.run(t, image, 400)
				t.Logf("%d power cuts, %d states of the chip", r.cases, len(r.seen))
				require.Empty(t, r.failures)
				require.Empty(t, r.queue, "all states were tried")
				require.Greater(t, r.cases, 10)
			})
		}
	}
}

// TestTearOfPlainChip is the negative control: the same search on a chip that
// writes in place finds cards that nothing brings back.
func TestTearOfPlainChip(t *testing.T) {
	t.Parallel()
	exhaustive(t)
	for version, life := range lives {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			failures := 0
			for _, test := range tears(life.name)[2:] {
				v := newProvinceOf(t, version)
				r := test.search(t, v)
				r.plain = true
				r.run(t, test.start(t, v), 40)
				t.Logf("%s: %d power cuts, %d states seen, 40 tried: %d failures, such as %v", test.name, r.cases, len(r.seen), len(r.failures), r.failures[:min(1, len(r.failures))])
				failures += len(r.failures)
			}
			require.NotZero(t, failures, "the search would not notice")
		})
	}
}

// tornTest is an operation that writes.
type tornTest struct {
	name   string
	start  func(*testing.T, province) *chip.Image
	search func(*testing.T, province) *tear
}

func tears(name string) []tornTest {
	blank := func(t *testing.T, v province) *chip.Image { return image(t, &chip.Socket{Chip: v.blank(t, 0x7E)}) }
	made := func(t *testing.T, v province) *chip.Image { return image(t, v.made(t, 0x7F)) }
	channelled := func(t *testing.T, v province) *chip.Image {
		return image(t, &chip.Socket{Chip: v.platformBlank(t, v.maker(t, "gp-scp03"), 0x7D)})
	}
	return []tornTest{
		{"personalise through a channel", channelled, func(t *testing.T, v province) *tear {
			v.withPlatform(t)
			intended := contents(t, name)
			return &tear{v: v, holds: complete(1, 0), resume: func(ctx context.Context, reader apdu.Transmitter, on *chip.Chip) error {
				return v.work(ctx, reader, on, "personalise", "", func(id *card.Identity) (card.Operation, error) {
					return card.NewPersonalise(v.profile, id, intended, 1)
				})
			}}
		}},
		{"personalise", blank, func(t *testing.T, v province) *tear {
			intended := contents(t, name)
			return &tear{v: v, holds: complete(1, 0), resume: func(ctx context.Context, reader apdu.Transmitter, on *chip.Chip) error {
				return v.work(ctx, reader, on, "personalise", "", func(id *card.Identity) (card.Operation, error) {
					return card.NewPersonalise(v.profile, id, intended, 1)
				})
			}}
		}},
		{"activate", blankMade, func(_ *testing.T, v province) *tear {
			return &tear{v: v, holds: func(image *chip.Image) error {
				if fmt.Sprintf("%X", []byte(image.PIN)) != pin || image.PINTries != v.profile.PIN.Tries {
					return fmt.Errorf("PIN of %d bytes, %d attempts", len(image.PIN), image.PINTries)
				}
				return complete(1, 1)(image)
			}, resume: func(ctx context.Context, reader apdu.Transmitter, on *chip.Chip) error {
				return v.work(ctx, reader, on, "activate", pin, func(id *card.Identity) (card.Operation, error) { return card.NewActivate(v.profile, id) })
			}}
		}},
		{"write elements and a record", made, func(_ *testing.T, v province) *tear {
			items := []card.Item{
				{Path: "DF01/EF06/telephone", Write: &card.Data{Text: "09718123456"}},
				{Path: "DF02/EF07", Write: &card.Data{Parts: map[string]string{"employer": "甲", "from": "20240101"}}},
			}
			return &tear{v: v, holds: complete(1, 1), resume: func(ctx context.Context, reader apdu.Transmitter, on *chip.Chip) error {
				v.items = items
				return v.work(ctx, reader, on, "access", pin, func(id *card.Identity) (card.Operation, error) { return card.NewAccess(v.profile, id, items) })
			}}
		}},
		{"change keys", made, func(t *testing.T, v province) *tear {
			v.renew(t)
			return &tear{v: v, holds: complete(2, 0), resume: func(ctx context.Context, reader apdu.Transmitter, on *chip.Chip) error {
				return v.work(ctx, reader, on, "rekey", "", func(id *card.Identity) (card.Operation, error) { return card.NewRekey(v.profile, id, 2) })
			}}
		}},
		{"verify and change the number", made, func(_ *testing.T, v province) *tear {
			return &tear{v: v, holds: func(image *chip.Image) error {
				if image.PINTries < v.profile.PIN.Tries-1 {
					return fmt.Errorf("%d attempts left", image.PINTries)
				}
				return nil
			}, resume: func(ctx context.Context, reader apdu.Transmitter, on *chip.Chip) error {
				image, err := on.Image()
				if err != nil {
					return err
				}
				now := fmt.Sprintf("%X", []byte(image.PIN))
				if now != pin && now != "314159" || image.PINTries < v.profile.PIN.Tries-2 {
					return fmt.Errorf("another number, or %d attempts left", image.PINTries)
				}
				channel := apdu.NewChannel(reader)
				if _, err := card.Run(ctx, channel, card.Opening(v.profile, 8), nil); err != nil {
					return err
				}
				if err := card.VerifyPIN(ctx, channel, v.profile, now); err != nil || now != pin {
					return err
				}
				return card.ChangePIN(ctx, channel, v.profile, pin, "314159")
			}}
		}},
		{"unblock the number", spentNumber, func(_ *testing.T, v province) *tear {
			return &tear{v: v, holds: func(image *chip.Image) error {
				if fmt.Sprintf("%X", []byte(image.PIN)) != pin || image.PINTries != v.profile.PIN.Tries {
					return fmt.Errorf("PIN of %d bytes, %d attempts", len(image.PIN), image.PINTries)
				}
				return complete(1, 1)(image)
			}, resume: func(ctx context.Context, reader apdu.Transmitter, on *chip.Chip) error {
				return v.work(ctx, reader, on, "unblockPIN", "", func(id *card.Identity) (card.Operation, error) { return card.NewUnblockPIN(v.profile, id) })
			}}
		}},
		{"block the card", made, func(_ *testing.T, v province) *tear {
			return &tear{v: v, holds: func(image *chip.Image) error {
				if !image.CardBlocked || image.LifeCycle != 0x7F {
					return errors.New("the card is not blocked")
				}
				ended := *image
				ended.LifeCycle = 3 // else as it was
				return complete(1, 0)(&ended)
			}, resume: func(ctx context.Context, reader apdu.Transmitter, on *chip.Chip) error {
				err := v.work(ctx, reader, on, "blockCard", "", func(id *card.Identity) (card.Operation, error) { return card.NewBlockCard(v.profile, id) })
				if errors.Is(err, card.ErrCardBlocked) {
					return nil // that is what was wanted
				}
				return err
			}}
		}},
		{"lock and unlock", made, func(_ *testing.T, v province) *tear {
			return &tear{v: v, holds: complete(1, 0), resume: func(ctx context.Context, reader apdu.Transmitter, on *chip.Chip) error {
				image, err := on.Image()
				if err != nil {
					return err
				}
				cardID := slices.Clone(image.Records["SSSE/EF05"][0])
				for _, unlock := range []bool{false, true} {
					if image.ApplicationBlocked && !unlock {
						continue
					}
					kind := map[bool]string{false: "lock", true: "unlock"}[unlock]
					if err := v.work(ctx, reader, on, kind, "", func(id *card.Identity) (card.Operation, error) { return card.NewLock(v.profile, id, cardID, unlock) }); err != nil {
						return err
					}
				}
				return nil
			}}
		}},
	}
}

// spentNumber is a card whose number is blocked.
func spentNumber(t *testing.T, v province) *chip.Image {
	image := image(t, v.made(t, 0x7C))
	image.PINTries = 0
	return image
}

// blankMade is a card before it was handed over.
func blankMade(t *testing.T, v province) *chip.Image {
	socket := &chip.Socket{Chip: v.blank(t, 0x7D)}
	_, _, err := v.personalise(t.Context(), socket, contents(t, "马秀兰"))
	require.NoError(t, err)
	return image(t, socket)
}
