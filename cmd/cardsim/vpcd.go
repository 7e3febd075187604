package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"sync"
	"syscall"
	"time"

	"onecard/card/chip/hostile"
)

// The one-byte messages of the virtual reader. Anything longer is a command.
const (
	messageOff   = 0
	messageOn    = 1
	messageReset = 2
	messageATR   = 4
)

// dialPause is how long a card waits before it looks for its reader again,
// where the PC/SC service is not up yet or was started anew.
const dialPause = 100 * time.Millisecond

// slot is a card in a virtual reader: an open connection is a card inserted.
type slot struct {
	address string
	file    string
	of      request // with which it was inserted
	logger  *slog.Logger
	cancel  context.CancelFunc
	done    chan struct{}

	mu   sync.Mutex
	chip hostile.Card
	tear int // commands until the power goes; 0 never
	// again, if the card stays in the reader when its power goes, reads its
	// file when it is switched on.
	again func() (hostile.Card, error)
	mute  bool // without power, in the reader
}

// insert puts a card into its reader until ctx ends or it is removed.
func insert(ctx context.Context, address string, r request, c hostile.Card, logger *slog.Logger) *slot {
	ctx, cancel := context.WithCancel(ctx)
	s := &slot{address: address, file: r.Card, of: r, chip: c, logger: logger, cancel: cancel, done: make(chan struct{})}
	go s.run(ctx)
	return s
}

// remove takes the card out.
func (s *slot) remove() {
	s.cancel()
	<-s.done
}

// torn says whether the card's power was cut.
func (s *slot) torn() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *slot) run(ctx context.Context) {
	defer close(s.done)
	for ctx.Err() == nil {
		err := s.serve(ctx)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errTorn):
			s.logger.Info("power cut", "card", s.file)
			return
		default:
			s.logger.Debug("reader away", "reader", s.address, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(dialPause):
			}
		}
	}
}

var errTorn = errors.New("power cut")

// serve is the card in the reader for as long as the connection holds.
func (s *slot) serve(ctx context.Context) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("dial the reader: %w", err)
	}
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	defer func() { s.chip.PowerOff() }()
	tcp, _ := connection.(*net.TCPConn)
	for {
		quickAck(tcp)
		message, err := readMessage(connection)
		if err != nil {
			return err
		}
		answer, torn := s.answer(message)
		if torn {
			return errTorn
		}
		if answer == nil {
			continue
		}
		answer = answer[:min(len(answer), math.MaxUint16)] // what a frame can hold
		// One write for length and body: two would wait for each other.
		frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(answer)), uint16(len(answer)))
		if _, err := connection.Write(append(frame, answer...)); err != nil {
			return fmt.Errorf("answer the reader: %w", err)
		}
	}
}

// tcpQuickAck is TCP_QUICKACK of Linux. The stock driver sends length and body
// apart; without an immediate acknowledgement each command takes 40 ms.
const tcpQuickAck = 12

func quickAck(connection *net.TCPConn) {
	if connection == nil {
		return
	}
	raw, err := connection.SyscallConn()
	if err != nil {
		return
	}
	// Slower without it, but right: a refusal is no error.
	_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpQuickAck, 1) })
}

func readMessage(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, fmt.Errorf("read from the reader: %w", err)
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, fmt.Errorf("read from the reader: %w", err)
	}
	return message, nil
}

// answer carries a message out. torn says that the power went.
func (s *slot) answer(message []byte) (answer []byte, torn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(message) != 1 {
		if s.mute {
			return []byte{0}, false // the driver waits for more than nothing
		}
		answer = s.chip.Transmit(message)
		if s.tear > 0 {
			s.tear--
			if s.tear == 0 {
				return s.cut()
			}
		}
		return answer, false
	}
	switch message[0] {
	case messageOff:
		s.chip.PowerOff()
	case messageOn, messageReset:
		s.on()
	case messageATR:
		return s.chip.ATR(), false
	}
	return nil, false
}

// letGo takes the power away at a command to come; a card that stays in the
// reader reads its file again when it is switched on.
func (s *slot) letGo(after int, stay bool, read func(request) (hostile.Card, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tear, s.again = after, nil
	if stay {
		s.again = func() (hostile.Card, error) { return read(s.of) }
	}
	if after == 0 {
		s.cut()
	}
}

// cut takes the power away: the card comes out, or stays in and says nothing.
func (s *slot) cut() (answer []byte, torn bool) {
	if s.again == nil {
		return nil, true
	}
	s.chip.PowerOff()
	s.mute = true
	return []byte{0}, false // the driver waits for more than nothing
}

// on switches the card on.
func (s *slot) on() {
	if s.mute {
		fresh, err := s.again()
		if err != nil {
			s.logger.Error("card not read", "card", s.file, "error", err)
			return
		}
		s.chip, s.again, s.mute = fresh, nil, false
	}
	s.chip.PowerOn()
}
