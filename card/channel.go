package card

import (
	"context"
	"errors"
	"fmt"

	"onecard/apdu"
)

// ChannelRequest is what a secure channel is opened from: the static keys, how
// they become the chip's own, and the exchange INITIALIZE UPDATE.
//
// It and the two below are aliases for the same reason as Key.
type ChannelRequest = struct {
	Protocol        string `json:"protocol"`
	ENC             Key    `json:"enc"`
	MAC             Key    `json:"mac"`
	DEK             Key    `json:"dek"`
	Diversification string `json:"diversification"`
	Level           byte   `json:"level"` // 01, 03, 11, 13 or 33
	// AID is the name of the security domain, by which the challenge of an
	// SCP03 chip of the pseudo-random kind is checked; not checked if empty.
	AID           []byte `json:"aid,omitempty"`
	HostChallenge []byte `json:"hostChallenge"`
	Response      []byte `json:"response"` // data of INITIALIZE UPDATE's answer
	// Chip binds the channel to a chip: the same bytes must be named later.
	Chip []byte `json:"chip"`
}

// ChannelCommand is a command to be protected: four bytes of header, and a data
// field to which the keys of Loads are appended.
type ChannelCommand = struct {
	Header []byte        `json:"header"`
	Data   []byte        `json:"data,omitempty"`
	Loads  []ChannelLoad `json:"loads,omitempty"`
	Answer bool          `json:"answer,omitempty"` // data are expected
}

// ChannelLoad is a key in the form of PUT KEY.
type ChannelLoad = struct {
	Target Key  `json:"target"`
	Type   byte `json:"type"`
}

// channelKeeper is a Keeper who can hold a secure channel with a GlobalPlatform
// blank. The state between two turns is sealed; nobody but the keeper reads it.
type channelKeeper interface {
	// OpenChannel judges the chip's cryptogram and returns the command EXTERNAL
	// AUTHENTICATE.
	OpenChannel(ctx context.Context, request ChannelRequest) (command, state []byte, err error)
	// WrapCommands protects the commands of one script.
	WrapCommands(ctx context.Context, state, chip []byte, commands []ChannelCommand) (wrapped [][]byte, next []byte, err error)
	// UnwrapResponses judges the answers, data and status word each.
	UnwrapResponses(ctx context.Context, state, chip []byte, responses [][]byte) (plain [][]byte, next []byte, err error)
}

// channel is a secure channel of an operation as it is stored.
type channel struct {
	HostChallenge []byte `json:"hostChallenge,omitempty"`
	State         []byte `json:"state,omitempty"`
	Chip          []byte `json:"chip"`
}

// guarded is a step with what the channel adds to its command.
type guarded struct {
	Step
	loads []ChannelLoad
}

// wrap protects the steps of a script.
func (c *channel) wrap(ctx context.Context, keeper channelKeeper, steps []guarded) ([]Step, error) {
	var commands []ChannelCommand
	for _, s := range steps {
		commands = append(commands, ChannelCommand{
			Header: []byte{s.Command.CLA, s.Command.INS, s.Command.P1, s.Command.P2},
			Data:   s.Command.Data, Loads: s.loads, Answer: s.Command.Ne > 0,
		})
	}
	wrapped, state, err := keeper.WrapCommands(ctx, c.State, c.Chip, commands)
	if err == nil && len(wrapped) != len(steps) {
		err = fmt.Errorf("%d commands for %d", len(wrapped), len(steps))
	}
	if err != nil {
		return nil, keeperError("secure channel", err)
	}
	c.State = state
	var out []Step
	for i, s := range steps {
		command, err := apdu.ParseCommand(wrapped[i])
		if err != nil {
			return nil, fmt.Errorf("secure channel: %w", err)
		}
		out = append(out, Step{Command: command, Accept: s.Accept, Secret: true, Label: s.Label})
	}
	return out, nil
}

// unwrap opens the answers to the last script. Answers that are not the chip's
// are ErrNotGenuine.
func (c *channel) unwrap(ctx context.Context, keeper channelKeeper, responses []apdu.Response) ([]apdu.Response, error) {
	var raw [][]byte
	for _, r := range responses {
		raw = append(raw, r.Bytes())
	}
	plain, state, err := keeper.UnwrapResponses(ctx, c.State, c.Chip, raw)
	if wrongChip(err) {
		return nil, fmt.Errorf("%w: %w", ErrNotGenuine, err)
	}
	if err != nil {
		return nil, fmt.Errorf("secure channel: %w", err)
	}
	c.State = state
	var out []apdu.Response
	for _, answer := range plain {
		r, err := apdu.ParseResponse(answer)
		if err != nil {
			return nil, fmt.Errorf("secure channel: %w", err)
		}
		out = append(out, r)
	}
	if len(out) != len(responses) {
		return nil, ErrIncomplete
	}
	return out, nil
}

// wrongChip says whether an error of the keeper is the chip's: it does not hold
// the keys that it should.
func wrongChip(err error) bool {
	var judged interface{ WrongChip() }
	return errors.As(err, &judged)
}
