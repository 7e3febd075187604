package driver

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/profile"
)

// The commands of LD/T 32.5 that the steps send.
const (
	insExternalAuthenticate = 0x82
	insGetChallenge         = 0x84
	insInternalAuthenticate = 0x88
	insSelect               = 0xA4
	insReadRecord           = 0xB2
	insUpdateRecord         = 0xDC
)

// The lengths of the national strings' parts, in bytes.
const (
	factorLength     = 8
	historicalLength = 13
	authLength       = 16 // AUTH and the original information
)

// Config is what the steps need besides the card.
type Config struct {
	Profiles []*profile.Profile
	// Addresses are those of keys that no profile gives one, by name (密钥地址).
	Addresses map[string]string
	Terminal  string // 终端机编号, in the line of a reading
	Device    string // 终端设备号
	// PINPad asks the holder for the new number; needed to reload a PIN.
	PINPad func(ctx context.Context) (string, error)
}

// Card is a card in a reader between two steps. Its methods are called from
// one goroutine.
type Card struct {
	config  Config
	channel *apdu.Channel
	atr     []byte

	profile  *profile.Profile
	identity *card.Identity
	// expects is the step that may follow; what it needs is in the rest.
	expects  string
	internal pair
	external pair
	key      profile.Key
	items    []item
	header   string
}

// pair is a process factor with its original information.
type pair struct{ factor, original []byte }

// New returns the card that a channel reaches; atr is its answer to reset.
func New(config Config, channel *apdu.Channel, atr []byte) *Card {
	return &Card{config: config, channel: channel, atr: atr}
}

// identify selects the environment, reads what is free and takes a first
// challenge. The card itself says which of the versions with its answer to
// reset it has.
func (c *Card) identify(ctx context.Context) error {
	c.expects = ""
	if len(c.atr) < historicalLength {
		return ErrCardKind
	}
	opened, err := card.Open(ctx, c.channel, c.config.Profiles, c.atr, func(p *profile.Profile) (*card.Script, error) {
		return card.Opening(p, factorLength), nil
	})
	var told *card.Error
	var step *card.StepError
	switch {
	case err != nil && !errors.As(err, &told) && !errors.As(err, &step):
		return ErrNoAnswer.because(err)
	case err == nil && (opened.Identity.Blank() || opened.Identity.Blocked):
		return ErrCardKind.because(fmt.Errorf("a blank or a blocked card"))
	case err == nil:
		c.profile, c.identity = opened.Profile, opened.Identity
		return nil
	}
	return translated(err)
}

// send sends a command and returns its data.
func (c *Card) send(ctx context.Context, command apdu.Command) ([]byte, error) {
	r, err := c.channel.Send(ctx, command)
	if err != nil {
		return nil, ErrNoAnswer.because(err)
	}
	if r.SW != apdu.OK {
		return nil, refused(r.SW)
	}
	return r.Data, nil
}

// challenges takes n challenges from the card.
func (c *Card) challenges(ctx context.Context, n int) ([][]byte, error) {
	var taken [][]byte
	for range n {
		challenge, err := c.send(ctx, apdu.Command{INS: insGetChallenge, Ne: factorLength})
		if err != nil {
			return nil, err
		}
		taken = append(taken, challenge)
	}
	return taken, nil
}

// algorithm is the card's as the strings say it (算法标识).
func (c *Card) algorithm() string {
	if c.profile.Algorithm == "sm4" {
		return "03"
	}
	return "01"
}

func (c *Card) historical() string {
	atr := c.identity.ATR
	return upperHex(atr[len(atr)-historicalLength:])
}

func (c *Card) cardID() string { return upperHex(c.identity.CardID) }
func (c *Card) area() string   { return c.cardID()[:6] }

// mine refuses card information (卡识别码|卡号|) of another card.
func (c *Card) mine(cardInfo string) error {
	if id, _, _ := strings.Cut(cardInfo, "|"); !strings.EqualFold(id, c.cardID()) {
		return ErrDiffers
	}
	return nil
}

// Message puts a step's string into the form of the authentication service: the
// service's number and, for all but 01, who the card is.
func (c *Card) Message(service, step string) (string, error) {
	if service == "01" {
		return join(service, step), nil
	}
	algorithm, rest, ok := strings.Cut(step, "|")
	if !ok || c.identity == nil {
		return "", ErrParameter
	}
	return join(service, c.area(), c.historical(), algorithm, c.cardID(), rest), nil
}

// address returns a key's address, from the configuration or the profile.
func (c *Card) address(key profile.Key) (string, error) {
	if address := c.config.Addresses[key.Name]; address != "" {
		return address, nil
	}
	if key.Address == "" {
		return "", ErrParameter.because(fmt.Errorf("密钥 %s 没有密钥地址，请在配置中登记 key %s has no address: configure one", key.Name, key.Name))
	}
	return key.Address, nil
}

// follows refuses a step that is not the next.
func (c *Card) follows(step string) error {
	if c.expects != step {
		return ErrParameter.because(errors.New("not the step that follows"))
	}
	c.expects = ""
	return nil
}

// authData reads authentication data (鉴别数据) and makes sure that they are
// for what was asked.
func authData(text string, asked pair) ([]byte, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != authLength {
		return nil, ErrInput
	}
	if subtle.ConstantTimeCompare(raw[factorLength:], asked.original) != 1 {
		return nil, ErrDiffers
	}
	return raw, nil
}

// proveCard lets the card answer its internal authentication.
func (c *Card) proveCard(ctx context.Context, text string) error {
	data, err := authData(text, c.internal)
	if err != nil {
		return err
	}
	answer, err := c.send(ctx, apdu.Command{INS: insInternalAuthenticate, Data: slices.Concat(c.internal.factor, c.internal.original, c.profile.Choices.KeyVersion), Ne: factorLength})
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(answer, data[:factorLength]) != 1 {
		return ErrNotGenuine
	}
	return nil
}

// authenticate proves to the card that the province holds the key.
func (c *Card) authenticate(ctx context.Context, text string) error {
	data, err := authData(text, c.external)
	if err != nil {
		return err
	}
	_, err = c.send(ctx, apdu.Command{INS: insExternalAuthenticate, P2: c.key.ID, Data: slices.Concat(data, c.profile.Choices.KeyVersion)})
	return err
}

// ask prepares an external authentication with a key: two challenges, of which
// the card checks against the second.
func (c *Card) ask(ctx context.Context, key profile.Key, address string) (string, error) {
	taken, err := c.challenges(ctx, 2)
	if err != nil {
		return "", err
	}
	c.key, c.external = key, pair{factor: taken[1], original: taken[0]}
	return join(c.algorithm(), address, upperHex(taken[1]), upperHex(taken[0]), ""), nil
}

// part returns the nth part of a string with '|'.
func part(text string, n int) string {
	parts := strings.Split(text, "|")
	if n >= len(parts) {
		return ""
	}
	return parts[n]
}

func join(parts ...string) string { return strings.Join(parts, "|") }

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
