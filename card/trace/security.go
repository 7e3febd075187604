package trace

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"onecard/apdu"
	"onecard/card/profile"
)

// factorLength is the length of a challenge and of the cryptogram over it.
const factorLength = 8

// key names a key by its number in the current scope, the first one where none
// is selected.
func (d *decoder) key(id byte) string {
	scope := d.scope
	if scope == nil && d.profile != nil {
		scope = &d.profile.Scopes[0]
	}
	return keyName(scope, id)
}

func keyName(scope *profile.Scope, id byte) string {
	if scope != nil {
		for _, key := range scope.Keys {
			if key.ID == id {
				return key.Name
			}
		}
	}
	return fmt.Sprintf("%02X", id)
}

func (d *decoder) externalAuthenticate(c *call) {
	name := d.key(c.P2)
	c.about(name, name)
	c.sent(d.secret("", textAUTH, c.data.cut(0, factorLength)))
	if c.data.len() > factorLength {
		c.sent(d.plainHex("", textR2, c.data.cut(factorLength, 2*factorLength)))
	}
	if c.data.len() > 2*factorLength {
		c.sent(d.plainHex("", profile.Text{ZH: "密钥版本", EN: "key version"}, c.data.cut(2*factorLength, c.data.len())))
	}
	d.rest(c)
}

func (d *decoder) internalAuthenticate(c *call) {
	name := d.key(c.P2)
	c.about(name, name)
	c.sent(d.plainHex("", profile.Text{ZH: "过程因子", EN: "process factor"}, c.data.cut(0, factorLength)))
	c.sent(d.plainHex("", textR2, c.data.cut(factorLength, c.data.len())))
	if c.answer.len() > 0 {
		c.received(d.secret("", textAUTH, c.answer))
	}
}

func (d *decoder) challenge(c *call) {
	if c.answer.len() > 0 {
		c.received(d.plainHex("", profile.Text{ZH: "随机数", EN: "challenge"}, c.answer))
	}
}

// pin decodes a command that carries the holder's number, in the clear (BCD) or
// enciphered.
func (d *decoder) pin(c *call) {
	text := profile.Text{ZH: "密码", EN: "PIN"}
	if c.CLA&claSecure != 0 {
		text = textCipher
	}
	if body := d.body(c); body.len() > 0 {
		c.sent(d.secret("", text, body))
	}
	d.rest(c)
}

// keyKinds names the first attribute of a key in the clear (FMCOS family).
var keyKinds = map[byte]profile.Text{
	0x30: {ZH: "主控或加密", EN: "master or encipher"}, 0x31: {ZH: "解密", EN: "decipher"}, 0x32: {ZH: "MAC", EN: "MAC"},
	0x34: {ZH: "内部认证", EN: "internal authentication"}, 0x36: {ZH: "线路保护", EN: "line protection"},
	0x37: {ZH: "密码解锁", EN: "PIN unblock"}, 0x38: {ZH: "密码重装", EN: "PIN reload"}, 0x39: {ZH: "外部认证", EN: "external authentication"},
	0x3A: {ZH: "密码", EN: "PIN"}, 0x3E: {ZH: "消费", EN: "purchase"}, 0x3F: {ZH: "圈存", EN: "load"},
}

// loadKey names the key by scope (P1) and number (P2), as the maker of the
// profile has it; a key in the clear (FMCOS) has P1 01 and says its kind first.
func (d *decoder) loadKey(c *call) {
	secure := c.CLA&claSecure != 0
	name := fmt.Sprintf("%02X", c.P2)
	if d.profile != nil && secure {
		for i := range d.profile.Scopes {
			if scope := &d.profile.Scopes[i]; scope.Index == int(c.P1) {
				name = scope.Name + " " + keyName(scope, c.P2)
			}
		}
	}
	c.about(name, name)
	body := d.body(c)
	if kind := body.cut(0, 1); !secure && kind.len() == 1 {
		c.sent(d.open("", profile.Text{ZH: "密钥类型", EN: "kind of key"}, kind, func(b []byte) string {
			return strings.TrimSpace(upperHex(b) + " " + keyKinds[b[0]].ZH)
		}))
		body = body.cut(1, body.len())
	}
	if body.len() > 0 {
		c.sent(d.secret("", profile.Text{ZH: "密钥数据", EN: "key block"}, body))
	}
	d.rest(c)
}

// fileKinds names the first byte of a file's control information (FMCOS
// family), without the bits for protected lines.
var fileKinds = map[byte]profile.Text{
	0x3F: {ZH: "密钥文件", EN: "key file"}, 0x38: {ZH: "目录", EN: "directory"}, 0x28: {ZH: "透明文件", EN: "transparent file"},
	0x2A: {ZH: "定长记录文件", EN: "fixed-length records"}, 0x2C: {ZH: "变长记录文件", EN: "variable-length records"},
	0x2E: {ZH: "循环文件", EN: "cyclic file"}, 0x2F: {ZH: "钱包文件", EN: "purse"},
}

// createFile decodes the control information, which holds no secret.
func (d *decoder) createFile(c *call) {
	fid := fmt.Sprintf("%02X%02X", c.P1, c.P2)
	c.about(fid, fid)
	if body := d.body(c); body.len() > 0 {
		first, _ := body.cut(0, 1).bytes()
		kind, known := fileKinds[first[0]&0x3F]
		if !known {
			kind = profile.Text{ZH: "文件控制信息", EN: "file control information"}
		}
		c.sent(d.plainHex("", kind, body))
	}
	d.rest(c)
}

// The maker's list of keys and life cycle (profile, part maker).
const (
	keyInformation = 0xE0
	tagLifeCycle   = 0x9F70
	tagKey         = 0xC0
)

var lifeCycles = map[byte]profile.Text{0x01: {ZH: "空白", EN: "blank"}, 0x03: {ZH: "已制卡", EN: "in use"}}

// keyInformation lists life cycle and, by version, the keys.
func (d *decoder) keyInformation(c *call) {
	raw, whole := c.answer.bytes()
	objects, err := apdu.ParseTLV(raw)
	list, ok := apdu.FindTLV(objects, keyInformation)
	if !whole || err != nil || !ok {
		d.rest(c)
		return
	}
	c.answer.show()
	versions := map[byte][]string{}
	for _, object := range list.Children {
		switch {
		case object.Tag == tagLifeCycle && len(object.Value) == 1:
			life := lifeCycles[object.Value[0]]
			c.received(Field{Tag: "9F70", Text: profile.Text{ZH: "生命周期", EN: "life cycle"}, Length: 1,
				Value: strings.TrimSpace(upperHex(object.Value) + " " + life.ZH + " " + life.EN)})
		case object.Tag == tagKey && len(object.Value)%2 == 1:
			for pair := object.Value[1:]; len(pair) > 0; pair = pair[2:] {
				versions[pair[1]] = append(versions[pair[1]], d.listed(object.Value[0], pair[0]))
			}
		}
	}
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		c.received(Field{Tag: "C0", Text: profile.Text{ZH: fmt.Sprintf("版本 %d 的密钥", version), EN: fmt.Sprintf("keys of version %d", version)},
			Length: len(versions[version]), Value: strings.Join(versions[version], " ")})
	}
}

// listed names a key of the maker's list.
func (d *decoder) listed(scope, id byte) string {
	if d.profile != nil {
		for i := range d.profile.Scopes {
			if s := &d.profile.Scopes[i]; s.Index == int(scope) {
				return keyName(s, id)
			}
		}
	}
	return fmt.Sprintf("%02X/%02X", scope, id)
}

// moduleKinds names what a key of the security module is for: bits 5 to 1 of
// its usage.
var moduleKinds = []profile.Text{
	{ZH: "主控密钥", EN: "master key"}, {ZH: "维护密钥", EN: "maintenance key"}, {ZH: "消费密钥", EN: "debit key"},
	{ZH: "密码解锁密钥", EN: "PIN unblock key"}, {ZH: "密码重装密钥", EN: "PIN reload key"}, {ZH: "用户卡应用维护密钥", EN: "application maintenance key"},
	{ZH: "MAC 密钥", EN: "MAC key"}, {ZH: "加密密钥", EN: "encipherment key"}, {ZH: "MAC、加密密钥", EN: "MAC and encipherment key"},
}

// moduleBegin decodes usage (P1), number of the key (P2), and the factors by
// which it is diversified: the card's first, then the challenge.
func (d *decoder) moduleBegin(c *call) {
	levels := int(c.P1 >> 5)
	kind := profile.Text{ZH: "密钥", EN: "key"}
	if i := int(c.P1 & 0x1F); i < len(moduleKinds) {
		kind = moduleKinds[i]
	}
	c.about(fmt.Sprintf("%s %02X，分散 %d 级", kind.ZH, c.P2, levels), fmt.Sprintf("%s %02X, %d levels", kind.EN, c.P2, levels))
	for i := range min(levels, c.data.len()/factorLength) {
		factor := c.data.cut(i*factorLength, (i+1)*factorLength)
		if i == 0 { // it ends with the serial number of the card's chip
			c.sent(d.secret("", profile.Text{ZH: "卡片因子", EN: "card factor"}, factor))
			continue
		}
		c.sent(d.open("", profile.Text{ZH: "地区因子", EN: "area factor"}, factor, nameText))
	}
	if random := c.data.cut(levels*factorLength, c.data.len()); random.len() > 0 {
		c.sent(d.plainHex("", profile.Text{ZH: "随机数", EN: "challenge"}, random))
	}
	d.rest(c)
}

func (d *decoder) moduleCompute(c *call) {
	switch c.P1 {
	case 0x00:
		c.about("加密", "encipher")
	case 0x05:
		c.about("有初始值的 MAC", "MAC with an initial value")
	default:
		c.about("方式 "+strconv.Itoa(int(c.P1)), "mode "+strconv.Itoa(int(c.P1)))
	}
	closedData(d, c)
}

func (d *decoder) initializeUpdate(c *call) {
	d.channel = false
	c.about(fmt.Sprintf("密钥版本 %d", c.P1), fmt.Sprintf("key version %d", c.P1))
	c.sent(d.plainHex("", profile.Text{ZH: "主机随机数", EN: "host challenge"}, c.data))
	if c.answer.len() > 0 {
		c.received(d.secret("", profile.Text{ZH: "密钥信息、卡随机数和密文", EN: "key information, card challenge and cryptogram"}, c.answer))
	}
}

// channelMAC is the length of the MAC of a command in a session, in the mode S8.
const channelMAC = 8

// inChannel decodes a command of an open session as far as its header tells:
// what it carries and what it brings is protected as the level says.
func (d *decoder) inChannel(c *call, l line) {
	data, answer := c.data, c.answer
	c.data, c.answer = part{}, part{}
	l.decode(d, c)
	c.data, c.answer = data, answer
	c.step.Sent, c.step.Received = nil, nil
	end := max(0, data.len()-channelMAC)
	if body := data.cut(0, end); body.len() > 0 {
		c.sent(d.secret("", textChannel, body))
	}
	if mac := data.cut(end, data.len()); mac.len() > 0 {
		c.sent(d.secret("", textMAC, mac))
	}
	if answer.len() > 0 {
		c.received(d.secret("", textChannel, answer))
	}
}

// securityLevels names the bits of the security level (GlobalPlatform).
var securityLevels = []string{"C-MAC", "C-ENC", "", "", "R-MAC", "R-ENC"}

func (d *decoder) channelAuthenticate(c *call) {
	var levels []string
	for bit, name := range securityLevels {
		if c.P1&(1<<bit) != 0 && name != "" {
			levels = append(levels, name)
		}
	}
	d.channel = c.sw == apdu.OK
	level := strings.Join(levels, "+")
	if level == "" {
		level = "-"
	}
	c.about("安全级别 "+level, "security level "+level)
	c.sent(d.secret("", textAUTH, c.data.cut(0, factorLength)))
	if mac := c.data.cut(factorLength, c.data.len()); mac.len() > 0 {
		c.sent(d.secret("", textMAC, mac))
	}
	d.rest(c)
}
