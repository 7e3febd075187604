package trace

import (
	"encoding/hex"
	"slices"
	"strings"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/profile"
)

// part is a run of bytes with the view of them that may be shown: nothing, until
// a field says otherwise.
type part struct{ raw, view apdu.Octets }

func newPart(raw apdu.Octets) part {
	view := make(apdu.Octets, len(raw))
	for i := range view {
		view[i].Masked = true
	}
	return part{raw, view}
}

func (p part) len() int { return len(p.raw) }

// cut returns the bytes from..to, as many of them as there are.
func (p part) cut(from, to int) part {
	from, to = min(max(from, 0), p.len()), min(to, p.len())
	to = max(from, to)
	return part{p.raw[from:to], p.view[from:to]}
}

// bytes returns the bytes; ok says that none was masked when it was recorded.
func (p part) bytes() (b []byte, ok bool) { return plain(p.raw), !hidden(p.raw) }

// show puts the bytes into the view.
func (p part) show() { copy(p.view, p.raw) }

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// open makes a field that may be shown.
func (d *decoder) open(tag string, text profile.Text, p part, render func([]byte) string) Field {
	f := Field{Tag: tag, Text: text, Length: p.len()}
	b, whole := p.bytes()
	if !whole {
		f.State = Gone
		d.totals.Gone++
		return f
	}
	p.show()
	f.Value = render(b)
	return f
}

// plainHex is open for bytes that are shown as they are.
func (d *decoder) plainHex(tag string, text profile.Text, p part) Field {
	return d.open(tag, text, p, upperHex)
}

// closed makes a field that is masked unless asked for.
func (d *decoder) closed(tag string, text profile.Text, p part, render func([]byte) string) Field {
	if !d.options.Reveal && !hidden(p.raw) && p.len() > 0 {
		d.totals.Masked++
		return Field{Tag: tag, Text: text, Length: p.len(), State: Masked}
	}
	return d.open(tag, text, p, render)
}

// secret is closed for bytes that are shown as they are.
func (d *decoder) secret(tag string, text profile.Text, p part) Field {
	return d.closed(tag, text, p, upperHex)
}

// public names the elements that say nothing of the holder nor whose card it
// is, by the profiles' names.
var public = []string{"cardType", "specVersion", "issuer", "issuedOn", "expiresOn"}

// element decodes a value by the element's coding (an, cn, b, dec, hex4,
// template).
func (d *decoder) element(e *profile.Element, p part) Field {
	tag := upperHex([]byte{e.Tag})
	if e.Coding == "template" {
		f := Field{Tag: tag, Name: e.Name, Text: e.Title, Length: p.len()}
		for i := range e.Inner {
			inner := &e.Inner[i]
			f.Parts = append(f.Parts, d.record(inner, p.cut(0, 2+inner.Length)))
			p = p.cut(2+inner.Length, p.len())
		}
		return f
	}
	render := func(value []byte) string { return d.elementText(e, value) }
	show := d.closed
	if slices.Contains(public, e.Name) {
		show = d.open
	}
	f := show(tag, e.Title, p, render)
	f.Name = e.Name
	return f
}

// record decodes a record `tag len value` of an element.
func (d *decoder) record(e *profile.Element, p part) Field {
	whole, _ := p.bytes()
	if p.len() != 2+e.Length || !hidden(p.raw[:2]) && (whole[0] != e.Tag || int(whole[1]) != e.Length) {
		return d.secret("", profile.Text{ZH: e.Title.ZH + "（长度或标签不符）", EN: e.Title.EN + " (other tag or length)"}, p)
	}
	if !hidden(p.raw[:2]) {
		p.cut(0, 2).show()
	}
	return d.element(e, p.cut(2, p.len()))
}

// elementText returns a value in words: text, digits, a number or hexadecimal.
func (d *decoder) elementText(e *profile.Element, value []byte) string {
	text, err := card.DecodeValue(d.profile, e, value)
	if err != nil {
		return upperHex(value)
	}
	return text
}
