package issuance

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/registry"
)

// The kinds of findings of a comparison.
const (
	FoundSame       = "same"       // 一致
	FoundStale      = "stale"      // the chip is older than the record
	FoundNewer      = "newer"      // the chip is ahead of the record
	FoundForeign    = "foreign"    // it belongs to another card or person
	FoundAltered    = "altered"    // the right card, a wrong value
	FoundSuspicious = "suspicious" // the chip is perhaps not what it says
)

// Finding is what a comparison says of one thing on a chip (比对结果). Values that
// tell who the holder is are masked.
type Finding struct {
	File    string       `json:"file,omitempty"` // such as "SSSE/EF06"; empty for what is in no file
	Tag     string       `json:"tag,omitempty"`
	Element string       `json:"element"`
	Text    profile.Text `json:"text"` // of the element
	Kind    string       `json:"finding"`
	Why     profile.Text `json:"why"`
	Chip    string       `json:"chip,omitempty"`
	Record  string       `json:"record,omitempty"`
}

// comparison holds a chip against what the province holds of it.
type comparison struct {
	tx      *registry.Tx
	profile *profile.Profile
	held    held
	chip    *card.Inspect

	findings []Finding
}

// all returns the findings: first those about the chip itself.
func (c *comparison) all() ([]Finding, error) {
	c.origin()
	c.life()
	c.keys()
	c.proof()
	c.attempts()
	err := c.elements()
	return c.findings, err
}

var same = profile.Text{ZH: "一致", EN: "as on record"}

// found takes in a finding about the chip itself.
func (c *comparison) found(element, zh, en, kind string, why profile.Text, chip, record string) {
	c.findings = append(c.findings, Finding{Element: element, Text: profile.Text{ZH: zh, EN: en}, Kind: kind, Why: why, Chip: chip, Record: record})
}

// expect is found for what is the same if ok, and otherwise what kind says.
func (c *comparison) expect(ok bool, element, zh, en, kind, whyZH, whyEN, chip, record string) {
	why := profile.Text{ZH: whyZH, EN: whyEN}
	if ok {
		kind, why = FoundSame, same
	}
	c.found(element, zh, en, kind, why, chip, record)
}

// origin compares the chip with the one that was made.
func (c *comparison) origin() {
	id := c.chip.Identity
	atr, version := c.profileRecord()
	c.expect(atr == upperHex(id.ATR), "atr", "卡复位信息", "answer to reset", FoundSuspicious,
		"卡内数据属于另一芯片，疑似复制", "the data on the card belong to another chip: perhaps a copy", masked("atr", upperHex(id.ATR)), masked("atr", atr))
	if len(id.CardID) >= 12 && c.held.card != nil {
		// A card whose two serials differ on record, as some in the field do,
		// says nothing by it.
		agree := upperHex(id.CardID[8:12]) == id.Serial() || !strings.HasPrefix(c.held.card.ChipID[16:], c.held.card.ChipSerial)
		c.expect(agree, "serial", "芯片序列号", "chip serial", FoundSuspicious,
			"卡识别码与复位信息中的序列号不符", "card identification and answer to reset have different serials", masked("atr", upperHex(id.CardID[8:12])), masked("atr", id.Serial()))
	}
	if !id.Blocked {
		c.expect(id.Version == version, "version", "规范版本", "specification version", FoundSuspicious,
			"芯片所称的规范版本与记录不符", "the chip says another specification than the record", id.Version, version)
	}
}

// profileRecord returns answer to reset and version on record.
func (c *comparison) profileRecord() (atr, version string) {
	if c.held.card != nil {
		return c.held.card.ATR, c.held.card.SpecVersion
	}
	return c.held.journal.ATR, c.profile.Version
}

// life compares how far the chip and the record are in their lives.
func (c *comparison) life() {
	id, h := c.chip.Identity, c.held
	const element, zh, en = "lifeCycle", "生命周期", "life cycle"
	switch {
	case h.card != nil:
		c.expect(!id.Blank(), element, zh, en, FoundSuspicious, "记录为已制卡，芯片却是空白", "on record as a card, yet the chip is a blank", "", "")
	case h.journal.State == journalSpoiled:
		c.found(element, zh, en, FoundSuspicious, profile.Text{ZH: "此芯片已作废", EN: "the chip was spoiled"}, "", journalSpoiled)
	default:
		c.expect(id.Blank(), element, zh, en, FoundNewer, "芯片已制成，记录仍为制卡中，请再次制卡以补记", "the chip is finished and the record is not: personalise it again to complete the record", "", journalBegun)
	}
	if h.card == nil || id.Blank() {
		return
	}
	const lockZH, lockEN = "应用锁定", "application lock"
	locked := h.card.Status == StatusLocked
	switch {
	case id.Blocked && !locked:
		c.found("lock", lockZH, lockEN, FoundNewer, profile.Text{ZH: "芯片已锁定，记录未锁定", EN: "locked on the chip, not on record"}, "", h.card.Status)
	case !id.Blocked && locked:
		c.found("lock", lockZH, lockEN, FoundStale, profile.Text{ZH: "记录已锁定，芯片未锁定", EN: "locked on record, not on the chip"}, "", h.card.Status)
	default:
		c.found("lock", lockZH, lockEN, FoundSame, same, "", "")
	}
}

// keys compares the versions of the keys that the chip says it holds.
func (c *comparison) keys() {
	id := c.chip.Identity
	if len(id.Keys) == 0 || c.held.card == nil {
		return
	}
	var other []string
	for _, scope := range c.profile.Scopes {
		for _, key := range scope.Keys {
			if version, told := id.Keys[key.Name]; told && version != c.held.keyVersion() {
				other = append(other, fmt.Sprintf("%s:%d", key.Name, version))
			}
		}
	}
	c.expect(len(other) == 0, "keys", "密钥版本", "key versions", FoundSuspicious,
		"芯片中有本省未装载过的密钥版本", "the chip holds key versions that the province did not load", strings.Join(other, " "), fmt.Sprint(c.held.keyVersion()))
}

// proof says whether the chip has proven itself and let itself be opened.
func (c *comparison) proof() {
	if !c.chip.Askable {
		return
	}
	c.expect(c.chip.Proven, "genuine", "芯片真伪", "genuine", FoundSuspicious,
		"芯片未通过内部认证：数据相符也可能是复制", "the chip failed internal authentication: even with the right data it may be a copy", "", "")
	if sw := c.chip.Reading; sw != 0 && sw != apdu.OK {
		info := sw.Info()
		c.found("reading", "读权限", "right to read", FoundSuspicious, profile.Text{ZH: "芯片拒绝读密钥：" + info.ZH, EN: "the chip refused the reading key: " + info.EN}, sw.String(), "")
	}
}

// attempts compares what the chip says of the holder's number: on a card that
// was activated it is set, with all its attempts.
func (c *comparison) attempts() {
	if c.held.card == nil {
		return
	}
	const element, zh, en = "pin", "社保密码", "PIN"
	left, told := c.chip.PIN.Tries()
	sealed := c.held.card.Status == StatusSealed
	switch sw := c.chip.PIN; {
	case sw == 0x6983:
		c.found(element, zh, en, FoundSuspicious, profile.Text{ZH: "密码已锁定", EN: "the PIN is blocked"}, "0", fmt.Sprint(c.profile.PIN.Tries))
	case told && sealed:
		c.found(element, zh, en, FoundNewer, profile.Text{ZH: "芯片已设密码，记录仍为封存", EN: "the chip has a PIN, the record says sealed"}, "", "")
	case told:
		c.expect(left == c.profile.PIN.Tries, element, zh, en, FoundSuspicious, "剩余次数低于应有次数", "fewer attempts are left than there should be",
			fmt.Sprint(left), fmt.Sprint(c.profile.PIN.Tries))
	case sw == 0x6984:
		c.expect(sealed, element, zh, en, FoundSuspicious, "记录为已启用，芯片未设密码", "activated on record, yet the chip has no PIN", "", "")
	}
}

// chipIDLength is the length of a card identification (卡识别码).
const chipIDLength = 16

// elements compares what is written.
func (c *comparison) elements() error {
	chipID, err := c.chipID()
	if err != nil || len(chipID) != chipIDLength || c.chip.Identity.Blank() {
		return err // on a blank nothing is final
	}
	now, err := c.held.now.Values(c.profile, chipID)
	if err != nil {
		return err
	}
	written, err := c.held.written.Values(c.profile, chipID)
	if err != nil {
		return err
	}
	other, err := c.otherHolder()
	if err != nil {
		return err
	}
	for i, record := range now {
		chip, read := c.value(record)
		unread := slices.Contains(c.chip.Unread, record.Name)
		if !read && !unread || record.Name == "specVersion" {
			continue // what could not be asked is no finding; the version is one by itself
		}
		f := Finding{File: record.File, Tag: record.Tag, Element: record.Name, Text: record.Text, Chip: masked(record.Name, chip), Record: masked(record.Name, record.Value)}
		if unread {
			f.Kind, f.Why = FoundAltered, profile.Text{ZH: "芯片读不出此项", EN: "the chip does not give it"}
		} else if f.Kind, f.Why, err = c.judge(record, written[i].Value, chip, other); err != nil {
			return err
		}
		c.findings = append(c.findings, f)
	}
	return nil
}

// value returns what the chip says of an element.
func (c *comparison) value(of card.Value) (string, bool) {
	for _, v := range c.chip.Values() {
		if v.File == of.File && v.Name == of.Name {
			return v.Value, true
		}
	}
	return "", false
}

// judge finds out what a value on the chip is.
func (c *comparison) judge(record card.Value, written, chip string, other map[string]string) (string, profile.Text, error) {
	foreign, err := c.foreign(record.Name, chip)
	switch {
	case err != nil:
		return "", profile.Text{}, err
	case chip == record.Value:
		return FoundSame, same, nil
	case chip == written:
		return FoundStale, profile.Text{ZH: "与制卡时一致，其后记录已变更", EN: "as it was written; the record has changed since"}, nil
	case foreign:
		return FoundForeign, profile.Text{ZH: "属于另一张卡", EN: "it belongs to another card"}, nil
	case other != nil && other[record.Name] == chip:
		return FoundForeign, profile.Text{ZH: "属于另一人", EN: "it belongs to another person"}, nil
	}
	return FoundAltered, profile.Text{ZH: "与记录和制卡流水均不符", EN: "neither as on record nor as it was written"}, nil
}

// foreign says whether another card of record has this identification or
// number.
func (c *comparison) foreign(element, value string) (bool, error) {
	column := map[string]string{"cardID": "chip_id", "cardNumber": "number"}[element]
	if column == "" || value == "" {
		return false, nil
	}
	own := uuid.Nil
	if c.held.card != nil {
		own = c.held.card.ID
	}
	var n int64
	if err := c.tx.DB().Model(&cardRow{}).Where(column+" = ? AND id <> ?", value, own).Count(&n).Error; err != nil {
		return false, fmt.Errorf("compare: look for another card: %w", err)
	}
	return n > 0, nil
}

// otherHolder returns the elements of the person whose number the chip says,
// where that is another one of record.
func (c *comparison) otherHolder() (map[string]string, error) {
	text, read := c.value(card.Value{File: "SSSE/EF06", Name: "idNumber"})
	number, err := gb.ParseIDNumber(text)
	if !read || err != nil || number == c.held.person.IDNumber {
		return nil, nil
	}
	person, err := c.tx.PersonByIDNumber(number)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := contents(person, Policy{CardType: c.held.now.CardType, Issuer: c.held.now.Issuer}, KindFirst, c.held.now.CardNumber, c.tx.Now()).
		Values(c.profile, make([]byte, chipIDLength))
	if err != nil {
		return nil, err
	}
	elements := map[string]string{}
	for _, v := range all {
		if v.File == "SSSE/EF06" {
			elements[v.Name] = v.Value
		}
	}
	return elements, nil
}

// shown says how much of an element's value a finding shows: all of what says
// nothing of the holder, the end of numbers, nothing of the rest.
var shown = map[string]int{
	"cardType": -1, "specVersion": -1, "issuer": -1, "issuedOn": -1, "expiresOn": -1,
	"cardID": 4, "cardNumber": 2, "idNumber": 2, "atr": 4,
}

// masked is a value as a finding shows it.
func masked(element, value string) string {
	runes := []rune(value)
	end := shown[element]
	if end < 0 {
		return value
	}
	end = min(end, len(runes)/2)
	return strings.Repeat("*", len(runes)-end) + string(runes[len(runes)-end:])
}
