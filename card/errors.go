package card

import (
	"errors"
	"fmt"

	"onecard/apdu"
	"onecard/card/profile"
)

// Error is a finding about a card, in words for people and with what to do.
// The variables below are its values; errors.Is finds them.
type Error struct {
	Code   string
	Text   profile.Text
	Remedy profile.Text
}

func (e *Error) Error() string { return e.Text.EN }

// Explain returns the words for people.
func (e *Error) Explain() (text, remedy profile.Text) { return e.Text, e.Remedy }

// What may be wrong with a card.
var (
	ErrForeignCard         = &Error{"foreign-card", profile.Text{ZH: "不是社会保障卡", EN: "not a social security card"}, profile.Text{ZH: "请插入社会保障卡；银行卡和其他卡不能在此办理。", EN: "Insert a social security card; bank cards and others cannot be used here."}}
	ErrUnknownATR          = &Error{"unknown-atr", profile.Text{ZH: "不认识的卡（复位信息不在已知卡型中）", EN: "unknown card: its answer to reset is of no known kind"}, profile.Text{ZH: "请确认卡的种类和厂商批次；新卡型需先登记卡规范。", EN: "Check the kind and maker of the card; a new kind must be registered first."}}
	ErrUnknownVersion      = &Error{"unknown-version", profile.Text{ZH: "卡的规范版本未登记", EN: "no profile knows the card's specification version"}, profile.Text{ZH: "请联系省平台登记该版本的卡规范后再办理。", EN: "The version's profile must be registered at the province first."}}
	ErrCardBlocked         = &Error{"card-blocked", profile.Text{ZH: "卡已锁定", EN: "the card is blocked"}, profile.Text{ZH: "此卡不能再用，请办理换卡。", EN: "The card cannot be used again; replace it."}}
	ErrApplicationBlocked  = &Error{"application-blocked", profile.Text{ZH: "卡的应用已锁定", EN: "the application on the card is blocked"}, profile.Text{ZH: "请到经办窗口核实并办理应用解锁。", EN: "A service window can unblock the application."}}
	ErrNotPersonalised     = &Error{"not-personalised", profile.Text{ZH: "空白卡，尚未制卡", EN: "a blank: the card is not personalised"}, profile.Text{ZH: "请先制卡。", EN: "Personalise the card first."}}
	ErrAlreadyPersonalised = &Error{"already-personalised", profile.Text{ZH: "此芯片已制成别的卡", EN: "the chip has already been made into another card"}, profile.Text{ZH: "请换一张空白卡。", EN: "Take another blank."}}
	ErrNotGenuine          = &Error{"not-genuine", profile.Text{ZH: "芯片未通过真伪认证", EN: "the chip is not genuine"}, profile.Text{ZH: "请勿受理，并按规定报告。", EN: "Do not accept the card; report it."}}
	ErrTransportKey        = &Error{"transport-key", profile.Text{ZH: "空白卡的传输密钥与本批次不符", EN: "the blank does not hold the expected transport key"}, profile.Text{ZH: "请核对空白卡的厂商和批次，换同批次的空白卡。", EN: "Check the maker and batch of the blank and take one of the right batch."}}
	ErrUnknownMaker        = &Error{"unknown-maker", profile.Text{ZH: "空白卡的卡商未登记", EN: "a blank of a maker that is not known"}, profile.Text{ZH: "请换已登记卡商的空白卡，或联系省平台登记该卡商。", EN: "Take a blank of a known maker, or let the province register the maker."}}
	ErrNoChannel           = &Error{"no-secure-channel", profile.Text{ZH: "本省的密钥保管方不支持此卡商的安全通道", EN: "the province's keeper of keys holds no secure channels, which this maker's blanks need"}, profile.Text{ZH: "请换其他卡商的空白卡，或联系省平台。", EN: "Take a blank of another maker, or ask the province."}}
	ErrPINFormat           = &Error{"pin-format", profile.Text{ZH: "社保密码应为六位数字", EN: "the PIN has six digits"}, profile.Text{ZH: "请重新输入。", EN: "Enter it again."}}
	ErrNoAccount           = &Error{"no-account", profile.Text{ZH: "此卡的规范没有医疗账户", EN: "the card's profile has no medical account"}, profile.Text{}}
	ErrMovement            = &Error{"movement", profile.Text{ZH: "交易金额或终端机编号不正确", EN: "the amount or the terminal number is wrong"}, profile.Text{ZH: "账户支付额应大于零且不超过总额，终端机编号为 12 位数字。", EN: "What the account pays is more than nothing and not more than the total; a terminal number has twelve digits."}}
	ErrFunds               = &Error{"funds", profile.Text{ZH: "卡内账户余额不足", EN: "the account on the card has not enough"}, profile.Text{ZH: "请改用其他方式支付。", EN: "Let the holder pay otherwise."}}
	ErrNoFinance           = &Error{"no-bank-application", profile.Text{ZH: "卡上没有可读的金融应用", EN: "the card has no financial application that can be read"}, profile.Text{ZH: "此卡未加载银行账户，或请到开户银行办理。", EN: "The card carries no bank account, or the bank must look at it."}}
	ErrNoKeyVersions       = &Error{"no-key-versions", profile.Text{ZH: "此卡不报告密钥版本，不能在窗口更换密钥", EN: "the card does not tell its key versions: its keys cannot be changed at a window"}, profile.Text{ZH: "请为持卡人换卡。", EN: "Replace the card."}}
	ErrNewerKeys           = &Error{"newer-keys", profile.Text{ZH: "卡内密钥比要写入的更新", EN: "the card holds newer keys than those to be loaded"}, profile.Text{ZH: "无需更换；如有疑问请报告省平台。", EN: "Nothing is to be done; report it when in doubt."}}
	ErrNoTarget            = &Error{"no-element", profile.Text{ZH: "卡规范中没有此数据项", EN: "the card's profile has no such element"}, profile.Text{ZH: "请核对文件和数据项名称。", EN: "Check the names of file and element."}}
	ErrNotAllowed          = &Error{"never-allowed", profile.Text{ZH: "卡规范不允许此操作", EN: "the card's profile never allows it"}, profile.Text{ZH: "此文件只能由卡片自己写入，或不可读取。", EN: "Only the card itself writes the file, or nobody reads it."}}
	ErrAnswer              = &Error{"bad-answer", profile.Text{ZH: "芯片应答不合规范", EN: "the chip's answer is not of the form that the specification asks for"}, profile.Text{ZH: "请重新插卡再试；仍不行请勿受理，并按规定报告。", EN: "Insert the card again; if it stays, do not accept the card and report it."}}
	ErrUnknownKeys         = &Error{"unknown-keys", profile.Text{ZH: "本省没有此卡所称版本的密钥", EN: "the province has no key of the version that the card tells"}, profile.Text{ZH: "请勿受理，并报告省平台核对密钥版本。", EN: "Do not accept the card; let the province check the key versions."}}
	ErrIncomplete          = &Error{"incomplete", profile.Text{ZH: "芯片应答不完整", EN: "answers of the chip are missing"}, profile.Text{ZH: "请重新插卡再执行一次。", EN: "Insert the card again and run the step again."}}
)

// errMalformed is ErrAnswer for what is not even of the form of package apdu.
var errMalformed = fmt.Errorf("%w: %w", ErrAnswer, apdu.ErrMalformed)

// keeperError says what the keeper was asked for. A key that it does not have
// is a finding about the card, which told the version.
func keeperError(doing string, err error) error {
	var unknown interface{ UnknownKey() }
	if errors.As(err, &unknown) {
		return fmt.Errorf("%s: %w: %w", doing, ErrUnknownKeys, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// StepError is a step of a script that the chip refused.
type StepError struct {
	Label string
	err   error
}

func (e *StepError) Error() string { return fmt.Sprintf("%s: %v", e.Label, e.err) }

func (e *StepError) Unwrap() error { return e.err }

// Explain returns the words for the status word, with what was being done.
func (e *StepError) Explain() (text, remedy profile.Text) {
	var status *apdu.StatusError
	if !errors.As(e.err, &status) {
		return profile.Text{ZH: e.Label, EN: e.Error()}, profile.Text{}
	}
	info := status.SW.Info()
	return profile.Text{ZH: fmt.Sprintf("%s：%s（%s）", e.Label, info.ZH, status.SW), EN: fmt.Sprintf("%s (%s)", info.EN, status.SW)},
		profile.Text{ZH: info.RemedyZH, EN: info.RemedyEN}
}

// PINError is a PIN that the chip refused (密码错误).
type PINError struct {
	Left int // attempts that are left; 0 means that it is blocked
}

func (e *PINError) Error() string { return fmt.Sprintf("PIN refused, %d attempts left", e.Left) }

// Unwrap makes errors.Is find the kind.
func (e *PINError) Unwrap() error {
	if e.Left == 0 {
		return apdu.ErrBlockedKey
	}
	return apdu.ErrWrongSecret
}

// Explain returns the words for people.
func (e *PINError) Explain() (text, remedy profile.Text) {
	if e.Left == 0 {
		return profile.Text{ZH: "社保密码已锁定", EN: "the PIN is blocked"},
			profile.Text{ZH: "请持卡人携带证件到经办窗口重置密码。", EN: "The holder may have it reset at a service window."}
	}
	return profile.Text{ZH: fmt.Sprintf("社保密码错误，还可再试 %d 次", e.Left), EN: e.Error()},
		profile.Text{ZH: "请持卡人重新输入。", EN: "Let the holder enter it again."}
}

// EncodeError is a value that the chip cannot hold. It names the character,
// not the whole value.
type EncodeError struct {
	Element  profile.Text
	Rune     rune // the character, 0 when the value as a whole does not fit
	Position int  // of the character, from 1
	Expected profile.Text
}

func (e *EncodeError) Error() string {
	if e.Rune != 0 {
		return fmt.Sprintf("%s: character %d, %U, cannot be written on the chip", e.Element.EN, e.Position, e.Rune)
	}
	return fmt.Sprintf("%s: %s", e.Element.EN, e.Expected.EN)
}

// Explain returns the words for people.
func (e *EncodeError) Explain() (text, remedy profile.Text) {
	if e.Rune != 0 {
		return profile.Text{ZH: fmt.Sprintf("%s第 %d 个字“%c”（%U）不在 GBK 字符集中，芯片无法写入", e.Element.ZH, e.Position, e.Rune, e.Rune), EN: e.Error()},
			profile.Text{ZH: "请与持卡人核对证件用字；确为此字的，按生僻字流程确认替代写法后再申领。", EN: "Check the character with the holder; a rare character needs an agreed substitute first."}
	}
	return profile.Text{ZH: e.Element.ZH + "：" + e.Expected.ZH, EN: e.Error()}, profile.Text{ZH: "请更正后重试。", EN: "Correct it and try again."}
}

// ReadBackError is an element that reads otherwise than it was written.
type ReadBackError struct{ Element profile.Text }

func (e *ReadBackError) Error() string { return "read back differs: " + e.Element.EN }

// Explain returns the words for people.
func (e *ReadBackError) Explain() (text, remedy profile.Text) {
	return profile.Text{ZH: "写后读回不一致：" + e.Element.ZH, EN: e.Error()},
		profile.Text{ZH: "请再执行一次；仍不一致请作废此芯片。", EN: "Run it again; if it stays, spoil this chip."}
}
