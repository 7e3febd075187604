package trace

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"

	"onecard/apdu"
	"onecard/card/profile"
)

// applications names what may be selected besides the files of the profile.
// Sources: GlobalPlatform, JR/T 0025, programs in the field.
var applications = []struct {
	prefix string
	text   profile.Text
}{
	{"sx1.sh.", profile.Text{ZH: "社会保障应用环境", EN: "social security environment"}},
	{"sx2.sh.", profile.Text{ZH: "社会保障应用环境（SSF33，安全模块）", EN: "social security environment (SSF33, security module)"}},
	{"sx3.sh.", profile.Text{ZH: "社会保障应用环境（SM4，安全模块）", EN: "social security environment (SM4, security module)"}},
	{"PKI.", profile.Text{ZH: "PKI 应用环境", EN: "PKI environment"}},
	{"SS.CERT.", profile.Text{ZH: "证书应用", EN: "certificates"}},
	{"1PAY.SYS.DDF01", profile.Text{ZH: "接触式支付环境", EN: "payment environment, contact"}},
	{"2PAY.SYS.DDF01", profile.Text{ZH: "非接触式支付环境", EN: "payment environment, contactless"}},
	{"\xD1\x56\x00\x00\x05\x90", profile.Text{ZH: "安全模块应用", EN: "application of the security module"}},
	{"\xD1\x56\x00\x00\x05", profile.Text{ZH: "人力资源和社会保障应用", EN: "application of the ministry"}},
	{"\xA0\x00\x00\x03\x33\x01\x01", profile.Text{ZH: "银联金融应用", EN: "UnionPay application"}},
	{"\xA0\x00\x00\x06\x32", profile.Text{ZH: "交通应用", EN: "transport application"}},
	{"\xA0\x00\x00\x01\x51", profile.Text{ZH: "GP 发行者安全域", EN: "GlobalPlatform issuer security domain"}},
	{"\xA0\x00\x00\x00\x03", profile.Text{ZH: "GP 发行者安全域", EN: "GlobalPlatform issuer security domain"}},
}

// selectFile follows what is selected and decodes the FCI.
func (d *decoder) selectFile(c *call) {
	name, whole := c.data.bytes()
	if c.data.len() > 0 {
		c.sent(d.open("", profile.Text{ZH: "名称或标识", EN: "name or identifier"}, c.data, nameText))
	}
	d.fci(c)
	d.channel = d.channel && c.P1 != 0x04 // another application ends a session
	if !whole {
		d.selected(c, nil, nil)
		return
	}
	if c.P1 == 0x04 {
		d.selectName(c, name)
		return
	}
	d.selectID(c, name)
}

// selected notes a selection that the chip carried out.
func (d *decoder) selected(c *call, scope *profile.Scope, file *profile.File) {
	if c.selected() {
		d.scope, d.file = scope, file
	}
}

func (d *decoder) selectName(c *call, name []byte) {
	if d.profile != nil {
		for i := range d.profile.Scopes {
			scope := &d.profile.Scopes[i]
			if len(scope.AID) > 0 && bytes.Equal(scope.AID, name) || scope.Index == 0 && bytes.Equal(d.profile.Environment, name) {
				c.about(scope.Name+" "+scope.Title.ZH, scope.Name+" "+scope.Title.EN)
				d.selected(c, scope, nil)
				return
			}
		}
	}
	for _, a := range applications {
		if strings.HasPrefix(string(name), a.prefix) {
			c.about(a.text.ZH, a.text.EN)
			break
		}
	}
	d.selected(c, nil, nil)
}

func (d *decoder) selectID(c *call, fid []byte) {
	const masterFile = "\x3F\x00"
	if len(fid) == 0 || string(fid) == masterFile {
		c.about("MF 主文件", "master file")
		d.selected(c, nil, nil)
		return
	}
	c.about(upperHex(fid), upperHex(fid))
	if d.profile == nil {
		return
	}
	for i := range d.profile.Scopes {
		if scope := &d.profile.Scopes[i]; len(scope.FID) > 0 && bytes.Equal(scope.FID, fid) {
			c.about(scope.Title.ZH, scope.Title.EN)
			d.selected(c, scope, nil)
			return
		}
	}
	file := d.find(func(f *profile.File) bool { return bytes.Equal(f.FID, fid) })
	if file != nil {
		c.about(file.Title.ZH, file.Title.EN)
	}
	d.selected(c, d.scope, file)
}

// find looks for a file in the current scope; nil where there is none.
func (d *decoder) find(is func(*profile.File) bool) *profile.File {
	if d.scope == nil {
		return nil
	}
	for i := range d.scope.Files {
		if is(&d.scope.Files[i]) {
			return &d.scope.Files[i]
		}
	}
	return nil
}

// addressed returns the file with a short identifier, the current one for 0.
func (d *decoder) addressed(sfi byte) *profile.File {
	if sfi == 0 {
		return d.file
	}
	return d.find(func(f *profile.File) bool { return f.SFI() == sfi })
}

// recordOf finds what P1 and P2 of a record command are about and names it; the
// element is nil where the profile does not know.
func (d *decoder) recordOf(c *call) (e *profile.Element) {
	sfi, mode := c.P2>>3, c.P2&0x07
	file := d.addressed(sfi)
	if file == nil {
		if sfi != 0 {
			c.about(fmt.Sprintf("SFI %02X", sfi), fmt.Sprintf("SFI %02X", sfi))
		}
		c.about(fmt.Sprintf("记录 %02X", c.P1), fmt.Sprintf("record %02X", c.P1))
		return nil
	}
	path := d.scope.Name + "/" + file.Name()
	for i := range file.Elements {
		found := &file.Elements[i]
		if mode == 4 && found.Record == int(c.P1) || mode == 0 && found.Tag == c.P1 {
			c.about(path+" "+found.Title.ZH, path+" "+found.Title.EN)
			return found
		}
	}
	c.about(fmt.Sprintf("%s %s 记录 %02X", path, file.Title.ZH, c.P1), fmt.Sprintf("%s %s, record %02X", path, file.Title.EN, c.P1))
	return nil
}

func (d *decoder) readRecord(c *call) {
	e := d.recordOf(c)
	if c.data.len() > 0 {
		c.sent(d.secret("", textData, d.body(c)))
	}
	switch {
	case c.answer.len() == 0:
	case e != nil:
		c.received(d.record(e, c.answer))
	case d.scope == nil:
		d.objects(c)
	default:
		d.rest(c)
	}
}

func (d *decoder) updateRecord(c *call) {
	e := d.recordOf(c)
	if body := d.body(c); e != nil {
		c.sent(d.record(e, body))
	} else if body.len() > 0 {
		c.sent(d.secret("", textData, body))
	}
	d.rest(c)
}

func (d *decoder) appendRecord(c *call) {
	if file := d.addressed(c.P2 >> 3); file != nil {
		c.about(d.scope.Name+"/"+file.Name()+" "+file.Title.ZH, d.scope.Name+"/"+file.Name()+" "+file.Title.EN)
	}
	closedData(d, c)
}

// binary names file and offset: P1 with bit 8 is a short identifier.
func (d *decoder) binary(c *call) {
	file, offset := d.file, int(c.P1)<<8|int(c.P2)
	if c.P1&0x80 != 0 {
		file, offset = d.addressed(c.P1&0x1F), int(c.P2)
	}
	if file != nil {
		c.about(d.scope.Name+"/"+file.Name()+" "+file.Title.ZH, d.scope.Name+"/"+file.Name()+" "+file.Title.EN)
	}
	c.about(fmt.Sprintf("自第 %d 字节", offset), fmt.Sprintf("from byte %d", offset))
	closedData(d, c)
}

// nameText shows a name as text where it is one, besides its bytes.
func nameText(name []byte) string {
	text, err := simplifiedchinese.GBK.NewDecoder().Bytes(name)
	if err != nil || bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == '\uFFFD' }) {
		return upperHex(name)
	}
	return string(text)
}

// tags names the data objects of ISO/IEC 7816-4 and of EMV that a selection or
// a bank record answers.
var tags = map[uint32]profile.Text{
	0x6F:   {ZH: "FCI 文件控制信息", EN: "FCI, file control information"},
	0x62:   {ZH: "FCP 文件控制参数", EN: "FCP, file control parameters"},
	0x64:   {ZH: "FMD 文件管理数据", EN: "FMD, file management data"},
	0x84:   {ZH: "DF 名称", EN: "DF name"},
	0x88:   {ZH: "目录文件的短标识", EN: "SFI of the directory file"},
	0xA5:   {ZH: "FCI 专有数据", EN: "FCI, proprietary"},
	0x50:   {ZH: "应用标签", EN: "application label"},
	0x87:   {ZH: "应用优先级", EN: "application priority"},
	0x9F38: {ZH: "PDOL", EN: "PDOL"},
	0x9F0C: {ZH: "发卡方自定义数据", EN: "issuer's own data"},
	0xBF0C: {ZH: "发卡方自定义数据", EN: "issuer's own data"},
	0x4F:   {ZH: "应用标识 AID", EN: "AID"},
	0x61:   {ZH: "应用模板", EN: "application template"},
	0x70:   {ZH: "记录模板", EN: "record template"},
	0x5A:   {ZH: "主账号", EN: "PAN"},
	0x57:   {ZH: "二磁道等价数据", EN: "track 2 equivalent"},
	0x5F20: {ZH: "持卡人姓名", EN: "cardholder's name"},
	0x5F24: {ZH: "失效日期", EN: "expires on"},
}

// fci decodes the answer to a selection; it names files and no person.
func (d *decoder) fci(c *call) {
	if c.answer.len() == 0 {
		return
	}
	raw, whole := c.answer.bytes()
	objects, err := apdu.ParseTLV(raw)
	if !whole || err != nil {
		d.rest(c)
		return
	}
	c.answer.show()
	for _, object := range objects {
		c.received(objectField(object, func(value []byte) Field { return Field{Value: nameText(value)} }))
	}
}

// objects decodes a record that is BER-TLV: tags are shown, values are not.
func (d *decoder) objects(c *call) {
	raw, whole := c.answer.bytes()
	objects, err := apdu.ParseTLV(raw)
	if !whole || err != nil || len(objects) == 0 {
		d.rest(c)
		return
	}
	if d.options.Reveal {
		c.answer.show()
	}
	for _, object := range objects {
		c.received(objectField(object, func(value []byte) Field {
			if d.options.Reveal {
				return Field{Value: upperHex(value)}
			}
			d.totals.Masked++
			return Field{State: Masked}
		}))
	}
}

// objectField makes the field of a data object; leaf makes that of a primitive
// one's value.
func objectField(object apdu.TLV, leaf func(value []byte) Field) Field {
	f := Field{}
	if len(object.Children) == 0 {
		f = leaf(object.Value)
	}
	f.Tag, f.Text, f.Length = fmt.Sprintf("%02X", object.Tag), tags[object.Tag], len(object.Value)
	if f.Text == (profile.Text{}) {
		f.Text = profile.Text{ZH: "数据对象", EN: "data object"}
	}
	for _, child := range object.Children {
		f.Parts = append(f.Parts, objectField(child, leaf))
	}
	return f
}
