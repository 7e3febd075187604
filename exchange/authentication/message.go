package authentication

import (
	"strings"

	"onecard/exchange"
)

// Message is a request as it travels: every value is text, bytes in
// hexadecimal. The names of the fields are those of the interface.
type Message struct {
	Service          string // 服务编号: 01, 02, 03, 04
	Area             string // 发卡地区行政区划代码
	ATR              string // 卡复位信息: the 13 historical bytes
	Algorithm        string // 算法标识: 01 DES, 02 SSF33, 03 SM4
	CardID           string // 卡识别码
	Key              string // 密钥地址, or the key's name
	InternalFactor   string // 内部认证过程因子
	InternalOriginal string // 内部认证原始信息
	ExternalFactor   string // 外部认证过程因子
	ExternalOriginal string // 外部认证原始信息
	Factor           string // 过程因子 of a secure message
	Command          string // header of the command with Lc
	PIN              string // the new number, for a reload
	TerminalSerial   string // 终端交易序号
	Random           string // 伪随机数 of the card
	CardSerial       string // 医疗消费交易序号
	Amounts          string // 交易金额: two of four bytes, as sent to the card
	TradeType        string // 交易类型
	TerminalNumber   string // 终端机编号
	Time             string // 交易时间, YYYYMMDDhhmmss
	Terminal         string // 终端编码, not judged: the certificate says who asks
}

// named returns the fields of the message by name.
func (m *Message) named() map[string]*string {
	return map[string]*string{
		"service": &m.Service, "area": &m.Area, "atr": &m.ATR, "algorithm": &m.Algorithm, "cardId": &m.CardID, "key": &m.Key,
		"internalFactor": &m.InternalFactor, "internalOriginal": &m.InternalOriginal,
		"externalFactor": &m.ExternalFactor, "externalOriginal": &m.ExternalOriginal,
		"factor": &m.Factor, "command": &m.Command, "pin": &m.PIN,
		"terminalSerial": &m.TerminalSerial, "random": &m.Random, "cardSerial": &m.CardSerial, "amounts": &m.Amounts,
		"tradeType": &m.TradeType, "terminalNumber": &m.TerminalNumber, "time": &m.Time, "terminal": &m.Terminal,
	}
}

// Answer is what a request gets. Fields that a service does not have are empty.
type Answer struct {
	Internal       string // 内部认证鉴别数据: AUTH and the original information
	External       string // 外部认证鉴别数据
	Command        string // a whole command, to be sent to the card as it is
	TerminalSerial string
	Time           string
	MAC1           string
	MAC2           string
	TAC            string

	Status     string        // 卡应用状态 AAZ502; empty for a card without record
	StatusText exchange.Text // in words
	// Line is the answer as a string with '|'.
	Line string
}

func (a *Answer) named() map[string]*string {
	return map[string]*string{
		"internal": &a.Internal, "external": &a.External, "command": &a.Command, "terminalSerial": &a.TerminalSerial,
		"time": &a.Time, "mac1": &a.MAC1, "mac2": &a.MAC2, "tac": &a.TAC,
	}
}

// print fills the line.
func (a *Answer) print(f *form) {
	var line strings.Builder
	named := a.named()
	for _, name := range f.Answer {
		line.WriteString(*named[name] + "|")
	}
	a.Line = line.String()
}

// maxLine bounds a request in one string, in bytes.
const maxLine = 1024

// keyPlace is where the key stands in every string that has one, after the
// service number.
const keyPlace = 5

// Parse reads a request in one string with '|' (Step1 的输出，前加服务编号). Bars
// at the end that part nothing are allowed, since drivers differ.
func (s *Service) Parse(line string) (Message, error) {
	if len(line) > maxLine {
		return Message{}, invalid("message", "过长", "too long")
	}
	parts := strings.Split(strings.TrimRight(line, "|"), "|")
	var key string
	if len(parts) > keyPlace {
		key = s.keys.name(parts[keyPlace])
	}
	f, err := s.forms.find(parts[0], key)
	if err != nil {
		return Message{}, err
	}
	m := Message{Service: parts[0]}
	named, rest := m.named(), parts[1:]
	f.fields(func(name string, _ bool) {
		if len(rest) > 0 {
			*named[name], rest = rest[0], rest[1:]
		}
	})
	if len(rest) > 0 {
		return Message{}, invalid("message", "字段过多", "too many fields")
	}
	return m, nil
}
