package terminal_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/card/chip"
	"onecard/card/order"
	"onecard/card/profile"
	"onecard/terminal"
)

// readerName is the only reader of a bench.
const readerName = "Bench Reader 00 00"

// plastic is a card in somebody's hand: what its chip keeps without power.
type plastic struct {
	t        *testing.T
	profiles []*profile.Profile
	store    *chip.Memory
}

func carrying(t *testing.T, image *chip.Image) *plastic {
	t.Helper()
	store, err := chip.NewMemory(image)
	require.NoError(t, err)
	return &plastic{t, profiles(t), store}
}

// serials gives each chip of this test process a serial of its own.
var serials atomic.Uint32

// blank is a maker's blank.
func blank(t *testing.T) *plastic {
	t.Helper()
	image, err := chip.Blank(profiles(t)[0], [4]byte(binary.BigEndian.AppendUint32(nil, serials.Add(1))), makerKey)
	require.NoError(t, err)
	return carrying(t, image)
}

// image is what the chip keeps now.
func (p *plastic) image() *chip.Image {
	p.t.Helper()
	image, err := p.store.Load()
	require.NoError(p.t, err)
	return image
}

// bench is a machine with one reader and software chips, in the place of the
// PC/SC stack.
type bench struct {
	t *testing.T

	mu      sync.Mutex
	report  func(terminal.Change)
	socket  *chip.Socket // the card in the reader, nil for none
	failing error        // of Connect
	before  func(command int)
	open    int
	most    int // connections open at once
}

func newBench(t *testing.T) *bench { return &bench{t: t} }

// newStation brings a station with a bench to life.
func newStation(t *testing.T, kind string, orders order.Reader) (*terminal.Station, *bench) {
	t.Helper()
	b := newBench(t)
	station := terminal.NewStation(terminal.StationConfig{
		Readers: b, Profiles: profiles(t), Kind: kind, Logger: slog.New(slog.DiscardHandler), Orders: orders,
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error)
	go func() { ended <- station.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	require.Eventually(t, func() bool { return station.State().Reader == readerName }, wait, tick)
	return station, b
}

const (
	wait = 10 * time.Second
	tick = 2 * time.Millisecond
)

// shows waits until a station shows a kind of card.
func shows(t *testing.T, station *terminal.Station, kind string) terminal.State {
	t.Helper()
	state := station.State()
	for deadline := time.Now().Add(wait); state.Card.Kind != kind; state = station.State() {
		require.True(t, time.Now().Before(deadline), "shows %+v, not %s", state.Card, kind)
		time.Sleep(tick)
	}
	return state
}

// Watch implements terminal.Readers.
func (b *bench) Watch(ctx context.Context, report func(terminal.Change)) error {
	b.mu.Lock()
	b.report = report
	b.mu.Unlock()
	report(terminal.Change{Reader: readerName})
	<-ctx.Done()
	return ctx.Err()
}

// tell reports what is in the reader now.
func (b *bench) tell() {
	b.mu.Lock()
	change, report := terminal.Change{Reader: readerName}, b.report
	if b.socket != nil {
		change.ATR = b.socket.Chip.ATR()
	}
	b.mu.Unlock()
	report(change)
}

// insert puts a card into the reader and switches it on.
func (b *bench) insert(p *plastic) *chip.Socket {
	b.t.Helper()
	c, err := chip.New(p.profiles, p.store, nil)
	require.NoError(b.t, err)
	c.PowerOn()
	socket := &chip.Socket{Chip: c}
	b.mu.Lock()
	b.socket = socket
	b.mu.Unlock()
	b.tell()
	return socket
}

// tear says when the card is torn out: at a command of the work, before the chip
// has carried it out, or after, when its answer is lost.
type tear struct {
	cut    int
	before bool
}

type tearKey struct{}

// torn returns the context of work during which the card is torn out. Other
// work with the card, such as the station's own look at it, is left alone.
func torn(ctx context.Context, t tear) context.Context { return context.WithValue(ctx, tearKey{}, t) }

// remove takes the card out.
func (b *bench) remove() {
	b.mu.Lock()
	b.socket = nil
	b.mu.Unlock()
	b.tell()
}

// hook has something done before each command from the next connection on.
func (b *bench) hook(before func(command int)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before = before
}

// fail lets connections fail.
func (b *bench) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing = err
}

// Connect implements terminal.Readers.
func (b *bench) Connect(ctx context.Context, _ string) (terminal.Chip, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.failing != nil:
		return nil, b.failing
	case b.socket == nil:
		return nil, terminal.ErrNoCard
	}
	b.open++
	b.most = max(b.most, b.open)
	line := b.socket
	if t, ok := ctx.Value(tearKey{}).(tear); ok {
		line = &chip.Socket{Chip: line.Chip, Cut: t.cut, Before: t.before}
	}
	return &connection{b, b.socket, line, b.before, 0}, nil
}

// connection is a bench's card while somebody works with it.
type connection struct {
	bench  *bench
	socket *chip.Socket // in the reader
	line   *chip.Socket // to the same chip
	before func(command int)
	count  int
}

// ATR implements terminal.Chip.
func (c *connection) ATR() []byte { return c.socket.Chip.ATR() }

// Close implements terminal.Chip.
func (c *connection) Close() error {
	c.bench.mu.Lock()
	defer c.bench.mu.Unlock()
	c.bench.open--
	return nil
}

// Transmit implements apdu.Transmitter.
func (c *connection) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	c.count++
	if c.before != nil {
		c.before(c.count)
	}
	c.bench.mu.Lock()
	present := c.bench.socket == c.socket
	c.bench.mu.Unlock()
	if !present {
		return nil, terminal.ErrRemoved
	}
	answer, err := c.line.Transmit(ctx, command)
	if err != nil {
		c.bench.remove()
		return nil, terminal.ErrRemoved.Because(err)
	}
	return answer, nil
}
