package chip

import (
	"bytes"
	"fmt"

	"onecard/card/profile"
)

// PlatformBlank makes a blank of a GlobalPlatform make (安全域空白卡): structured
// as any blank, its key slots empty, with the static keys of its channel made
// from the maker's ENC, MAC and DEK.
func PlatformBlank(p *profile.Profile, m *profile.BlankMaker, serial [4]byte, enc, mac, dek []byte) (*Image, error) {
	if !m.Platform() {
		return nil, fmt.Errorf("blank: maker %s does not speak GlobalPlatform", m.Name)
	}
	atr := m.BlankATR(serial)
	if _, ok := p.ATR(atr); !ok {
		return nil, fmt.Errorf("blank: profile %s does not know the answer to reset of %s", p.Version, m.Name)
	}
	image, err := structured(p, atr, m.Area, serial, func(profile.Key) *Slot { return &Slot{Key: make([]byte, 16)} })
	if err != nil {
		return nil, err
	}
	data := bytes.Join([][]byte{{0, 0}, atr[len(atr)-8:]}, nil)
	platform := &Platform{Protocol: m.Protocol, Option: m.Option, KeyVersion: m.KeyVersion, KeyType: m.KeyTypes[p.Algorithm], Data: data}
	for i, key := range []struct {
		to   *Hex
		from []byte
	}{{&platform.ENC, enc}, {&platform.MAC, mac}, {&platform.DEK, dek}} {
		value, err := static(m, key.from, data, byte(1+i))
		if err != nil {
			return nil, fmt.Errorf("blank: %w", err)
		}
		*key.to = value
	}
	image.Platform = platform
	return image, platform.check()
}

// check refuses what no channel can be opened with; a card without it is right.
func (p *Platform) check() error {
	if p == nil {
		return nil
	}
	size := len(p.ENC)
	known := p.Protocol == profile.SCP02 && size == 16 || p.Protocol == profile.SCP03 && (size == 16 || size == 24 || size == 32)
	if !known || len(p.MAC) != size || len(p.DEK) != size || len(p.Data) != 10 {
		return fmt.Errorf("platform: %w: a protocol with three keys and ten bytes of diversification data", ErrImage)
	}
	return nil
}
