package trace

import (
	"time"

	"onecard/card/profile"
)

// Report is a decoded transcript.
type Report struct {
	Revealed      bool           `json:"revealed"`
	Conversations []Conversation `json:"conversations"`
	Totals        Totals         `json:"totals"`
}

// Conversation is what passed on one connection to a card (一次连接).
type Conversation struct {
	ATR string `json:"atr,omitempty"` // 卡复位信息
	// Protocols, such as T=0, and the number of historical bytes are what the
	// answer to reset says; absent where it is not of the standard's form.
	Protocols  []string   `json:"protocols,omitempty"`
	Historical int        `json:"historical,omitempty"`
	At         *time.Time `json:"at,omitempty"`
	Reader     string     `json:"reader,omitempty"`
	// Card is the kind of card that the answer to reset names.
	Card *profile.Text `json:"card,omitempty"`
	// Version is the specification (规范版本) by which files, elements and keys
	// are named; empty where it is not known.
	Version string `json:"version,omitempty"`
	// Fitting lists the specifications between which nothing decides.
	Fitting []string `json:"fitting,omitempty"`
	Steps   []Step   `json:"steps"`
	Totals  Totals   `json:"totals"`
}

// Step is a command with its answer, whatever exchanges it took: GET RESPONSE, a
// repetition with the right length and chained parts belong to it.
type Step struct {
	Line      int          `json:"line"` // of the transcript
	Exchanges int          `json:"exchanges"`
	Name      string       `json:"name"`   // such as READ RECORD
	Text      profile.Text `json:"text"`   // what it is about
	Header    string       `json:"header"` // CLA INS P1 P2
	Data      string       `json:"data,omitempty"`
	Sent      []Field      `json:"sent,omitempty"`
	Answer    string       `json:"answer,omitempty"`
	Received  []Field      `json:"received,omitempty"`
	SW        string       `json:"sw,omitempty"` // empty where no answer came
	Status    profile.Text `json:"status"`
	// Micros is how long it took, in microseconds; 0 where not recorded.
	Micros int64 `json:"micros,omitempty"`
}

// The states of a field whose value is not shown.
const (
	Masked = "masked" // masked here; Options.Reveal shows it
	Gone   = "gone"   // masked when it was recorded
)

// Field is a part of a command or of an answer.
type Field struct {
	Tag    string       `json:"tag,omitempty"`
	Name   string       `json:"name,omitempty"` // of an element, as the profile names it
	Text   profile.Text `json:"text"`
	Length int          `json:"length"`
	Value  string       `json:"value,omitempty"`
	State  string       `json:"state,omitempty"`
	Parts  []Field      `json:"parts,omitempty"`
}

// Totals is what a transcript comes to.
type Totals struct {
	Exchanges int   `json:"exchanges"` // APDUs on the line
	Commands  int   `json:"commands"`  // with what belongs to each joined
	Refused   int   `json:"refused"`   // answered otherwise than 9000
	Silent    int   `json:"silent"`    // not answered
	Sent      int   `json:"sent"`      // bytes
	Received  int   `json:"received"`  // bytes
	Scripts   int   `json:"scripts"`   // runs of commands up to a challenge that somebody else answers
	Micros    int64 `json:"micros,omitempty"`
	Masked    int   `json:"masked"` // fields masked here
	Gone      int   `json:"gone"`   // fields masked when they were recorded
}

func (t *Totals) add(other Totals) {
	t.Exchanges += other.Exchanges
	t.Commands += other.Commands
	t.Refused += other.Refused
	t.Silent += other.Silent
	t.Sent += other.Sent
	t.Received += other.Received
	t.Scripts += other.Scripts
	t.Micros += other.Micros
	t.Masked += other.Masked
	t.Gone += other.Gone
}
