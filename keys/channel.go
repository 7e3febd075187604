package keys

import (
	"context"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
)

// The secure channel protocols of GlobalPlatform (安全通道协议).
const (
	// SCP02 is that of the Card Specification's appendix E, options i=15 and
	// i=55: three 3DES keys, C-MAC over the modified command, the initial value
	// of each MAC enciphered. They differ in how the chip makes its challenge,
	// which the other side does not see.
	SCP02 = "SCP02"
	// SCP03 is that of Amendment D: AES, explicit initiation, S8 and S16.
	SCP03 = "SCP03"
)

// The bits of a channel's security level (P1 of EXTERNAL AUTHENTICATE).
const (
	levelMAC            = 0x01
	levelCipher         = 0x02
	levelResponseMAC    = 0x10
	levelResponseCipher = 0x20
)

// ChannelRequest is what a channel is opened from: the static keys, how they
// become the chip's own, and the exchange INITIALIZE UPDATE. All three keys may
// be one, where the maker diversifies one master key.
//
// It is an alias of an unnamed struct for the same reason as Key.
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

// ChannelLoad is a key in the form of PUT KEY: type, the key enciphered under
// the channel's DEK, check value (Amendment D tables 7-9 and 7-10; Card
// Specification table 11-68).
type ChannelLoad = struct {
	Target Key  `json:"target"`
	Type   byte `json:"type"`
}

// session is an open channel between two turns. It holds no key: the keys of
// the session are derived again from the static ones at each turn.
type session struct {
	Protocol        string `json:"protocol"`
	Keys            [3]Key `json:"keys"` // by purpose, with their versions
	Diversification string `json:"diversification"`
	Level           byte   `json:"level"`
	Size            int    `json:"size"`    // of a challenge and of a MAC
	Data            []byte `json:"data"`    // key diversification data (KDD)
	Context         []byte `json:"context"` // SCP03: both challenges; SCP02: sequence counter
	// Challenge is, in SCP02, both challenges; in SCP03 what the chip computes
	// its own from, if that is checked.
	Challenge []byte `json:"challenge,omitempty"`
	// Chain is the whole last MAC, Counter the number of commands.
	Chain   []byte   `json:"chain"`
	Counter uint64   `json:"counter"`
	Pending []answer `json:"pending,omitempty"`
	Aborted bool     `json:"aborted,omitempty"`
}

// answer is what the answer to a command is judged by.
type answer struct {
	Chain   []byte `json:"chain"`
	Counter uint64 `json:"counter"`
}

// protocol is what differs between the channels.
type protocol interface {
	// begin reads the exchange INITIALIZE UPDATE: the session, and the chip's
	// challenge and cryptogram.
	begin(r ChannelRequest) (s *session, challenge, cryptogram []byte, err error)
	// static makes the chip's static key of a purpose from the keeper's.
	static(s *session, algorithm Algorithm, value []byte, purpose byte) ([]byte, error)
	// derive makes the keys of the session from those.
	derive(s *session, static [3][]byte) (*sessionKeys, error)
	// wrap protects one command.
	wrap(s *session, keys *sessionKeys, c ChannelCommand) ([]byte, error)
	// unwrap judges an answer without error: data and status word.
	unwrap(s *session, keys *sessionKeys, a answer, response []byte) ([]byte, error)
}

// protocols are the channels by name.
var protocols = map[string]protocol{SCP02: scp02{}, SCP03: scp03{}}

// OpenChannel verifies the chip's cryptogram and returns the command EXTERNAL
// AUTHENTICATE and the state of the channel (安全通道). The state is sealed: only
// this keeper opens it, for this chip. A chip without the keys is
// ErrCardCryptogram.
func (k *Keeper) OpenChannel(ctx context.Context, request ChannelRequest) (command, state []byte, err error) {
	p, known := protocols[request.Protocol]
	if !known {
		return nil, nil, inputError("protocol", "SCP02, SCP03")
	}
	s, challenge, cryptogram, err := p.begin(request)
	if err != nil {
		return nil, nil, err
	}
	for i := range s.Keys { // a session keeps to the version it was opened with
		held, err := k.find(s.Keys[i])
		if err != nil {
			return nil, nil, err
		}
		s.Keys[i].Version = held.Version
	}
	keys, err := k.sessionKeys(ctx, p, s)
	if err != nil {
		return nil, nil, err
	}
	defer keys.forget()
	expected := keys.challenge
	if len(request.AID) == 0 || expected == nil {
		expected = challenge
	}
	if subtle.ConstantTimeCompare(keys.card, cryptogram) != 1 || subtle.ConstantTimeCompare(expected, challenge) != 1 {
		return nil, nil, keyError(s.Keys[0].Name, s.Keys[0].Version, ErrCardCryptogram)
	}
	level := s.Level
	s.Level = levelMAC
	command, err = p.wrap(s, keys, ChannelCommand{Header: []byte{0x80, 0x82, level, 0}, Data: keys.host})
	if err != nil {
		return nil, nil, err
	}
	s.Level, s.Counter, s.Pending = level, 0, nil
	state, err = k.sealSession(s, request.Chip)
	return command, state, err
}

// WrapCommands protects the commands of one script and returns them with the
// new state. Keys for cards are loaded by name, diversified to the card; they
// never appear in the clear. Answers must go through UnwrapResponses before the
// next script, or the session is over.
func (k *Keeper) WrapCommands(ctx context.Context, state, chip []byte, commands []ChannelCommand) (wrapped [][]byte, next []byte, err error) {
	s, p, err := k.openSession(state, chip)
	if err != nil {
		return nil, nil, err
	}
	if s.Aborted || len(s.Pending) > 0 {
		return nil, nil, fmt.Errorf("keys: %w", ErrChannelAborted)
	}
	keys, err := k.sessionKeys(ctx, p, s)
	if err != nil {
		return nil, nil, err
	}
	defer keys.forget()
	for i, c := range commands {
		if len(c.Header) != 4 || c.Header[0]&^0x80 != 0 {
			return nil, nil, inputError("header", "应为 4 字节，类别字节 00 或 80 four bytes of class 00 or 80")
		}
		for _, load := range c.Loads {
			field, err := k.keyField(ctx, s.Protocol, keys, load)
			if err != nil {
				return nil, nil, err
			}
			c.Data = join(c.Data, field)
		}
		command, err := p.wrap(s, keys, c)
		if err != nil {
			return nil, nil, fmt.Errorf("command %d: %w", i+1, err)
		}
		wrapped = append(wrapped, command)
	}
	next, err = k.sealSession(s, chip)
	return wrapped, next, err
}

// UnwrapResponses verifies and deciphers the answers to the last script, each
// data and status word. Fewer answers than commands, or a status word that
// tells a security error, abort the session; a wrong MAC aborts it and is
// ErrResponseMAC. A keeper in the caller's process returns the new state with an
// ErrResponseMAC, too: nothing more goes through it.
func (k *Keeper) UnwrapResponses(ctx context.Context, state, chip []byte, responses [][]byte) (plain [][]byte, next []byte, err error) {
	s, p, err := k.openSession(state, chip)
	if err != nil {
		return nil, nil, err
	}
	if s.Aborted {
		return nil, nil, fmt.Errorf("keys: %w", ErrChannelAborted)
	}
	if len(responses) > len(s.Pending) {
		return nil, nil, inputError("responses", "多于命令数 more than commands")
	}
	keys, err := k.sessionKeys(ctx, p, s)
	if err != nil {
		return nil, nil, err
	}
	defer keys.forget()
	var failure error
	for i, response := range responses {
		if len(response) < 2 {
			return nil, nil, inputError("response", "至少 2 字节状态字 at least the two bytes of a status word")
		}
		opened, err := s.judge(p, keys, s.Pending[i], response)
		if err != nil {
			s.Aborted, failure = true, fmt.Errorf("keys: %w", err)
			break
		}
		plain = append(plain, opened)
	}
	s.Aborted = s.Aborted || len(responses) < len(s.Pending)
	s.Pending = nil
	if next, err = k.sealSession(s, chip); err != nil {
		return nil, nil, err
	}
	return plain, next, failure
}

// judge opens an answer. One that reports an error carries no protection, and
// no data either (Amendment D clause 6.2.5).
func (s *session) judge(p protocol, keys *sessionKeys, a answer, response []byte) ([]byte, error) {
	sw1, sw2 := response[len(response)-2], response[len(response)-1]
	if sw1 == 0x90 && sw2 == 0 || sw1 == 0x62 || sw1 == 0x63 {
		return p.unwrap(s, keys, a, response)
	}
	if sw1 == 0x69 && (sw2 == 0x82 || sw2 == 0x87 || sw2 == 0x88) {
		s.Aborted = true
	}
	return []byte{sw1, sw2}, nil
}

// sealSession seals the state under a key of the keeper alone, which no other
// operation uses, together with what the channel is bound to.
func (k *Keeper) sealSession(s *session, chip []byte) ([]byte, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	aead, err := k.sessionSeal()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	if _, err := io.ReadFull(k.random, nonce); err != nil {
		return nil, fmt.Errorf("keys: random: %w", err)
	}
	return aead.Seal(nonce, nonce, plain, chip), nil
}

// openSession opens what sealSession sealed for the same chip.
func (k *Keeper) openSession(state, chip []byte) (*session, protocol, error) {
	aead, err := k.sessionSeal()
	if err != nil {
		return nil, nil, err
	}
	if len(state) < aead.NonceSize() {
		return nil, nil, fmt.Errorf("keys: %w", ErrSealed)
	}
	plain, err := aead.Open(nil, state[:aead.NonceSize()], state[aead.NonceSize():], chip)
	if err != nil {
		return nil, nil, fmt.Errorf("keys: %w", ErrSealed)
	}
	var s session
	if err := json.Unmarshal(plain, &s); err != nil {
		return nil, nil, fmt.Errorf("keys: %w", ErrSealed)
	}
	p, known := protocols[s.Protocol]
	if !known {
		return nil, nil, fmt.Errorf("keys: %w", ErrSealed)
	}
	return &s, p, nil
}

func (k *Keeper) sessionSeal() (cipher.AEAD, error) {
	k.mu.RLock()
	salt := k.doc.Salt
	k.mu.RUnlock()
	key, err := k.kek.subkey(salt, "secure channel", 16)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return gcm(key)
}
