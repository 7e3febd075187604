package apdu

import (
	"errors"
	"fmt"
)

// SW is a status word (状态字), SW1 in the high byte and SW2 in the low byte.
type SW uint16

// OK is the status word of a command that was carried out.
const OK SW = 0x9000

// The kinds of refusal, for errors.Is.
var (
	ErrWarning     = errors.New("carried out with a warning")
	ErrMemory      = errors.New("the chip's memory failed")
	ErrLength      = errors.New("wrong length")
	ErrWrongSecret = errors.New("PIN or authentication refused")
	ErrSecurity    = errors.New("access condition not satisfied")
	ErrBlockedKey  = errors.New("PIN or key is blocked")
	ErrConditions  = errors.New("conditions of use not satisfied")
	ErrMessageMAC  = errors.New("message authentication code refused")
	ErrData        = errors.New("wrong data or parameters")
	ErrNotFound    = errors.New("file, record or key not found")
	ErrBlocked     = errors.New("card or application blocked")
	ErrUnsupported = errors.New("command not supported")
	ErrFunds       = errors.New("insufficient funds")
	ErrUnknown     = errors.New("unknown status word")
)

// StatusInfo is what a status word means, in words and with what to do.
type StatusInfo struct {
	Kind               error
	ZH, EN             string
	RemedyZH, RemedyEN string
}

// StatusError is a chip's answer other than 9000.
type StatusError struct{ SW SW }

func (e *StatusError) Error() string {
	return fmt.Sprintf("chip answered %s: %s", e.SW, e.SW.Info().EN)
}

// Unwrap returns the kind, so that errors.Is finds it.
func (e *StatusError) Unwrap() error { return e.SW.Info().Kind }

func (sw SW) String() string { return fmt.Sprintf("%04X", uint16(sw)) }

// Tries returns how many attempts are left, where the status word says so
// (63Cx).
func (sw SW) Tries() (left int, ok bool) {
	return int(sw & 0x0F), sw&0xFFF0 == 0x63C0
}

// Info looks the status word up: the first line whose masked bits agree.
func (sw SW) Info() StatusInfo {
	for _, row := range statusTable {
		if sw&row.mask == row.word {
			return row.StatusInfo
		}
	}
	return StatusInfo{ErrUnknown, "芯片返回未知状态", "the chip answered an unknown status", remedyZH, remedyEN}
}

const (
	remedyZH = "请重新插卡再试；仍不行请换卡或换读卡器。"
	remedyEN = "Insert the card again; if it stays, try another card or reader."
)

// statusTable follows ISO/IEC 7816-4 clause 5.6 and, for 93xx and 94xx, the
// status words of PBOC; the order is from the special to the general.
var statusTable = []struct {
	word, mask SW
	StatusInfo
}{
	{0x9000, 0xFFFF, StatusInfo{nil, "成功", "done", "", ""}},
	{0x63C0, 0xFFFF, StatusInfo{ErrBlockedKey, "密码或认证错误，已无剩余次数", "refused; no attempts are left", "请持卡人携带证件到窗口办理密码重置。", "The holder may have the PIN reset at a window."}},
	{0x63C0, 0xFFF0, StatusInfo{ErrWrongSecret, "密码或认证错误", "PIN or authentication refused", "请核对后再试；次数用尽后将锁定。", "Check and try again; it locks when no attempts are left."}},
	{0x6281, 0xFFFF, StatusInfo{ErrWarning, "返回的数据可能有误", "the data may be corrupted", remedyZH, remedyEN}},
	{0x6283, 0xFFFF, StatusInfo{ErrBlocked, "应用已锁定", "the application is blocked", "请到经办窗口办理应用解锁。", "A service window can unblock the application."}},
	{0x6200, 0xFF00, StatusInfo{ErrWarning, "命令已执行，芯片给出警告", "carried out with a warning", remedyZH, remedyEN}},
	{0x6300, 0xFFFF, StatusInfo{ErrWrongSecret, "密码或认证错误", "PIN or authentication refused", "请核对后再试。", "Check and try again."}},
	{0x6300, 0xFF00, StatusInfo{ErrWarning, "命令已执行，芯片给出警告", "carried out with a warning", remedyZH, remedyEN}},
	{0x6400, 0xFF00, StatusInfo{ErrMemory, "芯片执行出错", "execution failed in the chip", remedyZH, remedyEN}},
	{0x6500, 0xFF00, StatusInfo{ErrMemory, "芯片存储器出错", "the chip's memory failed", "请更换卡片。", "Replace the card."}},
	{0x6700, 0xFFFF, StatusInfo{ErrLength, "长度错误", "wrong length", remedyZH, remedyEN}},
	{0x6901, 0xFFFF, StatusInfo{ErrConditions, "当前状态下不接受此命令", "command not accepted in this state", remedyZH, remedyEN}},
	{0x6981, 0xFFFF, StatusInfo{ErrData, "文件类型不符", "wrong kind of file", remedyZH, remedyEN}},
	{0x6982, 0xFFFF, StatusInfo{ErrSecurity, "安全条件不满足", "access condition not satisfied", "此项需要先通过相应的认证。", "The matching authentication must come first."}},
	{0x6983, 0xFFFF, StatusInfo{ErrBlockedKey, "密码或密钥已锁定", "PIN or key is blocked", "请持卡人携带证件到窗口办理密码重置。", "The holder may have the PIN reset at a window."}},
	{0x6984, 0xFFFF, StatusInfo{ErrConditions, "引用数据无效（随机数未取或密码未设）", "referenced data invalid: no challenge or no PIN", "未启用的卡请先办理启用。", "A card that is not activated must be activated first."}},
	{0x6985, 0xFFFF, StatusInfo{ErrConditions, "使用条件不满足", "conditions of use not satisfied", "卡或应用可能已锁定，请到窗口办理。", "The card or application may be blocked; ask at a window."}},
	{0x6987, 0xFFFF, StatusInfo{ErrMessageMAC, "安全报文鉴别码缺失或错误", "secure messaging missing or wrong", remedyZH, remedyEN}},
	{0x6988, 0xFFFF, StatusInfo{ErrMessageMAC, "安全报文鉴别码错误", "message authentication code refused", remedyZH, remedyEN}},
	{0x6900, 0xFF00, StatusInfo{ErrConditions, "命令不被允许", "command not allowed", remedyZH, remedyEN}},
	{0x6A81, 0xFFFF, StatusInfo{ErrBlocked, "卡已锁定或功能不支持", "card blocked or function not supported", "请到经办窗口查询卡状态。", "Ask for the card's status at a window."}},
	{0x6A82, 0xFFFF, StatusInfo{ErrNotFound, "文件不存在", "file not found", "请确认是社会保障卡。", "Make sure that it is a social security card."}},
	{0x6A83, 0xFFFF, StatusInfo{ErrNotFound, "记录不存在", "record not found", remedyZH, remedyEN}},
	{0x6A84, 0xFFFF, StatusInfo{ErrMemory, "空间不足", "not enough memory", "请更换卡片。", "Replace the card."}},
	{0x6A88, 0xFFFF, StatusInfo{ErrNotFound, "密钥不存在", "key not found", "请确认卡片批次与密钥版本。", "Check the card's batch and key version."}},
	{0x6A00, 0xFF00, StatusInfo{ErrData, "数据或参数错误", "wrong data or parameters", remedyZH, remedyEN}},
	{0x6B00, 0xFFFF, StatusInfo{ErrData, "偏移超出文件", "offset outside the file", remedyZH, remedyEN}},
	{0x6C00, 0xFF00, StatusInfo{ErrLength, "应答长度不符", "another length of answer expected", remedyZH, remedyEN}},
	{0x6D00, 0xFFFF, StatusInfo{ErrUnsupported, "芯片不支持此命令", "command not supported", "请确认是社会保障卡。", "Make sure that it is a social security card."}},
	{0x6E00, 0xFFFF, StatusInfo{ErrUnsupported, "芯片不支持此类命令", "class not supported", "请确认是社会保障卡。", "Make sure that it is a social security card."}},
	{0x9302, 0xFFFF, StatusInfo{ErrMessageMAC, "MAC 无效", "MAC invalid", remedyZH, remedyEN}},
	{0x9303, 0xFFFF, StatusInfo{ErrBlocked, "应用已永久锁定", "application blocked for ever", "请换卡。", "Replace the card."}},
	{0x9401, 0xFFFF, StatusInfo{ErrFunds, "余额不足", "insufficient funds", "请核对余额，或改用其他支付方式。", "Check the balance or pay in another way."}},
	{0x9400, 0xFF00, StatusInfo{ErrConditions, "交易条件不满足", "transaction not possible", remedyZH, remedyEN}},
}
