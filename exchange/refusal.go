package exchange

import (
	"errors"
	"fmt"
	"strings"
)

// Refusal says why a transaction is not carried out, in words for the people at
// the counter. Refusals are told apart by Code: errors.Is(err, ErrNotInsured)
// holds for every refusal with that code, whatever its words.
type Refusal struct {
	Code string `json:"code"`
	Text Text   `json:"text"`
	// Status is the card's status (卡应用状态 AAZ502) when that is the reason.
	Status string `json:"status,omitempty"`
}

// Error implements error.
func (r *Refusal) Error() string {
	return fmt.Sprintf("exchange: refused (%s): %s %s", r.Code, r.Text.ZH, r.Text.EN)
}

// Is reports whether target is a refusal with the same code.
func (r *Refusal) Is(target error) bool {
	var other *Refusal
	return errors.As(target, &other) && other.Code == r.Code
}

// The refusals of the exchange itself. A back end adds its own.
var (
	ErrCardNotNormal = &Refusal{Code: "cardNotNormal", Text: Text{
		"该卡不是正常状态，不能使用", "this card is not in normal status and cannot be used"}}
	ErrProofUnknown = &Refusal{Code: "proofUnknown", Text: Text{
		"没有本终端的读卡鉴权记录，请重新插卡", "this terminal has not proven the card: insert it again"}}
	ErrProofExpired = &Refusal{Code: "proofExpired", Text: Text{
		"读卡鉴权已过期，请重新插卡", "the proof of the card has expired: insert the card again"}}
	ErrNotGenuine = &Refusal{Code: "notGenuine", Text: Text{
		"未能证明卡片为真，不能使用", "the card has not been proven genuine and cannot be used"}}
	ErrNotInsured = &Refusal{Code: "notInsured", Text: Text{
		"未查到参保信息，请到参保地经办机构查询", "no insurance is found: ask the agency of the insured place"}}
	ErrInsuranceStopped = &Refusal{Code: "insuranceStopped", Text: Text{
		"业务日期不在参保有效期内，请到参保地经办机构查询", "not insured on the business date: ask the agency of the insured place"}}
	ErrNoRoute = &Refusal{Code: "noRoute", Text: Text{
		"该业务暂不能在此联网结算", "this business cannot be settled here online yet"}}
	ErrWrongSite = &Refusal{Code: "wrongSite", Text: Text{
		"本机构不能办理该业务", "this institution cannot do this business"}}
	ErrIDReused = &Refusal{Code: "idReused", Text: Text{
		"交易标识已用于另一笔请求", "the transaction id was used for another request"}}
	ErrSerialReused = &Refusal{Code: "serialReused", Text: Text{
		"终端交易序号当日已使用", "the terminal has used this serial number on this date"}}
	ErrBlocked = &Refusal{Code: "blocked", Text: Text{
		"该交易已先行冲正，不再受理", "this transaction was reversed before it came and is not accepted any more"}}
	ErrNotYours = &Refusal{Code: "notYours", Text: Text{
		"该交易属于其他机构", "the transaction belongs to another institution"}}
)

// ErrRunning is returned with the pending transaction when the same request
// arrives again before the first has ended (处理中): ask again later.
var ErrRunning = errors.New("exchange: the transaction is still running")

// ErrNotFound means that the journal has no such transaction.
var ErrNotFound = errors.New("exchange: no such transaction")

// cardStatus names the values of AAZ502 (LB 01 card status of the card
// management system).
var cardStatus = map[string]Text{
	"0": {"封存（未启用）", "sealed, not yet activated"},
	"1": {"正常", "normal"},
	"2": {"正式挂失", "reported lost"},
	"3": {"应用锁定", "application locked"},
	"4": {"临时挂失", "temporarily reported lost"},
	"9": {"注销", "cancelled"},
}

// statusNormal is AAZ502 of a card that may be used (正常).
const statusNormal = "1"

// notNormal returns ErrCardNotNormal with the words for this status.
func notNormal(status string) *Refusal {
	name, known := cardStatus[status]
	if !known {
		name = Text{"状态不明", "unknown status"}
	}
	return &Refusal{Code: ErrCardNotNormal.Code, Status: status, Text: Text{
		fmt.Sprintf("卡状态为“%s”，不能使用", name.ZH),
		fmt.Sprintf("the card is not usable: %s", name.EN)}}
}

// Invalid is a request which cannot be carried out as it is written. It names
// fields and what was expected, never the values.
type Invalid struct{ Fields []InvalidField }

// InvalidField is one field of a request and what was expected of it.
type InvalidField struct {
	Field string // as in the request, such as "items[2].fen"
	Text  Text
}

// Error implements error.
func (e *Invalid) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + ": " + f.Text.EN
	}
	return "exchange: invalid request: " + strings.Join(parts, "; ")
}

func (e *Invalid) add(field, zh, en string) {
	e.Fields = append(e.Fields, InvalidField{field, Text{zh, en}})
}
