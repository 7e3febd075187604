package authentication

import (
	"encoding/hex"
	"fmt"
	"strings"

	"onecard/exchange"
)

// The algorithms (算法标识).
const (
	algorithmDES   = "01"
	algorithmSSF33 = "02"
	algorithmSM4   = "03"
)

// request is a message whose form is right.
type request struct {
	Message
	form  *form
	key   string            // name of the key of the profile, not that of IRK
	bytes map[string][]byte // the fields in hexadecimal, by name
}

// lengths are the fields in hexadecimal with their number of bytes.
var lengths = map[string]int{
	"atr": 13, "cardId": 16, "internalFactor": 8, "internalOriginal": 8, "externalFactor": 8, "externalOriginal": 8,
	"factor": 8, "command": 5, "terminalSerial": 4, "random": 4, "cardSerial": 2, "amounts": 8, "tradeType": 1,
}

// digits are the fields in digits with their number.
var digits = map[string]int{"area": 6, "terminalNumber": 12, "time": 14}

// pairs are fields of which both or neither are given.
var pairs = map[string]string{"internalFactor": "internalOriginal", "externalFactor": "externalOriginal"}

// invalid is a request one of whose fields is not as it should be.
func invalid(field, zh, en string) error {
	return &exchange.Invalid{Fields: []exchange.InvalidField{{Field: field, Text: exchange.Text{ZH: zh, EN: en}}}}
}

// check tells what is wrong with the message by itself, all at once, and makes
// it ready for use.
func (s *Service) check(m Message) (*request, error) {
	key := ""
	if m.Key != "" {
		var err error
		if key, err = s.keys.resolve(m.Key); err != nil {
			return nil, err
		}
	}
	f, err := s.forms.find(m.Service, key)
	if err != nil {
		return nil, err
	}
	r := &request{Message: m, form: f, key: key, bytes: map[string][]byte{}}
	var bad exchange.Invalid
	add := func(field, zh, en string) {
		bad.Fields = append(bad.Fields, exchange.InvalidField{Field: field, Text: exchange.Text{ZH: zh, EN: en}})
	}
	mine, named := map[string]bool{"service": true}, r.named()
	f.fields(func(name string, needed bool) {
		mine[name] = true
		if value := *named[name]; value == "" && needed {
			add(name, "必填", "required")
		} else if value != "" {
			r.checkField(name, value, add)
		}
	})
	for name, value := range named {
		if !mine[name] && *value != "" {
			add(name, "此服务没有这个字段", "the service has no such field")
		}
	}
	if len(bad.Fields) == 0 {
		s.checkTogether(r, add)
	}
	if len(bad.Fields) > 0 {
		return nil, &bad
	}
	if f.Internal != "" {
		r.key = f.External
	}
	if r.Algorithm == algorithmSSF33 {
		return nil, ErrSSF33
	}
	return r, nil
}

// checkField judges one value by itself.
func (r *request) checkField(name, value string, add func(field, zh, en string)) {
	switch {
	case lengths[name] > 0:
		raw, err := hex.DecodeString(value)
		if err != nil || len(raw) != lengths[name] {
			add(name, fmt.Sprintf("应为 %d 字节十六进制", lengths[name]), fmt.Sprintf("%d bytes in hexadecimal", lengths[name]))
			return
		}
		r.bytes[name] = raw
	case digits[name] > 0:
		if len(value) != digits[name] || strings.Trim(value, "0123456789") != "" {
			add(name, fmt.Sprintf("应为 %d 位数字", digits[name]), fmt.Sprintf("%d digits", digits[name]))
			return
		}
		r.bytes[name], _ = hex.DecodeString(value) // an even number of digits
	case name == "algorithm":
		if value != algorithmDES && value != algorithmSSF33 && value != algorithmSM4 {
			add(name, "应为 01、02 或 03", "01, 02 or 03")
		}
	case name == "pin":
		if len(value) < 4 || len(value) > 12 || len(value)%2 != 0 || strings.Trim(value, "0123456789") != "" {
			add(name, "应为 4 至 12 位偶数个数字", "an even number of digits, 4 to 12")
		}
	}
}

// checkTogether judges what must fit together.
func (s *Service) checkTogether(r *request, add func(field, zh, en string)) {
	if !strings.HasPrefix(r.CardID, r.Area) {
		add("area", "与卡识别码不符", "not that of the card identification")
	}
	for one, other := range pairs {
		named := r.named()
		if (*named[one] == "") != (*named[other] == "") {
			add(other, "过程因子和原始信息应同时给出", "factor and original information come together")
		}
	}
	if r.form.Secure == "" {
		return
	}
	commands := s.forms.Commands[r.Algorithm]
	switch command := strings.ToUpper(r.Command); {
	case command == commands["reload"] && r.PIN == "":
		add("pin", "必填", "required")
	case command == commands["unblock"] && r.PIN != "":
		add("pin", "解锁不带密码", "an unblock has none")
	case command != commands["reload"] && command != commands["unblock"] && r.Algorithm != algorithmSSF33:
		add("command", "应为密码重装或解锁的命令头", "the header of a PIN reload or unblock")
	}
}

// used returns the challenges that the request wants answered, each with the
// key that answers it.
func (r *request) used() map[string][]byte {
	found := map[string][]byte{}
	for field, key := range map[string]string{
		"internalFactor": r.form.Internal, "externalFactor": r.key, "factor": r.key, "random": r.key,
	} {
		if raw := r.bytes[field]; raw != nil {
			found[key] = raw
		}
	}
	return found
}

// keysUsed are the keys that the request needs.
func (r *request) keysUsed() []string {
	var names []string
	if r.bytes["internalFactor"] != nil {
		names = append(names, r.form.Internal)
	}
	if r.form.Internal == "" || r.bytes["externalFactor"] != nil {
		names = append(names, r.key)
	}
	return names
}
