package driver

import (
	"errors"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/profile"
)

// Error is an error with the national driver's number (错误代码).
type Error struct {
	Code int
	Text profile.Text

	cause error
}

func (e *Error) Error() string {
	if e.cause != nil {
		return e.Text.EN + ": " + e.cause.Error()
	}
	return e.Text.EN
}

func (e *Error) Unwrap() error { return e.cause }

// Is makes an error with a cause match the one that it was made from.
func (e *Error) Is(target error) bool {
	var other *Error
	return errors.As(target, &other) && other.Code == e.Code
}

// Explain returns the words for people.
func (e *Error) Explain() (text, remedy profile.Text) { return e.Text, profile.Text{} }

// The numbers of the driver that this package uses.
var (
	ErrCardKind    = &Error{Code: -1, Text: profile.Text{ZH: "卡类型不正确", EN: "wrong kind of card"}}
	ErrNoAnswer    = &Error{Code: -4, Text: profile.Text{ZH: "卡无应答", EN: "the card does not answer"}}
	ErrUnsupported = &Error{Code: -13, Text: profile.Text{ZH: "不支持该命令", EN: "not supported"}}
	ErrParameter   = &Error{Code: -14, Text: profile.Text{ZH: "命令参数错误", EN: "wrong parameter"}}
	ErrCheck       = &Error{Code: -15, Text: profile.Text{ZH: "信息校验出错", EN: "the card's data cannot be read"}}
	ErrNotGenuine  = &Error{Code: -21, Text: profile.Text{ZH: "内部认证失败（用户卡不合法）", EN: "internal authentication failed: the card is not genuine"}}
	ErrDiffers     = &Error{Code: -22, Text: profile.Text{ZH: "传入数据与卡内不符", EN: "what was handed in does not belong to this card"}}
	ErrInput       = &Error{Code: -23, Text: profile.Text{ZH: "传入数据不合法", EN: "what was handed in is not of the right form"}}
	ErrPINLength   = &Error{Code: -33, Text: profile.Text{ZH: "输入密码长度错误", EN: "the PIN has another length"}}
	ErrNoHSM       = &Error{Code: -2204, Text: profile.Text{ZH: "不需要加密机认证", EN: "no authentication is needed"}}
)

// because returns the error with its cause.
func (e *Error) because(cause error) *Error {
	special := *e
	special.cause = cause
	return &special
}

// refused is a status word as the driver numbers it: its negative in decimal.
func refused(sw apdu.SW) error {
	info := sw.Info()
	return &Error{Code: -int(sw), Text: profile.Text{ZH: info.ZH, EN: info.EN}, cause: &apdu.StatusError{SW: sw}}
}

// translated gives an error of package card its number.
func translated(err error) error {
	var status *apdu.StatusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return refused(status.SW)
	case errors.Is(err, card.ErrUnknownATR), errors.Is(err, card.ErrForeignCard), errors.Is(err, profile.ErrUnknownATR):
		return ErrCardKind.because(err)
	case errors.Is(err, apdu.ErrMalformed), errors.Is(err, card.ErrIncomplete):
		return ErrCheck.because(err)
	}
	return err
}
