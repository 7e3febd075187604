package terminal

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/order"
	"onecard/card/profile"
)

// The kinds of cards that a station tells apart without asking the province.
const (
	CardNone         = "none"
	CardReading      = "reading"
	CardBlank        = "blank"
	CardUnfinished   = "unfinished"
	CardPersonalised = "personalised"
	CardForeign      = "foreign"
	CardBlocked      = "blocked"
	CardMute         = "mute"
)

// State is what a station shows of itself, live.
type State struct {
	Kind     string    `json:"kind"` // of workstation: counter, hospital, pharmacy
	Platform bool      `json:"platform"`
	Service  *Fault    `json:"service,omitempty"` // why the PC/SC service cannot be used
	Reader   string    `json:"reader"`
	Card     CardState `json:"card"`
	Progress *Progress `json:"progress,omitempty"`
}

// CardState is the card in the reader as far as it says so itself.
type CardState struct {
	Kind    string `json:"kind"`
	Version string `json:"version,omitempty"` // 规范版本
	Problem *Fault `json:"problem,omitempty"`
}

// Progress is how far the work on the chip has come.
type Progress struct {
	Done  int    `json:"done"`
	Total int    `json:"total"`
	Label string `json:"label"`
}

// StationConfig is what a station is made of.
type StationConfig struct {
	Readers  Readers
	Profiles []*profile.Profile
	// Reader is a part of the name of the reader to use; empty takes the
	// first that there is.
	Reader string
	// Kind of the workstation: counter, hospital or pharmacy.
	Kind   string
	Logger *slog.Logger
	// Orders opens what the province wants done to a chip; nothing else is.
	Orders order.Reader
}

// Station is one reader with whatever card is in it. Its methods may be called
// from several goroutines; work on the chip is done by one at a time.
type Station struct {
	config StationConfig

	mu          sync.Mutex
	state       State
	readers     []string
	cards       map[string][]byte // ATR by reader
	subscribers map[chan State]struct{}
	cancel      context.CancelFunc // of the work under way

	chip  chan struct{} // holds one token while something talks to the chip
	looks chan struct{} // holds one token while the card is to be identified
}

// NewStation returns a station; Run brings it to life.
func NewStation(config StationConfig) *Station {
	return &Station{
		config:      config,
		state:       State{Kind: config.Kind, Service: ErrNoService, Card: CardState{Kind: CardNone}},
		cards:       map[string][]byte{},
		subscribers: map[chan State]struct{}{},
		chip:        make(chan struct{}, 1),
		looks:       make(chan struct{}, 1),
	}
}

// Run watches the readers until ctx ends.
func (s *Station) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { s.identifyLoop(ctx) })
	err := s.config.Readers.Watch(ctx, func(change Change) {
		if s.apply(change) {
			s.lookAgain()
		}
	})
	ended := ctx.Err() != nil
	cancel()
	group.Wait()
	if ended {
		return nil
	}
	return err
}

// lookAgain has the card in the reader identified for the screen. Asked twice
// before it is done, it is done once.
func (s *Station) lookAgain() {
	select {
	case s.looks <- struct{}{}:
	default:
	}
}

// identifyLoop looks at each new card once, so that the screen says what it is
// before anybody asks.
func (s *Station) identifyLoop(ctx context.Context) {
	for {
		select {
		case <-s.looks:
			s.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// apply takes a change into the state; fresh says that there is a card in the
// chosen reader that has not been looked at, be it the same one put in again.
func (s *Station) apply(change Change) (fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.state.Reader
	s.state.Service = change.Service
	switch {
	case change.Service != nil:
		s.readers, s.cards = nil, map[string][]byte{}
	case change.Reader == "":
	case change.Gone:
		s.readers = slices.DeleteFunc(s.readers, func(name string) bool { return name == change.Reader })
		delete(s.cards, change.Reader)
	default:
		if !slices.Contains(s.readers, change.Reader) {
			s.readers = append(s.readers, change.Reader)
			slices.Sort(s.readers)
		}
		s.cards[change.Reader] = slices.Clone(change.ATR)
	}
	s.state.Reader = ""
	for _, name := range s.readers {
		if strings.Contains(name, s.config.Reader) {
			s.state.Reader = name
			break
		}
	}
	present := len(s.cards[s.state.Reader]) > 0
	fresh = present && (s.state.Reader != old || s.state.Reader == change.Reader)
	switch {
	case !present:
		s.state.Card = CardState{Kind: CardNone}
	case fresh:
		s.state.Card = CardState{Kind: CardReading}
	}
	s.publish()
	return fresh
}

// look identifies the card in the reader for the screen.
func (s *Station) look(ctx context.Context) {
	var identity *card.Identity
	err := s.withChip(ctx, func(ctx context.Context, chip Chip) error {
		opened, err := s.open(ctx, chip, Job{}.opening)
		identity = opened.Identity
		return err
	})
	if ctx.Err() != nil {
		return
	}
	if errors.Is(err, ErrBusy) || errors.Is(err, ErrStopped) {
		time.AfterFunc(lookPause, s.lookAgain)
		return
	}
	if present := s.setCard(identity, err); present && (errors.Is(err, ErrNoCard) || errors.Is(err, ErrRemoved)) {
		// The service has not noticed that the card is out, and may never,
		// when it is put back at once.
		time.AfterFunc(lookPause, s.lookAgain)
	}
}

// lookPause is how long a card that could not be looked at is left alone.
const lookPause = 300 * time.Millisecond

// setCard shows what a look at the card found; present says that as far as the
// service knows a card is there.
func (s *Station) setCard(identity *card.Identity, err error) (present bool) {
	state := CardState{}
	if err == nil && identity.Blocked {
		err = card.ErrApplicationBlocked
	}
	switch {
	case err == nil && identity.Blank() && identity.Untouched():
		state.Kind = CardBlank
	case err == nil && identity.Blank():
		state.Kind = CardUnfinished
	case err == nil:
		state.Kind = CardPersonalised
	case errors.Is(err, ErrNoCard) || errors.Is(err, ErrRemoved):
		state.Kind = CardNone
	case errors.Is(err, card.ErrForeignCard), errors.Is(err, card.ErrUnknownVersion), errors.Is(err, card.ErrUnknownATR):
		state.Kind = CardForeign
	case errors.Is(err, card.ErrCardBlocked) || errors.Is(err, card.ErrApplicationBlocked):
		state.Kind = CardBlocked
	default:
		state.Kind = CardMute
	}
	if identity != nil {
		state.Version = identity.Version
	}
	if err != nil && state.Kind != CardNone {
		state.Problem = Explain(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cards[s.state.Reader]) == 0 {
		return false // taken out in the meantime
	}
	s.state.Card = state
	s.publish()
	return true
}

// busyLimit is how long work waits for other work on the chip: longer than an
// identification takes, shorter than a person likes to wait.
const busyLimit = 2 * time.Second

// withChip connects to the card for the duration of do. A caller who would
// have to wait long is told ErrBusy, one whose work Stop ended ErrStopped.
func (s *Station) withChip(ctx context.Context, do func(context.Context, Chip) error) error {
	limit := time.NewTimer(busyLimit)
	defer limit.Stop()
	select {
	case s.chip <- struct{}{}:
	case <-limit.C:
		return ErrBusy
	case <-ctx.Done():
		return ErrStopped.Because(ctx.Err())
	}
	defer func() { <-s.chip }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	reader := s.state.Reader
	service := s.state.Service
	present := len(s.cards[reader]) > 0
	s.cancel = cancel
	s.mu.Unlock()
	defer s.SetProgress(nil)
	switch {
	case service != nil:
		return service
	case reader == "":
		return ErrNoReader
	case !present:
		return ErrNoCard
	}
	chip, err := s.config.Readers.Connect(ctx, reader)
	if err != nil {
		return err
	}
	defer func() {
		if err := chip.Close(); err != nil {
			s.config.Logger.WarnContext(ctx, "card not released", "error", err)
		}
	}()
	if err = do(ctx, chip); err != nil && ctx.Err() != nil {
		return ErrStopped.Because(err)
	}
	return err
}

// open runs the opening script for the card's specification version.
func (s *Station) open(ctx context.Context, chip Chip, opening func(*profile.Profile) (*card.Script, error)) (card.Opened, error) {
	return card.Open(ctx, apdu.NewChannel(chip), s.config.Profiles, chip.ATR(), opening)
}

// Stop ends the work on the chip that is under way, if any.
func (s *Station) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
}

// SetProgress shows how far the work has come; nil ends it.
func (s *Station) SetProgress(progress *Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Progress = progress
	s.publish()
}

// SetPlatform shows whether the platform answers.
func (s *Station) SetPlatform(up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Platform != up {
		s.state.Platform = up
		s.publish()
	}
}

// State returns what the station shows now.
func (s *Station) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Subscribe delivers the state now and after each change until ctx ends. A
// slow reader sees the latest state and may miss some in between.
func (s *Station) Subscribe(ctx context.Context) <-chan State {
	changes := make(chan State, 1)
	s.mu.Lock()
	s.subscribers[changes] = struct{}{}
	changes <- s.state
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subscribers, changes)
		close(changes)
	})
	return changes
}

// publish sends the state to the subscribers; the caller holds the lock.
func (s *Station) publish() {
	for changes := range s.subscribers {
		select {
		case <-changes:
		default:
		}
		changes <- s.state
	}
}
