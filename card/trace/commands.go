package trace

import (
	"fmt"

	"onecard/card/profile"
)

const (
	insGetResponse  = 0xC0
	insGetChallenge = 0x84
	insSelect       = 0xA4
	insReadRecord   = 0xB2
)

// The bits of CLA that do not tell one command from another: secure messaging
// and the logical channel, and chaining.
const (
	claSecure = 0x04
	claOther  = claSecure | 0x03 | claChained
)

// line is a command that the package knows.
type line struct {
	cla, mask, ins byte // CLA agrees in the bits of mask
	when           func(c *call) bool
	name           string
	zh, en         string
	decode         func(d *decoder, c *call)
}

const (
	exact    = 0xFF
	anyClass = 0x00
	class    = 0xFF &^ claOther // 00 or 80, whatever the bits for transport
)

// lines is the table of commands, from the special to the general. Sources:
// ISO/IEC 7816-4; LD/T 32.5 and PBOC (JR/T 0025); programs in the field for the
// security module and the PKI application; GlobalPlatform 2.3 part 11.
func lines() []line {
	return []line{
		// The terminal's security module (PSAM).
		{0xBF, exact, 0xDE, nil, "INIT FOR DESCRYPT", "安全模块：以过程密钥初始化", "security module: begin with a process key", (*decoder).moduleBegin},
		{0x80, class, 0x1A, nil, "INIT FOR DESCRYPT", "安全模块：通用计算初始化", "security module: begin a computation", (*decoder).moduleBegin},
		{0x80, class, 0xFA, nil, "DES CRYPT", "安全模块：计算", "security module: compute", (*decoder).moduleCompute},
		{0x80, class, 0x70, nil, "INIT SAM FOR PURCHASE", "安全模块：消费初始化", "security module: begin a purchase", closedData},
		{0x80, class, 0x72, nil, "CREDIT SAM FOR PURCHASE", "安全模块：消费确认", "security module: confirm a purchase", closedData},
		// GlobalPlatform.
		{0x80, class, 0x50, func(c *call) bool { return len(c.Data) == 8 || len(c.Data) == 16 }, "INITIALIZE UPDATE", "GP：建立安全通道", "GlobalPlatform: open a secure channel", (*decoder).initializeUpdate},
		{0x84, 0xFC, 0x82, nil, "EXTERNAL AUTHENTICATE (GP)", "GP：安全通道认证", "GlobalPlatform: authenticate the secure channel", (*decoder).channelAuthenticate},
		{0x80, class, 0xD8, nil, "PUT KEY", "GP：装载密钥", "GlobalPlatform: load keys", closedData},
		{0x80, class, 0xE2, nil, "STORE DATA", "GP：写入个人化数据", "GlobalPlatform: store data", closedData},
		{0x80, class, 0xE6, nil, "INSTALL", "GP：安装应用", "GlobalPlatform: install an application", closedData},
		{0x80, class, 0xE8, nil, "LOAD", "GP：装载程序", "GlobalPlatform: load a program", closedData},
		{0x80, class, 0xE4, nil, "DELETE", "GP：删除", "GlobalPlatform: delete", closedData},
		{0x80, class, 0xF2, nil, "GET STATUS", "GP：查询状态", "GlobalPlatform: status", closedData},
		{0x80, class, 0xF0, func(c *call) bool { return c.P1 != 0 }, "SET STATUS", "GP：设置状态", "GlobalPlatform: set status", closedData},
		// The maker's.
		{0x80, class, 0xCA, func(c *call) bool { return c.P1 == 0 && c.P2 == keyInformation }, "GET DATA", "查询芯片生命周期与密钥版本", "life cycle and key versions", (*decoder).keyInformation},
		{0x80, class, 0xF0, nil, "FINISH", "结束制卡", "finish the personalisation", closedData},
		{0x80, class, 0xD4, nil, "WRITE KEY", "装载密钥", "load a key", (*decoder).loadKey},
		{0x80, class, 0xE0, nil, "CREATE FILE", "建立文件", "create a file", (*decoder).createFile},
		{0x80, class, 0x0E, nil, "ERASE DF", "擦除目录", "erase a directory", closedData},
		// PBOC and LD/T 32.5.
		{0x80, class, 0x5E, func(c *call) bool { return c.P1 == 1 }, "CHANGE PIN", "修改密码", "change the PIN", (*decoder).pin},
		{0x80, class, 0x5E, nil, "RELOAD PIN", "重装密码", "reload the PIN", (*decoder).pin},
		{0x80, class, 0x24, func(c *call) bool { return c.P2 == 1 }, "PIN RELOAD", "重装密码（安全报文）", "reload the PIN (secure messaging)", (*decoder).pin},
		{0x80, class, 0x24, nil, "PIN UNBLOCK", "解锁密码（安全报文）", "unblock the PIN (secure messaging)", (*decoder).pin},
		{0x80, class, 0x1E, nil, "APPLICATION BLOCK", "锁定应用", "block the application", closedData},
		{0x80, class, 0x18, nil, "APPLICATION UNBLOCK", "解锁应用", "unblock the application", closedData},
		{0x80, class, 0x16, nil, "CARD BLOCK", "锁定卡", "block the card", closedData},
		{0x80, class, 0x50, func(c *call) bool { return c.P1 == 0 }, "INITIALIZE FOR LOAD", "圈存初始化", "begin a load", closedData},
		{0x80, class, 0x50, nil, "INITIALIZE FOR PURCHASE", "消费初始化", "begin a purchase", closedData},
		{0x80, class, 0x52, nil, "CREDIT FOR LOAD", "圈存", "load", closedData},
		{0x80, class, 0x54, nil, "DEBIT FOR PURCHASE", "消费", "purchase", closedData},
		{0x80, class, 0x5A, nil, "GET TRANSACTION PROVE", "取交易认证", "proof of a transaction", closedData},
		{0x80, class, 0x5C, nil, "GET BALANCE", "读余额", "balance", closedData},
		{0x80, class, 0xA8, nil, "GET PROCESSING OPTIONS", "取处理选项（金融应用）", "processing options (bank application)", closedData},
		// The PKI application.
		{0x80, class, 0xC4, nil, "HASH", "杂凑（PKI 应用）", "hash (PKI application)", closedData},
		{0x80, class, 0x40, nil, "GENERATE KEY PAIR", "生成密钥对（PKI 应用）", "generate a key pair (PKI application)", closedData},
		{0x80, class, 0xC2, nil, "IMPORT KEY", "导入密钥（PKI 应用）", "import a key (PKI application)", closedData},
		{0x80, class, 0xC9, nil, "EXPORT KEY", "导出公钥（PKI 应用）", "export a key (PKI application)", closedData},
		// ISO/IEC 7816-4.
		{0x00, class, insSelect, nil, "SELECT", "选择", "select", (*decoder).selectFile},
		{0x00, class, insReadRecord, nil, "READ RECORD", "读记录", "read a record", (*decoder).readRecord},
		{0x00, class, 0xDC, nil, "UPDATE RECORD", "写记录", "write a record", (*decoder).updateRecord},
		{0x00, class, 0xD2, nil, "WRITE RECORD", "写记录", "write a record", closedData},
		{0x00, class, 0xE2, nil, "APPEND RECORD", "追加记录", "append a record", (*decoder).appendRecord},
		{0x00, class, 0xB0, nil, "READ BINARY", "读透明文件", "read a transparent file", (*decoder).binary},
		{0x00, class, 0xD6, nil, "UPDATE BINARY", "写透明文件", "write a transparent file", (*decoder).binary},
		{0x00, class, 0x20, nil, "VERIFY", "验证密码", "verify the PIN", (*decoder).pin},
		{0x00, class, 0x82, nil, "EXTERNAL AUTHENTICATE", "外部认证", "external authentication", (*decoder).externalAuthenticate},
		{0x00, class, 0x88, nil, "INTERNAL AUTHENTICATE", "内部认证", "internal authentication", (*decoder).internalAuthenticate},
		{0x00, class, insGetChallenge, nil, "GET CHALLENGE", "取随机数", "challenge", (*decoder).challenge},
		{0x00, class, insGetResponse, nil, "GET RESPONSE", "取应答数据", "fetch an answer", closedData},
		{0x00, anyClass, 0xCA, nil, "GET DATA", "取数据", "get data", closedData},
	}
}

var known = lines()

// command names a command and decodes its fields.
func (d *decoder) command(c *call) {
	for _, l := range known {
		if c.CLA&l.mask == l.cla&l.mask && c.INS == l.ins && (l.when == nil || l.when(c)) {
			c.step.Name, c.step.Text = l.name, profile.Text{ZH: l.zh, EN: l.en}
			if d.channel && c.CLA&claSecure != 0 {
				d.inChannel(c, l)
				return
			}
			l.decode(d, c)
			c.addMAC(d)
			return
		}
	}
	c.step.Name = fmt.Sprintf("INS %02X", c.INS)
	c.step.Text = profile.Text{ZH: "未知命令", EN: "unknown command"}
	closedData(d, c)
	c.addMAC(d)
}

// about says what a command is about, after what it does.
func (c *call) about(zh, en string) {
	c.step.Text.ZH += " " + zh
	c.step.Text.EN += ": " + en
}

var (
	textData    = profile.Text{ZH: "数据", EN: "data"}
	textMAC     = profile.Text{ZH: "报文鉴别码 MAC", EN: "MAC"}
	textChannel = profile.Text{ZH: "安全通道内的数据", EN: "data in the secure channel"}
	textCipher  = profile.Text{ZH: "密文", EN: "enciphered"}
	textR2      = profile.Text{ZH: "原始信息", EN: "original information"}
	textAUTH    = profile.Text{ZH: "鉴别数据", EN: "cryptogram"}
)

// macLength is the length of the MAC at the end of a protected command.
const macLength = 4

// sent and received take a field in.
func (c *call) sent(f Field)     { c.step.Sent = append(c.step.Sent, f) }
func (c *call) received(f Field) { c.step.Received = append(c.step.Received, f) }

// body returns what stands before the MAC of a protected command.
func (d *decoder) body(c *call) part {
	if c.CLA&claSecure == 0 || c.data.len() < macLength {
		return c.data
	}
	body := c.data.cut(0, c.data.len()-macLength)
	c.mac = c.data.cut(body.len(), c.data.len())
	return body
}

// addMAC takes in the MAC that body has cut off.
func (c *call) addMAC(d *decoder) {
	if c.mac.len() > 0 {
		c.sent(d.secret("", textMAC, c.mac))
	}
}

// closedData decodes no more than that there are data.
func closedData(d *decoder, c *call) {
	if body := d.body(c); body.len() > 0 {
		c.sent(d.secret("", textData, body))
	}
	d.rest(c)
}

// rest takes an answer in that nothing more is known about.
func (d *decoder) rest(c *call) {
	if c.answer.len() > 0 {
		c.received(d.secret("", textData, c.answer))
	}
}
