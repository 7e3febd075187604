package ministry

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
)

// Card is a card as a province registered it.
type Card struct {
	Number  string            `json:"number"`
	Status  string            `json:"status"`
	Version int64             `json:"version"`
	Items   map[string]string `json:"items"`
}

// entry is a line of the file: a message that was taken, and what it made.
type entry struct {
	ID         string              `json:"id"`
	Reply      Reply               `json:"reply"`
	Card       *Card               `json:"card,omitempty"`
	Statistics []map[string]string `json:"statistics,omitempty"`
}

// Store is what the ministry knows: every message that it took, in a file.
type Store struct {
	mu         sync.Mutex
	file       *os.File // nil: nothing is kept
	answers    map[string]Reply
	cards      map[string]Card
	statistics map[string][]map[string]string // by month
	history    map[string][]Card              // every state of a card, in order
	applied    map[string]int                 // how often a message had an effect
}

// OpenStore opens the file of a store; "" keeps nothing.
func OpenStore(path string) (*Store, error) {
	s := &Store{answers: map[string]Reply{}, cards: map[string]Card{}, statistics: map[string][]map[string]string{}, history: map[string][]Card{}, applied: map[string]int{}}
	if path == "" {
		return s, nil
	}
	if err := s.replay(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var err error
	s.file, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return s, err
}

func (s *Store) replay(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		s.apply(e)
	}
	return lines.Err()
}

// Close closes the file.
func (s *Store) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

func (s *Store) apply(e entry) {
	s.answers[e.ID] = e.Reply
	s.applied[e.ID]++
	if e.Card != nil {
		s.cards[e.Card.Number] = *e.Card
		s.history[e.Card.Number] = append(s.history[e.Card.Number], *e.Card)
	}
	if len(e.Statistics) > 0 {
		s.statistics[e.Statistics[0]["AAE002"]] = e.Statistics
	}
}

func (s *Store) keep(e entry) error {
	if s.file != nil {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := s.file.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	s.apply(e)
	return nil
}

// Cards returns the cards after one number up to another; "" is without end.
func (s *Store) Cards(after, until string) []Card {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Card
	for number, card := range s.cards {
		if number > after && (until == "" || number <= until) {
			found = append(found, card)
		}
	}
	slices.SortFunc(found, func(a, b Card) int { return strings.Compare(a.Number, b.Number) })
	return found
}

// History returns every state in which the ministry had a card, in order.
func (s *Store) History(number string) []Card {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.history[number])
}

// Statistics returns the rows of a month.
func (s *Store) Statistics(month string) []map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.statistics[month]
}

// Doubled returns the messages that had more than one effect.
func (s *Store) Doubled() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, n := range s.applied {
		if n > 1 {
			ids = append(ids, id)
		}
	}
	return ids
}

// Put puts a card where no message did: as it is when the two sides differ.
// Without a version it is removed.
func (s *Store) Put(card Card) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cards, card.Number)
	if card.Version > 0 {
		s.cards[card.Number] = card
	}
}
