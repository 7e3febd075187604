package indicator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"onecard/internal/gb"
	"onecard/registry"
)

// Columns returns the codes of a message's fields in the peer's order, or an
// error for a topic that the peer's table has no message for.
func (t *Table) Columns(topic string) ([]string, error) {
	fields, ok := t.Messages[topic]
	if !ok {
		return nil, &registry.FieldError{Field: "topic", ZH: "对照表 " + t.Name + " 没有消息 " + topic, EN: "the table " + t.Name + " has no message " + topic}
	}
	columns := make([]string, len(fields))
	for i, field := range fields {
		columns[i] = t.Fields[field].Code
	}
	return columns, nil
}

// Values returns a record as the peer's values, in the order of [Table.Columns].
// What cannot be told is a *registry.FieldError that names the field, not the
// value.
func (t *Table) Values(topic string, record Record) ([]string, error) {
	if _, err := t.Columns(topic); err != nil {
		return nil, err
	}
	values := make([]string, len(t.Messages[topic]))
	for i, field := range t.Messages[topic] {
		var err error
		if values[i], err = t.value(field, record[field]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Record reads the peer's values, in the order of [Table.Columns], as a record
// of ours.
func (t *Table) Record(topic string, values []string) (Record, error) {
	columns, err := t.Columns(topic)
	if err != nil {
		return nil, err
	}
	if len(values) != len(columns) {
		return nil, &registry.FieldError{
			Field: "body", ZH: fmt.Sprintf("应有 %d 项（%s），实有 %d 项", len(columns), strings.Join(columns, "、"), len(values)),
			EN: fmt.Sprintf("%d items instead of %d (%s)", len(values), len(columns), strings.Join(columns, ", ")),
		}
	}
	record := Record{}
	for i, field := range t.Messages[topic] {
		if record[field], err = t.own(field, values[i]); err != nil {
			return nil, err
		}
	}
	return record, nil
}

// Encode makes the peer's record of ours, in the peer's encoding.
func (t *Table) Encode(topic string, record Record) ([]byte, error) {
	values, err := t.Values(topic, record)
	if err != nil {
		return nil, err
	}
	if t.Form == formDelimited {
		return t.encode(strings.Join(values, t.Separator))
	}
	columns, err := t.Columns(topic)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for i, value := range values {
		code, _ := json.Marshal(columns[i]) // text
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			b.WriteByte('{')
		} else {
			b.WriteByte(',')
		}
		b.Write(code)
		b.WriteByte(':')
		b.Write(text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Decode reads the peer's record. Its errors name the field, ours and the
// peer's, and what was expected.
func (t *Table) Decode(topic string, content []byte) (Record, error) {
	columns, err := t.Columns(topic)
	if err != nil {
		return nil, err
	}
	if t.Form == formJSON {
		values, err := object(content, columns)
		if err != nil {
			return nil, err
		}
		return t.Record(topic, values)
	}
	text := string(content)
	if t.encoding != nil {
		decoded, err := t.encoding.NewDecoder().Bytes(content)
		if err != nil || bytes.ContainsRune(decoded, utf8.RuneError) {
			return nil, t.wrongEncoding()
		}
		text = string(decoded)
	}
	if !utf8.ValidString(text) {
		return nil, t.wrongEncoding()
	}
	// Cut as text: in GBK the separator's byte can be half of a character.
	return t.Record(topic, strings.Split(text, t.Separator))
}

func (t *Table) wrongEncoding() error {
	return &registry.FieldError{Field: "body", ZH: "编码应为 " + t.Encoding, EN: "encoded as " + t.Encoding}
}

// object reads a flat JSON object of texts: exactly the columns, each once.
func object(content []byte, columns []string) ([]string, error) {
	expected := strings.Join(columns, "、")
	wrong := &registry.FieldError{Field: "body", ZH: "应为 JSON，恰有文本项 " + expected, EN: "JSON with exactly the texts " + expected}
	if !utf8.Valid(content) {
		return nil, wrong
	}
	in := json.NewDecoder(bytes.NewReader(content))
	if open, err := in.Token(); err != nil || open != json.Delim('{') {
		return nil, wrong
	}
	values := make([]string, len(columns))
	seen := make([]bool, len(columns))
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return nil, wrong
		}
		name, _ := key.(string)
		at := slices.Index(columns, name)
		if at < 0 || seen[at] {
			return nil, wrong
		}
		value, err := in.Token()
		text, ok := value.(string)
		if err != nil || !ok {
			return nil, &registry.FieldError{Field: name, ZH: "应为文本", EN: "a text"}
		}
		values[at], seen[at] = text, true
	}
	if _, err := in.Token(); err != nil || slices.Contains(seen, false) {
		return nil, wrong
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, wrong
	}
	return values, nil
}

// Forms in which days and instants pass between authorities (GB/T 7408, basic
// form), instants in Beijing's time.
const (
	peerDay     = "20060102"
	peerInstant = "20060102150405"
)

// value returns the peer's value of a field.
func (t *Table) value(field, value string) (string, error) {
	rule := t.Fields[field]
	if value == "" {
		if rule.Optional {
			return "", nil
		}
		return "", rule.wrong("不能为空", "must not be empty")
	}
	switch {
	case rule.field.values != nil:
		code, ok := rule.write[value]
		if !ok {
			return "", rule.wrong("对方没有对应的代码，可传 "+rule.expected(rule.write), "the peer has no code for it; it has "+rule.expected(rule.write))
		}
		return code, nil
	case rule.field.Form == formDay:
		day, err := time.Parse(time.DateOnly, value)
		if err != nil {
			return "", rule.wrong("应为日期 2006-01-02", "a day, 2006-01-02")
		}
		return day.Format(peerDay), nil
	case rule.field.Form == formInstant:
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return "", rule.wrong("应为时间 RFC 3339", "an instant, RFC 3339")
		}
		return at.In(gb.Beijing).Format(peerInstant), nil
	}
	value, _ = t.text(rule, value)
	return value, t.fits(rule, value)
}

// text makes of a text what the peer's record takes: where the rule says so,
// characters that the encoding lacks are replaced and what does not fit is cut
// off between two characters.
func (t *Table) text(rule *Rule, value string) (told string, cut bool) {
	if !rule.Cut && rule.Replace == "" || !utf8.ValidString(value) {
		return value, false
	}
	var b strings.Builder
	size := 0
	for _, r := range value {
		char := string(r)
		n, err := t.size(char)
		if err != nil && rule.Replace != "" {
			char, n = rule.Replace, len(rule.Replace)
		}
		if rule.Cut && size+n > rule.Bytes {
			return b.String(), true
		}
		size += n
		b.WriteString(char)
	}
	return b.String(), false
}

// own returns our value of a field.
func (t *Table) own(field, value string) (string, error) {
	rule := t.Fields[field]
	if value == "" {
		return t.value(field, "")
	}
	if err := t.fits(rule, value); err != nil {
		return "", err
	}
	switch {
	case rule.field.values != nil:
		ours, ok := rule.read[value]
		if !ok {
			expected := rule.expectedCodes()
			return "", rule.wrong("应为 "+expected, "one of "+expected)
		}
		return ours, nil
	case rule.field.Form == formDay:
		day, err := time.Parse(peerDay, value)
		if err != nil {
			return "", rule.wrong("应为日期 "+peerDay, "a day, "+peerDay)
		}
		return day.Format(time.DateOnly), nil
	case rule.field.Form == formInstant:
		at, err := time.ParseInLocation(peerInstant, value, gb.Beijing)
		if err != nil || len(value) != len(peerInstant) {
			return "", rule.wrong("应为时间 "+peerInstant, "an instant, "+peerInstant)
		}
		return at.Format(time.RFC3339), nil
	}
	return value, nil
}

// fits says whether a text may pass: its length, its characters, nothing that
// would look like the end of the item or of the record.
func (t *Table) fits(rule *Rule, value string) error {
	size, err := t.size(value)
	switch {
	case err != nil:
		return rule.wrong("含有 "+t.Encoding+" 没有的字符", "a character that "+t.Encoding+" lacks")
	case size > rule.Bytes:
		return rule.wrong(fmt.Sprintf("应不超过 %d 字节（%s），实为 %d", rule.Bytes, t.Encoding, size), fmt.Sprintf("at most %d bytes (%s), not %d", rule.Bytes, t.Encoding, size))
	case strings.ContainsFunc(value, unicode.IsControl) || strings.ContainsRune(value, utf8.RuneError) ||
		t.Separator != "" && strings.Contains(value, t.Separator):
		return rule.wrong("含有控制字符或分隔符", "a control character or the separator")
	}
	return nil
}

// wrong is an error of a field: our name and the peer's code.
func (r *Rule) wrong(zh, en string) error {
	return &registry.FieldError{Field: r.field.Name + " (" + r.Code + ")", ZH: r.field.ZH + zh, EN: r.field.EN + ": " + en}
}

// expected lists our values that the peer has a code for.
func (r *Rule) expected(values map[string]string) string {
	meanings := map[string]string{}
	for value := range values {
		meanings[value] = r.field.values[value].ZH
	}
	return list(meanings)
}

// expectedCodes lists the peer's codes.
func (r *Rule) expectedCodes() string {
	meanings := map[string]string{}
	for code, value := range r.read {
		meanings[code] = r.field.values[value].ZH
	}
	return list(meanings)
}

// Shown returns the codes of the rule's values for people: ours, its meaning, the
// peer's code, with what else is read as it.
func (r *Rule) Shown() string {
	var parts []string
	for value, meaning := range r.field.values {
		if r.Standard && r.Codes[value] == nil && !slices.Contains(r.None, value) {
			continue
		}
		code, ok := r.write[value]
		if !ok {
			parts = append(parts, value+" "+meaning.ZH+" = 无 none")
			continue
		}
		text := value + " " + meaning.ZH + " = " + strings.Join(r.Codes[value], "/")
		if r.read[code] != value {
			text += "（读作 read as " + r.read[code] + "）"
		}
		parts = append(parts, text)
	}
	if r.Standard {
		parts = append(parts, "其余同本平台 else the same")
	}
	slices.Sort(parts)
	return strings.Join(parts, "；")
}
