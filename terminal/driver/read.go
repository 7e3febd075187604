package driver

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/profile"
)

// The files that a base reading reads.
const (
	issuerFile = "SSSE/EF05"
	holderFile = "SSSE/EF06"
)

// ReadCardBasStep1 begins a reading of the holder (iReadCardBas_HSM_Step1):
//
//	发卡地区行政区划代码|卡复位信息|算法标识|卡识别码|内部认证过程因子|内部认证原始信息|外部认证过程因子|外部认证原始信息|终端编码
//
// A card that keeps the holder behind no key leaves the external pair empty.
// The challenges go as the field does it: first and second for the internal
// pair, the fourth, which is the latest, and the third for the external one.
func (c *Card) ReadCardBasStep1(ctx context.Context) (string, error) {
	if err := c.identify(ctx); err != nil {
		return "", err
	}
	c.key = profile.Key{}
	wanted := 1
	if file, ok := c.profile.File(holderFile); ok && file.Read != profile.Free {
		_, key, ok := c.profile.Key(file.Read)
		if !ok {
			return "", ErrUnsupported
		}
		c.key, wanted = key, 3
	}
	taken, err := c.challenges(ctx, wanted)
	if err != nil {
		return "", err
	}
	c.internal, c.external = pair{c.identity.Challenge, taken[0]}, pair{}
	if wanted == 3 {
		c.external = pair{factor: taken[2], original: taken[1]}
	}
	c.expects = "ReadCardBas"
	return join(c.area(), c.historical(), c.algorithm(), c.cardID(), upperHex(c.internal.factor), upperHex(c.internal.original),
		upperHex(c.external.factor), upperHex(c.external.original), c.config.Terminal), nil
}

// ReadCardBasStep2 takes the service's answer (内部认证鉴别数据|外部认证鉴别数据|)
// and returns the line of iReadCardBas:
//
//	发卡地区行政区划代码|社会保障号码|卡号|卡识别码|姓名|卡复位信息|规范版本|发卡日期|卡有效期|终端机编号|终端设备号|
func (c *Card) ReadCardBasStep2(ctx context.Context, key string) (string, error) {
	if err := c.follows("ReadCardBas"); err != nil {
		return "", err
	}
	if err := c.proveCard(ctx, part(key, 0)); err != nil {
		return "", err
	}
	if c.external.factor != nil {
		if err := c.authenticate(ctx, part(key, 1)); err != nil {
			return "", err
		}
	}
	values := map[string]string{}
	for _, path := range []string{issuerFile, holderFile} {
		file, ok := c.profile.File(path)
		if !ok {
			return "", ErrUnsupported
		}
		for i := range file.Elements {
			e := &file.Elements[i]
			value, err := c.readElement(ctx, file, e)
			if err != nil {
				return "", err
			}
			values[e.Name] = value
		}
	}
	return join(c.area(), values["idNumber"], values["cardNumber"], c.cardID(), values["name"]+values["nameExtension"], c.historical(),
		values["specVersion"], values["issuedOn"], values["expiresOn"], c.config.Terminal, c.config.Device, ""), nil
}

// readElement reads one record of a file of the current scope.
func (c *Card) readElement(ctx context.Context, file *profile.File, e *profile.Element) (string, error) {
	record, err := c.send(ctx, apdu.Command{INS: insReadRecord, P1: byte(e.Record), P2: file.SFI()<<3 | 4, Ne: 2 + e.Length})
	if err != nil {
		return "", err
	}
	if len(record) != 2+e.Length || record[0] != e.Tag || int(record[1]) != e.Length {
		return "", ErrCheck
	}
	text, err := card.DecodeValue(c.profile, e, record[2:])
	if err != nil || strings.ContainsAny(text, "|$") {
		return "", ErrCheck
	}
	return text, nil
}

// item is what is read from or written to one file.
type item struct {
	address  string // as it was handed in, such as DF01EF06
	scope    *profile.Scope
	file     *profile.File
	elements []*profile.Element
	labels   []string
}

// parseItems reads file addresses: 'SSSEEF06|08|09|$DF01EF06|23|$', a template's
// instance as '40:01'. MF and 3F00 stand for SSSE.
func parseItems(p *profile.Profile, text string) ([]item, error) {
	var items []item
	for _, block := range strings.Split(strings.TrimSuffix(text, "$"), "$") {
		parts := strings.Split(strings.TrimSuffix(block, "|"), "|")
		name := parts[0]
		if len(name) <= 4 || len(parts) < 2 {
			return nil, ErrParameter
		}
		scope := name[:len(name)-4]
		if scope == "MF" || scope == "3F00" {
			scope = "SSSE"
		}
		s, known := p.Scope(scope)
		file, ok := p.File(scope + "/" + name[len(name)-4:])
		if !known || !ok {
			return nil, ErrParameter
		}
		if file.Kind != profile.Variable {
			return nil, ErrUnsupported
		}
		one := item{address: name, scope: s, file: file, labels: parts[1:]}
		for _, label := range parts[1:] {
			e, ok := elementOf(file, label)
			if !ok {
				return nil, ErrParameter
			}
			one.elements = append(one.elements, e)
		}
		items = append(items, one)
	}
	return items, nil
}

// elementOf finds an element by its tag, or the nth with it: '40:02'.
func elementOf(file *profile.File, label string) (*profile.Element, bool) {
	tag, nth := label, 1
	if _, err := fmt.Sscanf(label, "%2s:%d", &tag, &nth); err != nil {
		tag, nth = label, 1
	}
	for i := range file.Elements {
		if fmt.Sprintf("%02X", file.Elements[i].Tag) != strings.ToUpper(tag) {
			continue
		}
		if nth--; nth == 0 {
			return &file.Elements[i], true
		}
	}
	return nil, false
}

// oneKey returns the key that opens all items; the zero Key where all are free.
// A rule's PIN has to be verified before (iVerifyPIN).
func oneKey(p *profile.Profile, items []item, rule func(*profile.File, *profile.Element) string) (profile.Key, error) {
	var found profile.Key
	for _, one := range items {
		for _, e := range one.elements {
			name := ""
			for _, term := range strings.FieldsFunc(rule(one.file, e), func(r rune) bool { return r == '|' || r == '&' }) {
				if term != profile.PINKey && name == "" {
					name = term
				}
			}
			if name == profile.Free {
				continue
			}
			_, key, ok := p.Key(name)
			if !ok {
				return profile.Key{}, ErrUnsupported
			}
			if found.Name != "" && found.Name != key.Name {
				return profile.Key{}, ErrParameter.because(fmt.Errorf("一次只能使用一个密钥 one key at a time"))
			}
			found = key
		}
	}
	if found.Name == "" {
		return profile.Key{}, ErrNoHSM
	}
	return found, nil
}

func readRule(f *profile.File, e *profile.Element) string { return f.ReadRule(e) }

func writeRule(f *profile.File, _ *profile.Element) string { return f.Write }

// prepare finds the key for files and asks for it. The address is known before
// the card is touched.
func (c *Card) prepare(ctx context.Context, cardInfo, fileAddr string, rule func(*profile.File, *profile.Element) string) (string, error) {
	c.expects = ""
	candidates, err := profile.Candidates(c.config.Profiles, c.atr)
	if err != nil {
		return "", translated(err)
	}
	if err := c.plannable(candidates, fileAddr, rule); err != nil {
		return "", err
	}
	if err := c.identify(ctx); err != nil {
		return "", err
	}
	if err := c.mine(cardInfo); err != nil {
		return "", err
	}
	key, address, err := c.plan(c.profile, fileAddr, rule)
	if err != nil {
		return "", err
	}
	if err := c.enter(ctx, c.items[0].scope); err != nil {
		return "", err
	}
	return c.ask(ctx, key, address)
}

// plannable refuses what no card with this answer to reset has.
func (c *Card) plannable(candidates []*profile.Profile, fileAddr string, rule func(*profile.File, *profile.Element) string) (first error) {
	for _, p := range candidates {
		_, _, err := c.plan(p, fileAddr, rule)
		if err == nil {
			return nil
		}
		first = cmp.Or(first, err)
	}
	return first
}

// plan reads the file addresses and finds the key and its address.
func (c *Card) plan(p *profile.Profile, fileAddr string, rule func(*profile.File, *profile.Element) string) (profile.Key, string, error) {
	items, err := parseItems(p, fileAddr)
	if err != nil {
		return profile.Key{}, "", err
	}
	key, err := oneKey(p, items, rule)
	if err != nil {
		return profile.Key{}, "", err
	}
	address, err := c.address(key)
	c.items = items
	return key, address, err
}

// enter selects the directory of a scope below the environment.
func (c *Card) enter(ctx context.Context, scope *profile.Scope) error {
	if len(scope.FID) == 0 {
		return nil
	}
	_, err := c.send(ctx, apdu.Command{INS: insSelect, Data: scope.FID, Ne: apdu.MaxShortNe})
	return err
}

// ReadCardStep1 begins a reading of elements behind one key
// (iReadCard_HSM_Step1): 算法标识|密钥地址|过程因子|原始信息|
func (c *Card) ReadCardStep1(ctx context.Context, cardInfo, fileAddr string) (string, error) {
	out, err := c.prepare(ctx, cardInfo, fileAddr, readRule)
	if err == nil {
		c.expects = "ReadCard"
	}
	return out, err
}

// ReadCardStep2 takes the service's answer (外部认证鉴别数据|) and returns the
// values in the shape of the file addresses: 'DF01EF06|西宁市…|$'.
func (c *Card) ReadCardStep2(ctx context.Context, key string) (string, error) {
	if err := c.follows("ReadCard"); err != nil {
		return "", err
	}
	if err := c.authenticate(ctx, part(key, 0)); err != nil {
		return "", err
	}
	var out strings.Builder
	for _, one := range c.items {
		out.WriteString(one.address + "|")
		for _, e := range one.elements {
			value, err := c.readElement(ctx, one.file, e)
			if err != nil {
				return "", err
			}
			out.WriteString(value + "|")
		}
		out.WriteString("$")
	}
	return out.String(), nil
}
