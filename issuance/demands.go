package issuance

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
	"onecard/registry"
)

//go:embed demands.yaml
var defaultDemands []byte

// Demand is what an application must bring at a place from a day on, and who
// may bring it (申领要求).
type Demand struct {
	Place string  `yaml:"place"` // GB/T 2260; holds for all places below
	From  gb.Date `yaml:"from"`
	// ValidityAge is from which age the dates of the identity document's
	// validity are asked for (证件有效期).
	ValidityAge int `yaml:"validityAge"`
	// Minors lists who may apply for somebody below the guardian's age.
	Minors   []string  `yaml:"minors"`
	Papers   []Paper   `yaml:"papers"`
	Channels []Channel `yaml:"channels"`
}

// Paper is one thing to bring (材料).
type Paper struct {
	Any        []string `yaml:"any"`        // kinds of attachment of which one does
	Applicants []string `yaml:"applicants"` // of whom it is asked; none: of all
	PhotoAge   bool     `yaml:"photoAge"`   // asked for from the policy's photoAge on only
}

// Channel is a way by which things are asked for (渠道).
type Channel struct {
	Channel string   `yaml:"channel"`
	ZH      string   `yaml:"zh"`
	EN      string   `yaml:"en"`
	Events  []string `yaml:"events"`  // of the workflow, and apply; "*": all
	Methods []string `yaml:"methods"` // of making a card
}

// Demands are those of each place and time. None at all demand nothing.
type Demands []Demand

// NoDemands is for a platform that takes over what was examined elsewhere, and
// for trials: it asks for no papers and lets any channel do anything.
var NoDemands = Demands{}

// EventApply is the word for entering an application where channels are
// concerned.
const EventApply = "apply"

const (
	channelCounter = "counter"
	anyEvent       = "*"
)

// applicants are who may act (申领人); those that are an institution have its
// kind as their name.
var (
	institutional = []string{"employer", "school", "community", "bank"}
	applicants    = append([]string{"holder", "guardian", "agent"}, institutional...)
)

// ErrDemands says that a file of demands is not as it should be.
var ErrDemands = errors.New("申领要求有误 the demands on applications are wrong")

// ParseDemands reads a file of demands. Unknown keys, unknown words and two
// lines for one place and day are refused.
func ParseDemands(text []byte) (Demands, error) {
	var all Demands
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDemands, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one document", ErrDemands)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no line", ErrDemands)
	}
	for i, d := range all {
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrDemands, i+1, err)
		}
		if slices.ContainsFunc(all[:i], func(o Demand) bool { return o.Place == d.Place && o.From == d.From }) {
			return nil, fmt.Errorf("%w: line %d: place and day stand twice", ErrDemands, i+1)
		}
	}
	return all, nil
}

func (d Demand) check() error {
	within := func(words, known []string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(known, w) })
	}
	var kinds []string
	for _, k := range registry.AttachmentKinds() {
		kinds = append(kinds, k.Kind)
	}
	_, known := gb.Divisions().At(d.Place, d.From)
	switch {
	case !known:
		return errors.New("place: a division of that day")
	case d.ValidityAge < 0 || d.ValidityAge > 150:
		return errors.New("validityAge: 0 to 150")
	case !within(d.Minors, applicants):
		return errors.New("minors: applicants")
	}
	for _, p := range d.Papers {
		if len(p.Any) == 0 || !within(p.Any, kinds) || !within(p.Applicants, applicants) {
			return errors.New("papers: kinds of attachment, and applicants")
		}
	}
	names := eventNames()
	for i, c := range d.Channels {
		twice := slices.ContainsFunc(d.Channels[:i], func(o Channel) bool { return o.Channel == c.Channel })
		if c.Channel == "" || len(c.Channel) > 16 || twice || c.ZH == "" || c.EN == "" || !within(c.Events, names) || !within(c.Methods, []string{MethodInstant, MethodBatch}) {
			return fmt.Errorf("channels: %s: name, words, events and methods", c.Channel)
		}
	}
	if d.channel(channelCounter) == nil {
		return errors.New("channels: the counter is missing")
	}
	return nil
}

// eventNames are the words that a channel's list of events may have.
func eventNames() []string {
	names := []string{anyEvent, EventApply}
	for _, m := range Machines() {
		for _, r := range m.Rules {
			names = append(names, r.Event)
		}
	}
	return names
}

func (d Demand) channel(name string) *Channel {
	i := slices.IndexFunc(d.Channels, func(c Channel) bool { return c.Channel == name })
	if i < 0 {
		return nil
	}
	return &d.Channels[i]
}

// At returns what is demanded at a place on a day. Error: ErrNoPolicy.
func (all Demands) At(place string, day gb.Date) (Demand, error) {
	if len(all) == 0 {
		return Demand{}, nil
	}
	i := gb.InForce(all, place, day, func(d Demand) (string, gb.Date) { return d.Place, d.From })
	if i < 0 {
		return Demand{}, ErrNoPolicy
	}
	return all[i], nil
}

// allows refuses what a channel may not do; method is empty for events that
// make no card.
func (d Demand) allows(channel, event, method string) error {
	if channel == "" {
		channel = channelCounter
	}
	if len(d.Channels) == 0 {
		return nil
	}
	c := d.channel(channel)
	if c == nil {
		var known []string
		for _, c := range d.Channels {
			known = append(known, c.Channel)
		}
		return oneOf("channel", channel, known...)
	}
	if !slices.Contains(c.Events, anyEvent) && !slices.Contains(c.Events, event) || method != "" && !slices.Contains(c.Methods, method) {
		return channelRefuses(*c)
	}
	return nil
}
