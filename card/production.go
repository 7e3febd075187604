package card

import (
	"fmt"

	"onecard/card/profile"
)

// Chip is a chip that lies with a card maker, as the maker tells it (芯片清单):
// its answer to reset, and the first twelve bytes of its card identification
// (area, registered identifier, serial number).
type Chip struct {
	ATR []byte
	ID  []byte
}

// chipIDLength is that of the card identification without its check code.
const chipIDLength = cardIDLength - 4

// Order is what a maker without the province's keys needs to make one card
// (制卡数据): which keys, and what to write.
type Order struct {
	profile  *profile.Profile
	identity *Identity
}

// NewOrder begins the order for a chip. A chip of no known make is
// ErrUnknownMaker, one of another specification version ErrUnknownATR.
func NewOrder(p *profile.Profile, chip Chip) (*Order, error) {
	if _, known := p.ATR(chip.ATR); !known || len(chip.ID) != chipIDLength {
		return nil, ErrUnknownATR
	}
	if _, known := profile.MakerOf(p.Makers, chip.ATR); !known {
		return nil, ErrUnknownMaker
	}
	return &Order{p, &Identity{ATR: chip.ATR, CardID: chip.ID}}, nil
}

// Factors returns the diversification factors of the card's own keys.
func (o *Order) Factors() [][]byte { return o.identity.factors(o.profile) }

// KeySlot is a key of a card with where and how it is loaded.
type KeySlot struct {
	Name  string // by the profile
	Key   string // by the keeper
	Scope int    // number of the directory
	ID    byte
	Usage byte // first attribute byte
	Tries byte
}

// KeySlots returns all keys of a card in the order of loading, the master key
// last.
func KeySlots(p *profile.Profile) []KeySlot {
	order := keyOrder(p)
	slots := make([]KeySlot, len(order))
	for i, key := range order {
		slots[i] = KeySlot{key.Name, p.KeeperKey(key.Name), key.scope, key.ID, key.Usage, key.Tries}
	}
	return slots
}

// CheckKey returns the keeper's name of the key of the check code (卡识别码校验码).
func CheckKey(p *profile.Profile) string { return p.KeeperKey("CHECK") }

// Record is an element as it is written to a chip.
type Record struct {
	Path   string // such as SSSE/EF06
	SFI    byte
	Number byte // of the record
	Tag    byte
	Value  []byte
}

// Records returns what a personalisation writes, in its order: the same bytes
// whoever makes the card. cardID is the whole card identification, 16 bytes.
func (c Contents) Records(p *profile.Profile, cardID []byte) ([]Record, error) {
	if len(cardID) != cardIDLength {
		return nil, fmt.Errorf("card identification: %d bytes: 16", len(cardID))
	}
	elements, err := c.encode(p, cardID)
	if err != nil {
		return nil, err
	}
	records := make([]Record, len(elements))
	for i, w := range elements {
		records[i] = Record{p.Scopes[0].Name + "/" + w.file.Name(), w.file.SFI(), byte(w.element.Record), w.element.Tag, w.value}
	}
	return records, nil
}
