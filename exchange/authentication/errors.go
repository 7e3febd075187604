package authentication

import (
	"errors"
	"fmt"
	"time"

	"onecard/card/profile"
)

// Error is a refusal in words for people, with what to do. errors.Is tells
// refusals apart by their code.
type Error struct {
	Code         string
	Text, Remedy profile.Text
	Again        time.Duration // when it makes sense to ask again; zero for never
}

func (e *Error) Error() string { return e.Text.EN }

// Explain returns the words for people.
func (e *Error) Explain() (text, remedy profile.Text) { return e.Text, e.Remedy }

// RetryAfter returns when it makes sense to ask again.
func (e *Error) RetryAfter() time.Duration { return e.Again }

// Is makes a refusal with other words match the one that it was made from.
func (e *Error) Is(target error) bool {
	var other *Error
	return errors.As(target, &other) && other.Code == e.Code
}

// The refusals.
var (
	ErrSSF33         = &Error{Code: "ssf33", Text: profile.Text{ZH: "不支持 SSF33 算法（算法标识 02）", EN: "the algorithm SSF33 (02) is not supported"}, Remedy: profile.Text{ZH: "请为持卡人换发国密算法的卡。", EN: "Replace the card by one with SM4."}}
	ErrNoRight       = &Error{Code: "no-right", Text: profile.Text{ZH: "本终端或您的岗位不能使用此服务或此密钥", EN: "this terminal or your role may not use this service or this key"}, Remedy: profile.Text{ZH: "请由有权限的机构和人员办理。", EN: "Ask somebody who may."}}
	ErrLimit         = &Error{Code: "authentication-limit", Text: profile.Text{ZH: "认证次数已达上限", EN: "the limit of authentications is reached"}, Remedy: profile.Text{ZH: "请稍后再试；确有需要请联系省平台调整限额。", EN: "Try again later, or ask the province for a higher limit."}}
	ErrChallengeUsed = &Error{Code: "challenge-used", Text: profile.Text{ZH: "这个随机数已经认证过", EN: "the challenge was answered before"}, Remedy: profile.Text{ZH: "请重新从卡中取随机数。", EN: "Take a fresh challenge from the card."}}
	ErrCardStatus    = &Error{Code: "card-status", Text: profile.Text{ZH: "此卡的状态不能使用此服务", EN: "the service is not for a card of this status"}, Remedy: profile.Text{ZH: "请持卡人到经办窗口或拨打12333办理。", EN: "The holder may ask at a service window or call 12333."}}
	ErrOtherATR      = &Error{Code: "record-differs", Text: profile.Text{ZH: "卡复位信息与本省记录不一致", EN: "the answer to reset is not the one on record for this card"}, Remedy: profile.Text{ZH: "请勿受理，并按规定报告。", EN: "Do not accept the card; report it."}}
	ErrNoRound       = &Error{Code: "no-first-round", Text: profile.Text{ZH: "此卡在本终端没有进行中的密码重装", EN: "no PIN reload of this card is under way at this terminal"}, Remedy: profile.Text{ZH: "请从第一步（PUK 外部认证）重新开始。", EN: "Begin again with the first round, the authentication with PUK."}}
	ErrNoKey         = &Error{Code: "no-key", Text: profile.Text{ZH: "本省没有这个密钥", EN: "the province does not have this key"}, Remedy: profile.Text{ZH: "请联系省平台导入密钥。", EN: "Ask the province to import it."}}
	ErrNoAddress     = &Error{Code: "no-key-address", Text: profile.Text{ZH: "这个密钥没有密钥地址", EN: "the key has no address"}, Remedy: profile.Text{ZH: "请省平台在配置中登记（addresses）。", EN: "Let the province configure one (addresses)."}}
)

// about returns the refusal with a name in its words: of a key, of a status.
func about(e *Error, zh, en string) *Error {
	special := *e
	special.Text = profile.Text{ZH: fmt.Sprintf("%s：%s", e.Text.ZH, zh), EN: fmt.Sprintf("%s: %s", e.Text.EN, en)}
	return &special
}

func noAddress(key string) error { return about(ErrNoAddress, key, key) }

// limited is ErrLimit with the time after which the next request may come.
func limited(again time.Duration) error {
	e := *ErrLimit
	e.Again = again
	return &e
}
