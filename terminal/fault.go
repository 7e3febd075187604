package terminal

import (
	"errors"

	"onecard/apdu"
	"onecard/api/client"
	"onecard/card/profile"
)

// Errors that a station finds by itself.
var (
	ErrBusy         = &Fault{Code: "busy", ZH: "读卡器正忙", EN: "the reader is busy", RemedyZH: "请等当前操作结束，或先点“停止”。", RemedyEN: "Wait for the work under way or stop it."}
	ErrNoService    = &Fault{Code: "no-pcsc", ZH: "读卡服务（pcscd）未运行", EN: "the PC/SC service does not run", RemedyZH: "请启动 pcscd，并确认本用户有权使用。", RemedyEN: "Start pcscd and check that this user may use it."}
	ErrNoPermission = &Fault{Code: "no-permission", ZH: "本用户无权使用读卡服务（pcscd）", EN: "this user may not use the PC/SC service", RemedyZH: "请把本用户加入允许使用读卡器的组（或 polkit 规则），再重新启动柜台程序。", RemedyEN: "Allow this user to use the service and start the counter again."}
	ErrMute         = &Fault{Code: "card-mute", ZH: "卡无应答", EN: "the card does not answer", RemedyZH: "请擦拭触点、确认插卡方向后重插；仍不行请换卡。", RemedyEN: "Clean the contacts and insert the card the right way round; else take another card."}
	ErrNoReader     = &Fault{Code: "no-reader", ZH: "没有读卡器", EN: "no reader", RemedyZH: "请接好读卡器。", RemedyEN: "Plug the reader in."}
	ErrNoCard       = &Fault{Code: "no-card", ZH: "读卡器中没有卡", EN: "no card in the reader", RemedyZH: "请插入卡。", RemedyEN: "Insert the card."}
	ErrOrder        = &Fault{Code: "order-refused", ZH: "收到的指令单不可信，未执行", EN: "the order is not to be trusted: nothing was done", RemedyZH: "请勿继续办理，并报告省平台。", RemedyEN: "Do not go on; report it to the province."}
	ErrOrderLate    = &Fault{Code: "order-late", ZH: "指令单已过期，或执行超时", EN: "the order came too late, or took too long", RemedyZH: "请核对本机时钟和网络，再执行一次；已写入的部分会自动接续。", RemedyEN: "Check this machine's clock and the line, and run the step again; it continues where it was."}
	ErrRemoved      = &Fault{Code: "card-removed", ZH: "卡在操作中被拔出", EN: "the card was taken out during the work", RemedyZH: "请重新插入同一张卡，再执行一次；已写入的部分会自动接续。", RemedyEN: "Insert the same card and run the step again; it continues where it was."}
	ErrReset        = &Fault{Code: "card-reset", ZH: "卡被其他程序复位", EN: "another program reset the card", RemedyZH: "请关闭占用读卡器的其他程序，再执行一次。", RemedyEN: "Close the other program and run the step again."}
	ErrShared       = &Fault{Code: "card-shared", ZH: "卡被其他程序占用", EN: "another program holds the card", RemedyZH: "请关闭占用读卡器的其他程序。", RemedyEN: "Close the program that holds the reader."}
	ErrOffline      = &Fault{Code: "platform-away", ZH: "连接不上省平台", EN: "the platform does not answer", RemedyZH: "请检查网络后再执行一次；已完成的部分不会重复。", RemedyEN: "Check the network and run the step again; nothing is done twice."}
	ErrNotGenuine   = &Fault{Code: "not-genuine", ZH: "芯片未通过真伪认证", EN: "the chip is not genuine", RemedyZH: "请勿受理，并按规定报告。", RemedyEN: "Do not accept the card; report it."}
	ErrList         = &Fault{Code: "list", ZH: "失效名单不是本省签发的，或不是下一页", EN: "the list of invalid cards is not the province's, or not the next page", RemedyZH: "名单未更新；请检查网络，必要时联系省平台。", RemedyEN: "The list was not updated; check the line, and tell the province if it stays."}
	ErrInvalidCard  = &Fault{Code: "invalid-card", ZH: "此卡不能使用", EN: "this card cannot be used", RemedyZH: "请持卡人到经办窗口或拨打12333办理。", RemedyEN: "The holder may ask at a service window or call 12333."}
	ErrUnknownEnd   = &Fault{Code: "unknown-end", ZH: "未收到平台应答，本笔交易将自动冲正", EN: "no answer came; the transaction will be reversed", RemedyZH: "请勿让持卡人离开前重复刷卡付款，待网络恢复后重新结算。", RemedyEN: "Settle again when the network is back; this one does not count."}
	ErrJournal      = &Fault{Code: "journal", ZH: "本机交易日志不可读写", EN: "this terminal's journal cannot be read or written", RemedyZH: "请先不要结算，联系技术人员检查磁盘和日志目录；程序日志写明是哪个文件。", RemedyEN: "Settle nothing until the disk and the journal's directory have been checked; the program's log names the file."}
	ErrNoRight      = &Fault{Code: "no-right", ZH: "您的岗位不能办理此项", EN: "your role does not allow this", RemedyZH: "请由有权限的人员办理。", RemedyEN: "Ask somebody who may."}
	ErrStopped      = &Fault{Code: "stopped", ZH: "已停止", EN: "stopped", RemedyZH: "需要时再执行一次即可接续。", RemedyEN: "Run the step again to continue."}
)

// Fault is an error in words for the person at the counter, with what to do.
type Fault struct {
	Code     string `json:"code"`
	ZH       string `json:"zh"`
	EN       string `json:"en"`
	RemedyZH string `json:"remedyZh,omitempty"`
	RemedyEN string `json:"remedyEn,omitempty"`

	cause error
}

// Because returns the same fault with its cause; errors.Is still finds both.
func (f *Fault) Because(cause error) *Fault {
	g := *f
	g.cause = cause
	return &g
}

func (f *Fault) Error() string {
	if f.cause != nil {
		return f.EN + ": " + f.cause.Error()
	}
	return f.EN
}

// Is makes a fault with a cause match the fault that it was made from.
func (f *Fault) Is(target error) bool {
	other, ok := target.(*Fault)
	return ok && other.Code == f.Code
}

func (f *Fault) Unwrap() error { return f.cause }

var errUnreadable = errors.New("unreadable answer")

// Unexpected is the code of a fault that nobody foresaw; its cause is logged.
const Unexpected = "unexpected"

// explainer is an error that knows its words for people: those of the chip
// and of its status words.
type explainer interface {
	Explain() (text, remedy profile.Text)
}

// Explain puts any error into words for the person at the counter.
func Explain(err error) *Fault {
	var fault *Fault
	var problem *client.Problem
	var known explainer
	var status *apdu.StatusError
	switch {
	case errors.As(err, &fault):
		return fault
	case errors.As(err, &problem):
		return &Fault{Code: problem.Code, ZH: problem.Title, EN: deref(problem.TitleEn), RemedyZH: deref(problem.Detail), RemedyEN: deref(problem.DetailEn)}
	case errors.As(err, &known):
		text, remedy := known.Explain()
		return &Fault{Code: "chip", ZH: text.ZH, EN: text.EN, RemedyZH: remedy.ZH, RemedyEN: remedy.EN, cause: err}
	case errors.As(err, &status):
		info := status.SW.Info()
		return &Fault{Code: "status", ZH: info.ZH, EN: info.EN, RemedyZH: info.RemedyZH, RemedyEN: info.RemedyEN, cause: err}
	}
	return &Fault{Code: Unexpected, ZH: "出现未预料的错误", EN: "something unexpected happened", RemedyZH: "请再试一次；仍不行请联系技术人员。", RemedyEN: "Try again; if it stays, call for help.", cause: err}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
