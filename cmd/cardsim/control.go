package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"onecard/card/chip"
	"onecard/card/chip/hostile"
	"onecard/card/profile"
)

type serveCommand struct {
	catalogue
	VPCD    string `default:"127.0.0.1:35963" help:"Address of the first virtual reader; the next slots follow."`
	Slots   int    `default:"2" help:"Number of slots."`
	Control string `required:"" help:"Unix socket for the commands insert, remove, tear and list."`
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context) error {
	profiles, err := c.load()
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(c.VPCD)
	if err != nil {
		return fmt.Errorf("vpcd: %w", err)
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return fmt.Errorf("vpcd: port: %w", err)
	}
	if c.Slots < 1 || first < 1 || first+c.Slots-1 > maxPort {
		return fmt.Errorf("slots: 1 or more, with ports from 1 to %d", maxPort)
	}
	listener, err := listen(c.Control)
	if err != nil {
		return err
	}
	s := &simulator{profiles: profiles, slots: make([]*slot, c.Slots), logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		address: func(i int) string { return net.JoinHostPort(host, strconv.Itoa(first+i)) }}
	return s.serve(ctx, listener)
}

const maxPort = 65535

// listen opens the control socket. One that a simulator left behind is
// replaced; one that is in use, and what is no socket, are not.
func listen(path string) (net.Listener, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("control socket %s: %w, and is no socket", path, fs.ErrExist)
	default:
		if connection, err := net.DialTimeout("unix", path, controlLimit); err == nil {
			return nil, errors.Join(fmt.Errorf("control socket %s: a simulator runs there already", path), connection.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return listener, nil
}

// simulator is the slots with their cards.
type simulator struct {
	profiles []*profile.Profile
	address  func(slot int) string
	logger   *slog.Logger

	mu    sync.Mutex
	slots []*slot
}

// request is one line to the control socket, answer one line back.
type request struct {
	Do    string `json:"do"`
	Slot  int    `json:"slot"`
	Card  string `json:"card,omitempty"`
	As    string `json:"as,omitempty"` // adversary
	After int    `json:"after,omitempty"`
	// Stay leaves a torn card in the reader.
	Stay bool `json:"stay,omitempty"`
	// Contactless lays the card on the reader instead of putting it in.
	Contactless bool `json:"contactless,omitempty"`
}

type answer struct {
	Error string   `json:"error,omitempty"`
	Slots []string `json:"slots,omitempty"` // card file by slot, empty for none
}

func (s *simulator) serve(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	for {
		connection, err := listener.Accept()
		if ctx.Err() != nil {
			s.empty()
			return nil
		}
		if err != nil {
			return fmt.Errorf("control socket: %w", err)
		}
		group.Go(func() { s.command(ctx, connection) })
	}
}

func (s *simulator) empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range s.slots {
		if slot != nil {
			slot.remove()
		}
	}
}

// command carries one request out.
func (s *simulator) command(ctx context.Context, connection net.Conn) {
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	_ = connection.SetDeadline(time.Now().Add(controlLimit))
	var r request
	var a answer
	err := json.NewDecoder(connection).Decode(&r)
	if err == nil {
		a.Slots, err = s.do(ctx, r)
	}
	if err != nil {
		a.Error = err.Error()
	}
	if err := json.NewEncoder(connection).Encode(a); err != nil && ctx.Err() == nil {
		s.logger.Warn("control answer not delivered", "error", err)
	}
}

const controlLimit = 10 * time.Second

func (s *simulator) do(ctx context.Context, r request) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Slot < 0 || r.Slot >= len(s.slots) {
		return nil, fmt.Errorf("slot %d: 0 to %d", r.Slot, len(s.slots)-1)
	}
	for i, slot := range s.slots {
		if slot != nil && slot.torn() {
			s.slots[i] = nil
		}
	}
	current := s.slots[r.Slot]
	switch r.Do {
	case "insert":
		if current != nil {
			return nil, fmt.Errorf("slot %d holds a card already", r.Slot)
		}
		for i, slot := range s.slots {
			if slot != nil && slot.file == r.Card {
				return nil, fmt.Errorf("card %s is in slot %d", r.Card, i)
			}
		}
		inserted, err := s.card(r)
		if err != nil {
			return nil, err
		}
		s.slots[r.Slot] = insert(ctx, s.address(r.Slot), r, inserted, s.logger)
	case "remove":
		if current != nil {
			current.remove()
		}
		s.slots[r.Slot] = nil
	case "tear":
		if current == nil || r.After < 0 || r.After == 0 && !r.Stay {
			return nil, errors.New("tear: a card in the slot, after 1 or more commands")
		}
		current.letGo(r.After, r.Stay, s.card)
	case "list":
	default:
		return nil, fmt.Errorf("unknown command %q", r.Do)
	}
	files := make([]string, len(s.slots))
	for i, slot := range s.slots {
		if slot != nil {
			files[i] = slot.file
		}
	}
	return files, nil
}

// card reads the card of an insertion.
func (s *simulator) card(r request) (hostile.Card, error) {
	if module, err := chip.OpenModule(r.Card); module != nil || err != nil {
		return module, err
	}
	c, err := chip.New(s.profiles, chip.File(r.Card), nil)
	if err != nil {
		return nil, err
	}
	c.Contactless = r.Contactless
	if r.As != "" {
		return hostile.New(r.As, c)
	}
	return c, nil
}
