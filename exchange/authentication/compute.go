package authentication

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// keeperKey names a key of the card to the keeper: in the version that the
// record says, diversified by area (six digits with "sx") and by the last eight
// historical bytes.
func (s *Service) keeperKey(card asked, r *request, name string) Key {
	return Key{Name: name + s.keys.suffixes[r.Algorithm], Version: card.KeyVersion,
		Factors: [][]byte{[]byte(r.Area + "sx"), slices.Clone(r.bytes["atr"][5:])}}
}

// compute asks the keeper.
func (s *Service) compute(ctx context.Context, card asked, r *request) (Answer, error) {
	var answer Answer
	var err error
	switch {
	case r.form.Debit != "":
		err = s.debit(ctx, s.keeperKey(card, r, r.key), r, &answer)
	case r.form.Secure != "":
		answer.Command, err = s.secure(ctx, s.keeperKey(card, r, r.key), r)
	default:
		if r.bytes["internalFactor"] != nil {
			answer.Internal, err = s.authenticate(ctx, s.keeperKey(card, r, r.form.Internal), r.bytes["internalFactor"], r.bytes["internalOriginal"])
		}
		if err == nil && r.bytes["externalFactor"] != nil {
			answer.External, err = s.authenticate(ctx, s.keeperKey(card, r, r.key), r.bytes["externalFactor"], r.bytes["externalOriginal"])
		}
	}
	return answer, err
}

// missing puts the keeper's lack of a key into words that name it.
func (s *Service) missing(key Key, err error) error {
	if errors.Is(err, s.config.NoKey) {
		return about(ErrNoKey, key.Name, key.Name)
	}
	return fmt.Errorf("authentication: %w", err)
}

// authenticate makes authentication data (鉴别数据): AUTH and the original
// information.
func (s *Service) authenticate(ctx context.Context, key Key, factor, original []byte) (string, error) {
	auth, err := s.config.Keeper.Cryptogram(ctx, key, factor, original)
	if err != nil {
		return "", s.missing(key, err)
	}
	return upperHex(append(auth, original...)), nil
}

// secure makes the command of a PIN reload or unblock, ready for the card.
func (s *Service) secure(ctx context.Context, key Key, r *request) (string, error) {
	header, factor := r.bytes["command"], r.bytes["factor"]
	var data []byte
	var err error
	if r.PIN != "" {
		data, err = s.config.Keeper.PINBlock(ctx, key, factor, header, r.PIN)
	} else {
		data, err = s.config.Keeper.CommandMAC(ctx, key, factor, header)
	}
	if err != nil {
		return "", s.missing(key, err)
	}
	return upperHex(append(slices.Clone(header), data...)), nil
}

// debitTerms are the values that a debit's codes are made of.
func debitTerms(r *request) map[string][]byte {
	serial := r.bytes["terminalSerial"]
	terms := map[string][]byte{"zero": make([]byte, 4), "terminalSerialLow": serial[len(serial)/2:]}
	for _, name := range []string{"random", "cardSerial", "amounts", "tradeType", "terminalNumber", "terminalSerial", "time"} {
		terms[name] = r.bytes[name]
	}
	return terms
}

// debit computes MAC1, MAC2 and TAC of a medical debit.
func (s *Service) debit(ctx context.Context, key Key, r *request, answer *Answer) error {
	terms := debitTerms(r)
	join := func(names []string) (joined []byte) {
		for _, name := range names {
			joined = append(joined, terms[name]...)
		}
		return joined
	}
	factor := join(s.forms.Debit.Factor)
	for _, code := range []struct {
		names []string
		to    *string
	}{{s.forms.Debit.MAC1, &answer.MAC1}, {s.forms.Debit.MAC2, &answer.MAC2}, {s.forms.Debit.TAC, &answer.TAC}} {
		mac, err := s.config.Keeper.TransactionMAC(ctx, key, factor, join(code.names))
		if err != nil {
			return s.missing(key, err)
		}
		*code.to = upperHex(mac)
	}
	answer.TerminalSerial, answer.Time = strings.ToUpper(r.TerminalSerial), r.Time
	return nil
}
