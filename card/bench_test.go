package card_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/keys"
)

// noted is a keeper that notes what it is asked, to be asked again for another
// card, and how many blocks of the cipher and how many keys the answer needs
// when nothing is kept from one question to the next.
type noted struct {
	*keys.Keeper
	ask          []func(ctx context.Context, keeper *keys.Keeper, serial uint64) error
	blocks, keys int
}

// forCard is the key of another card: the last factor is the card's.
func forCard(key card.Key, serial uint64) card.Key {
	if n := len(key.Factors); n > 0 {
		key.Factors = append(slices.Clone(key.Factors[:n-1]), binary.BigEndian.AppendUint64(nil, serial))
	}
	return key
}

// count counts a derivation through each factor, and what is done with the key.
func (n *noted) count(key card.Key, blocks, keys int) {
	n.blocks += len(key.Factors) + blocks
	n.keys += len(key.Factors) + keys
}

// macBlocks is the length of a padded message in blocks.
func macBlocks(message int) int { return message/16 + 1 }

// Cryptogram implements card.Keeper.
func (n *noted) Cryptogram(ctx context.Context, key card.Key, r1, r2 []byte) ([]byte, error) {
	n.count(key, 2, 2)
	n.ask = append(n.ask, func(ctx context.Context, keeper *keys.Keeper, serial uint64) error {
		_, err := keeper.Cryptogram(ctx, forCard(key, serial), r1, r2)
		return err
	})
	return n.Keeper.Cryptogram(ctx, key, r1, r2)
}

// WrapKey implements card.Keeper.
func (n *noted) WrapKey(ctx context.Context, under, target card.Key, attributes [3]byte, header, iv []byte) ([]byte, []byte, error) {
	n.count(target, 0, 0)
	n.count(under, 2+macBlocks(len(header)+32), 1)
	n.ask = append(n.ask, func(ctx context.Context, keeper *keys.Keeper, serial uint64) error {
		_, _, err := keeper.WrapKey(ctx, forCard(under, serial), forCard(target, serial), attributes, header, iv)
		return err
	})
	return n.Keeper.WrapKey(ctx, under, target, attributes, header, iv)
}

// DirectMAC implements card.Keeper.
func (n *noted) DirectMAC(ctx context.Context, key card.Key, iv, message []byte) ([]byte, error) {
	n.count(key, macBlocks(len(message)), 1)
	n.ask = append(n.ask, func(ctx context.Context, keeper *keys.Keeper, serial uint64) error {
		_, err := keeper.DirectMAC(ctx, forCard(key, serial), iv, message)
		return err
	})
	return n.Keeper.DirectMAC(ctx, key, iv, message)
}

// note personalises one software chip.
func (v province) note(t testing.TB) *noted {
	t.Helper()
	n := &noted{Keeper: v.keeper}
	socket := &chip.Socket{Chip: v.blank(t, 0x00BF7C7A)}
	channel := apdu.NewChannel(socket)
	socket.Chip.PowerOn()
	responses, err := card.Run(t.Context(), channel, card.Opening(v.profile, 16), nil)
	require.NoError(t, err)
	id, err := card.Identify(v.profile, socket.Chip.ATR(), responses)
	require.NoError(t, err)
	op, err := card.NewPersonalise(v.profile, id, contents(t, "李娜"), 1)
	require.NoError(t, err)
	for in := (card.Input{}); ; {
		script, err := op.Next(t.Context(), n, in)
		require.NoError(t, err)
		if script == nil {
			break
		}
		in.Responses, err = card.Run(t.Context(), channel, script, nil)
		require.NoError(t, err)
	}
	require.True(t, op.Genuine())
	return n
}

// BenchmarkKeeper asks the software keeper all that a personalisation asks it,
// for one card of the same city after the other: every key diversified and
// wrapped, every proof and every MAC. By turns OpenSSL enciphers as many
// blocks; ratio is the keeper's time to OpenSSL's, without and with the
// expansion of as many keys.
func BenchmarkKeeper(b *testing.B) {
	v := newProvince(b)
	n := v.note(b)
	const cards = 20
	openssl := startOpenSSL(b)
	var ours, blocks, both []time.Duration
	serial := uint64(0)
	for b.Loop() {
		begin := time.Now()
		for range cards {
			serial++
			for _, ask := range n.ask {
				if err := ask(b.Context(), v.keeper, serial); err != nil {
					b.Fatal(err)
				}
			}
		}
		ours = append(ours, time.Since(begin))
		blocks = append(blocks, openssl(cards*n.blocks, 0))
		both = append(both, openssl(cards*n.blocks, cards*n.keys))
	}
	perCard := median(ours) / cards
	b.ReportMetric(float64(time.Second)/float64(perCard), "cards/s")
	b.ReportMetric(float64(perCard.Microseconds()), "us/card")
	b.ReportMetric(float64(n.blocks), "blocks/card")
	b.ReportMetric(float64(median(ours))/float64(median(blocks)), "ratio-blocks")
	b.ReportMetric(float64(median(ours))/float64(median(both)), "ratio-blocks+keys")
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// startOpenSSL starts the program that enciphers with OpenSSL.
func startOpenSSL(b *testing.B) func(blocks, keys int) time.Duration {
	b.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		b.Skip("nothing to compare with: cc is missing")
	}
	program := filepath.Join(b.TempDir(), "sm4")
	out, err := exec.Command("cc", "-O2", "-o", program, "testdata/sm4.c", "-lcrypto").CombinedOutput()
	require.NoError(b, err, string(out))
	command := exec.Command(program)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	require.NoError(b, err)
	answers, err := command.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, command.Start())
	b.Cleanup(func() {
		require.NoError(b, in.Close())
		require.NoError(b, command.Wait())
	})
	scanner := bufio.NewScanner(answers)
	return func(blocks, keys int) time.Duration {
		_, err := fmt.Fprintln(in, blocks, keys)
		require.NoError(b, err)
		require.True(b, scanner.Scan())
		nanoseconds, err := strconv.ParseInt(scanner.Text(), 10, 64)
		require.NoError(b, err)
		return time.Duration(nanoseconds)
	}
}
