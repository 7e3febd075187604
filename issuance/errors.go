package issuance

import (
	"fmt"
	"slices"
	"strings"

	"onecard/card/profile"
	"onecard/registry"
)

// Error is a refusal in words for people, with what to do. errors.Is tells
// refusals apart by their code.
type Error struct {
	Code         string
	Text, Remedy profile.Text
}

func (e *Error) Error() string { return e.Text.EN }

// Explain returns the words for people.
func (e *Error) Explain() (text, remedy profile.Text) { return e.Text, e.Remedy }

// Is makes a refusal with other words match the one that it was made from.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

// The refusals.
var (
	ErrHasCard          = &Error{"has-card", profile.Text{ZH: "此人已有有效的社会保障卡", EN: "this person has a card in force"}, profile.Text{ZH: "遗失、损坏请办理挂失补卡或换卡。", EN: "Report the loss or ask for a replacement."}}
	ErrRunning          = &Error{"application-running", profile.Text{ZH: "此人已有正在办理的申领", EN: "this person has an application under way"}, profile.Text{ZH: "请在该申领上继续办理。", EN: "Continue with that application."}}
	ErrDead             = &Error{"not-alive", profile.Text{ZH: "此人已登记死亡，不能申领", EN: "this person is recorded as dead"}, profile.Text{ZH: "登记有误的，请先更正。", EN: "If the record is wrong, correct it first."}}
	ErrMerged           = &Error{"merged", profile.Text{ZH: "此档案已并入另一档案", EN: "this file was merged into another"}, profile.Text{ZH: "请在并入的档案上办理。", EN: "Continue with the file that was kept."}}
	ErrNoCitizen        = &Error{"no-citizen-number", profile.Text{ZH: "芯片只能写入公民身份号码，此证件暂不能制卡", EN: "the chip takes a citizen's number only: no card for this document yet"}, profile.Text{ZH: "请按港澳台居民、外国人办卡规定办理。", EN: "Follow the rules for other residents."}}
	ErrTooYoung         = &Error{"too-young", profile.Text{ZH: "未达到申领年龄", EN: "below the age for an application"}, profile.Text{ZH: "请核对出生日期。", EN: "Check the date of birth."}}
	ErrNotAllowed       = &Error{"not-allowed", profile.Text{ZH: "当前状态下不能办理此项", EN: "not possible in the present state"}, profile.Text{ZH: "请刷新后按可办事项办理。", EN: "Refresh and choose among what is possible."}}
	ErrNoRight          = &Error{"no-right", profile.Text{ZH: "您的岗位不能办理此项", EN: "your role does not allow this"}, profile.Text{ZH: "请由有权限的人员办理。", EN: "Ask somebody who may."}}
	ErrSamePerson       = &Error{"same-person", profile.Text{ZH: "录入人不能复核自己录入的申领", EN: "whoever entered an application may not review it"}, profile.Text{ZH: "请由另一人复核。", EN: "Let another person review it."}}
	ErrOwnChange        = &Error{"own-change", profile.Text{ZH: "持卡人信息由您本人更正，不能由您复核或写卡", EN: "you changed the holder's data yourself: you may neither review them nor write them to the card"}, profile.Text{ZH: "请由另一人办理。", EN: "Let another person do it."}}
	ErrNeedsReason      = &Error{"needs-reason", profile.Text{ZH: "请填写原因", EN: "a reason is needed"}, profile.Text{}}
	ErrNeedsChip        = &Error{"needs-chip", profile.Text{ZH: "此项须插卡办理", EN: "this is done with the card in the reader"}, profile.Text{ZH: "请插入卡后点相应按钮。", EN: "Insert the card and press the button."}}
	ErrUnknownCard      = &Error{"unknown-card", profile.Text{ZH: "本省没有此卡的记录", EN: "the province has no record of this card"}, profile.Text{ZH: "请核对卡面；外省卡请按跨省流程办理。", EN: "Check the card; cards of other provinces take another way."}}
	ErrOtherChip        = &Error{"other-chip", profile.Text{ZH: "这不是此申领正在制作的芯片", EN: "not the chip that this application is being made on"}, profile.Text{ZH: "请插入原来的芯片；原芯片损坏的，请主管先作废芯片。", EN: "Insert the original chip, or let a supervisor spoil it first."}}
	ErrRecordDiffers    = &Error{"record-differs", profile.Text{ZH: "芯片内的卡号与本省记录不一致", EN: "the chip says another card number than the province's record"}, profile.Text{ZH: "请勿受理，并按规定报告。", EN: "Do not accept the card; report it."}}
	ErrOtherCard        = &Error{"other-card", profile.Text{ZH: "读卡器中的不是这张卡", EN: "not the card that is in the reader"}, profile.Text{ZH: "请插入所办业务的卡。", EN: "Insert the card that this is about."}}
	ErrChipUsed         = &Error{"chip-used", profile.Text{ZH: "此芯片已用于另一申领或已作废", EN: "the chip belongs to another application or was spoiled"}, profile.Text{ZH: "请换一张空白卡。", EN: "Take another blank."}}
	ErrNoProof          = &Error{"no-proof", profile.Text{ZH: "没有有效的读卡鉴权记录", EN: "there is no valid reading of the card"}, profile.Text{ZH: "请重新读卡。", EN: "Read the card again."}}
	ErrNoOperation      = &Error{"no-operation", profile.Text{ZH: "没有这种芯片操作，或缺少申领、卡的编号", EN: "no such chip operation, or the application or card is missing"}, profile.Text{}}
	ErrOwnedByRecord    = &Error{"owned-by-record", profile.Text{ZH: "发卡和持卡人信息只能按本省记录写入", EN: "issuer and holder are written from the province's record only"}, profile.Text{ZH: "请先更正记录，再办理“按记录更新”。", EN: "Correct the record first, then bring the card up to date."}}
	ErrOwnedByAccount   = &Error{"owned-by-account", profile.Text{ZH: "账户余额和交易记录只能由账户交易改变", EN: "the account's balance and transactions change by debit and credit only"}, profile.Text{ZH: "请办理个人账户消费或圈存。", EN: "Debit or credit the account."}}
	ErrAttempts         = &Error{"attempts", profile.Text{ZH: "此芯片连续多次认证没有成功，已停止，以免锁死", EN: "this chip has not passed several authentications in a row: stopped before it locks"}, profile.Text{ZH: "请主管核对卡片和读卡器，再办理“恢复认证”；在制的空白卡请作废换卡。", EN: "Let a supervisor look at card and reader and then resume; spoil a blank that is being made."}}
	ErrMovementKnown    = &Error{"movement-known", profile.Text{ZH: "此终端交易序号的账户交易已有结果", EN: "the movement with this terminal serial number has ended already"}, profile.Text{ZH: "请查询该笔交易；新交易请用新的终端交易序号。", EN: "Look it up; a new one needs a new serial number."}}
	ErrSpecVersion      = &Error{"spec-version", profile.Text{ZH: "此地不发行该规范版本的卡", EN: "no new cards of this specification version are made here"}, profile.Text{ZH: "请换一张规定版本的空白卡。", EN: "Take a blank of a version that is."}}
	ErrReviewAgain      = &Error{"review-again", profile.Text{ZH: "持卡人信息在复核后有变动", EN: "the holder's data changed after the review"}, profile.Text{ZH: "请办理“重新复核”，由另一人复核新的信息。", EN: "Have it reviewed again by another person."}}
	ErrReplacing        = &Error{"replacing", profile.Text{ZH: "已开始补换卡，原卡不能恢复", EN: "another card was applied for in its place"}, profile.Text{ZH: "如需恢复原卡，请先撤销补换卡申领。", EN: "Withdraw that application first."}}
	ErrLossFinal        = &Error{"loss-final", profile.Text{ZH: "本地规定正式挂失后不能解挂", EN: "here a formal loss report is final"}, profile.Text{ZH: "请办理补卡。", EN: "Apply for a replacement."}}
	ErrOtherRegion      = &Error{"other-region", profile.Text{ZH: "此项只能在发卡地区办理", EN: "only the issuing region does this"}, profile.Text{ZH: "请到发卡地窗口办理。", EN: "Go to an office of the issuing region."}}
	ErrSameOfficer      = &Error{"same-officer", profile.Text{ZH: "锁定人不能自己解除锁定", EN: "whoever locked it may not lift the lock"}, profile.Text{ZH: "请由另一位主管办理。", EN: "Let another supervisor do it."}}
	ErrSecondSource     = &Error{"second-source", profile.Text{ZH: "死亡须先由另一人登记核实", EN: "the death must be on record by another operator"}, profile.Text{ZH: "请先由另一人更正生存状态。", EN: "Let another operator record it first."}}
	ErrMethod           = &Error{"method", profile.Text{ZH: "制卡方式与申领不符", EN: "the application asks for another way of making"}, profile.Text{ZH: "工厂制卡的申领由批次办理；即时制卡的在窗口办理。", EN: "Batches make what was applied for by batch, counters the rest."}}
	ErrNoCard           = &Error{"no-card", profile.Text{ZH: "此人没有可补换的卡", EN: "this person has no card to be replaced"}, profile.Text{ZH: "补卡须先正式挂失；换卡须原卡正常。", EN: "Report the loss formally first; an exchange needs a card in use."}}
	ErrNotYet           = &Error{"not-yet", profile.Text{ZH: "未到可换卡的日期", EN: "too early to exchange the card"}, profile.Text{ZH: "请在有效期届满前规定的天数内办理。", EN: "Come back nearer to the end of its validity."}}
	ErrCardLocked       = &Error{"card-locked", profile.Text{ZH: "此人有被锁定的卡，不能办新卡", EN: "this person has a locked card"}, profile.Text{ZH: "请先处理锁定的卡。", EN: "Settle the locked card first."}}
	ErrNeedsGuardian    = &Error{"needs-guardian", profile.Text{ZH: "未成年人须由监护人代为申领", EN: "a guardian applies for a minor"}, profile.Text{ZH: "请将申领人改为监护人，并登记监护人。", EN: "Name the guardian as the applicant, and record the guardian."}}
	ErrMissing          = &Error{"missing", profile.Text{ZH: "申领材料不全", EN: "something is missing"}, profile.Text{ZH: "请补齐后提交，或先存为草稿。", EN: "Bring what is missing, or keep a draft."}}
	ErrChannel          = &Error{"channel", profile.Text{ZH: "此渠道不能办理此项", EN: "this channel does not take this"}, profile.Text{ZH: "请到经办窗口办理。", EN: "Go to a counter."}}
	ErrUnconfirmed      = &Error{"unconfirmed", profile.Text{ZH: "申领人尚未确认校样照片", EN: "the applicant has not confirmed the proof picture"}, profile.Text{ZH: "请申领人核对校样并确认；照片更换后须重新确认。", EN: "Let the applicant look at the proof and confirm it; a new photograph is confirmed anew."}}
	ErrNoPhoto          = &Error{"no-photo", profile.Text{ZH: "此人没有照片，无须确认校样", EN: "there is no photograph to confirm"}, profile.Text{ZH: "请先上传照片。", EN: "Attach the photograph first."}}
	ErrNoTaker          = &Error{"no-taker", profile.Text{ZH: "尚未登记今天由谁领卡", EN: "it is not on record who takes the card today"}, profile.Text{ZH: "请先登记领卡人；当地要求签字的，请领卡人签字。", EN: "Record who takes it, with a signature where the place asks for one."}}
	ErrUnsigned         = &Error{"unsigned", profile.Text{ZH: "领卡人尚未签字", EN: "whoever takes the card has not signed"}, profile.Text{ZH: "请重新登记领卡人并签字。", EN: "Record who takes it again, with the signature."}}
	ErrNotPrinted       = &Error{"not-printed", profile.Text{ZH: "卡面尚未打印完好，不能交卡", EN: "the face is not printed well yet: the card is not handed over"}, profile.Text{ZH: "请先打印卡面，并登记打印结果。", EN: "Print the face and record how it came out."}}
	ErrNotAsked         = &Error{"ministry-not-asked", profile.Text{ZH: "此申领尚未向部级查重，不能复核通过", EN: "the ministry has not been asked for cards in other provinces"}, profile.Text{ZH: "请办理“重新查重”，答复后再复核。", EN: "Have it asked, and review when it has answered."}}
	ErrUnanswered       = &Error{"ministry-unanswered", profile.Text{ZH: "部级查重尚未答复，不能复核通过", EN: "the ministry has not yet said whether there is a card in another province"}, profile.Text{ZH: "请等待答复；平台会自动再问。", EN: "Wait for the answer: the platform asks again by itself."}}
	ErrElsewhere        = &Error{"ministry-elsewhere", profile.Text{ZH: "部级查重：此人在他省已有卡", EN: "the ministry knows a card of this person in another province"}, profile.Text{ZH: "请持卡人注销他省的卡后，办理“重新查重”。", EN: "The holder has that card cancelled; then ask the ministry again."}}
	ErrQuestionRejected = &Error{"ministry-rejected", profile.Text{ZH: "部级退回了查重：证件或姓名不合格", EN: "the ministry rejected the question: the document or the name is not as it takes them"}, profile.Text{ZH: "请核对并更正姓名、号码；更正后平台自动再问。", EN: "Check and correct name and number; the platform then asks again."}}
	ErrNumbersEnded     = &Error{"numbers-ended", profile.Text{ZH: "卡号已用完", EN: "there are no card numbers left"}, profile.Text{ZH: "请联系省平台。", EN: "Tell the province."}}
)

// otherChip is ErrOtherChip with the chip that is expected, by the end of its
// serial number.
func otherChip(serial string) error {
	masked := "****" + serial[max(0, len(serial)-4):]
	e := *ErrOtherChip
	e.Text = profile.Text{ZH: fmt.Sprintf("此申领正在芯片 %s 上制作，读卡器中的不是它", masked), EN: fmt.Sprintf("this application is being made on chip %s, which is not the one in the reader", masked)}
	return &e
}

// missing is ErrMissing with all that is missing.
func missing(things []Text) error {
	zh, en := make([]string, len(things)), make([]string, len(things))
	for i, t := range things {
		zh[i], en[i] = t.ZH, t.EN
	}
	e := *ErrMissing
	e.Text = profile.Text{ZH: "申领材料不全，缺少：" + strings.Join(zh, "、"), EN: "missing: " + strings.Join(en, ", ")}
	return &e
}

// channelRefuses is ErrChannel with the channel's name.
func channelRefuses(c Channel) error {
	e := *ErrChannel
	e.Text = profile.Text{ZH: fmt.Sprintf("渠道“%s”不能办理此项", c.ZH), EN: "not through this channel: " + c.EN}
	return &e
}

// oneOf refuses a word that is not among those allowed.
func oneOf(field, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	list := strings.Join(allowed, ", ")
	return &registry.FieldError{Field: field, ZH: "应为以下之一：" + list, EN: "one of: " + list}
}

// noSuchReason says which codes a list of reasons has.
func noSuchReason(list string) error {
	codes := make([]string, len(Reasons[list]))
	for i, r := range Reasons[list] {
		codes[i] = r.Code
	}
	known := strings.Join(codes, ", ")
	return &registry.FieldError{Field: "reasonCode", ZH: "应为以下之一：" + known, EN: "one of: " + known}
}

// otherVersion is ErrSpecVersion with the version of the blank and those that
// new cards may be of.
func otherVersion(version string, allowed []string) error {
	list := strings.Join(allowed, ", ")
	e := *ErrSpecVersion
	e.Text = profile.Text{ZH: fmt.Sprintf("空白卡的规范版本是 %s，此地新卡应为 %s", version, list), EN: fmt.Sprintf("the blank is of specification version %s; new cards here are of %s", version, list)}
	return &e
}
