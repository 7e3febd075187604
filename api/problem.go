package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/labstack/echo/v4"

	"onecard/card"
	"onecard/card/profile"
	"onecard/exchange"
	"onecard/exchange/authentication"
	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/issuance/session"
	"onecard/issuance/stock"
	"onecard/registry"
)

// Errors of this package.
var (
	errNoCertificate      = errors.New("api: no workstation certificate")
	errUnknownWorkstation = errors.New("api: the workstation is not enrolled")
	errRole               = errors.New("api: the operator's role does not allow this")
	errTooLarge           = errors.New("api: the body is too large")
	errUnreadable         = errors.New("api: the request cannot be read")
	errNoBody             = errors.New("api: the operation takes no body")
	errMediaType          = errors.New("api: the body is not JSON")
)

// kind is a kind of error as the caller is told of it.
type kind struct {
	is     error // by errors.Is
	status int
	code   string
	title  words
	detail words // what to do
}

// kinds is the one map from errors to problems, more special ones first.
// Typed errors with words of their own are in problemOf. What is in neither is
// unexpected: the caller gets a reference number only.
var kinds = []kind{
	{errNoCertificate, http.StatusUnauthorized, "no-certificate",
		words{"本机没有工作站证书", "this machine shows no workstation certificate"},
		words{"请用已登记的工作站连接", "Connect from an enrolled workstation."}},
	{errUnknownWorkstation, http.StatusForbidden, "workstation-unknown",
		words{"工作站未登记或已停用", "the workstation is not enrolled or has been taken out of use"},
		words{"请联系管理员重新登记", "Ask the administrator to enrol it."}},
	{errRole, http.StatusForbidden, "role",
		words{"您的岗位不能办理此事", "your role does not allow this"},
		words{"请由相应岗位的人员办理", "Ask a colleague who may."}},
	{errOtherPlace, http.StatusForbidden, "other-place",
		words{"此人不属于您的辖区", "this resident does not belong to your place"},
		words{"请由其所在地的机构办理", "Ask the office of the resident's place."}},
	{errBatchPlace, http.StatusForbidden, "other-place",
		words{"此批次不属于您的辖区", "the batch does not belong to your place"},
		words{"请由批次所属地区或省级机构查看", "Ask the office of the batch's place, or of the province."}},
	{errSupervisor, http.StatusForbidden, "supervisor",
		words{"号码、姓名、性别、生存状态须由主管更正", "number, name, sex and life state are corrected by a supervisor"},
		words{"请由主管办理", "Ask a supervisor."}},
	{errTooLarge, http.StatusRequestEntityTooLarge, "too-large",
		words{"请求内容过大", "the request is too large"},
		words{"请求内容不能超过 1 MiB", "A request may have 1 MiB at most."}},
	{errUnreadable, http.StatusBadRequest, "unreadable",
		words{"请求内容无法识别", "the request cannot be read"},
		words{"内容应为 UTF-8 编码的 JSON", "Send JSON in UTF-8."}},
	{errNoBody, http.StatusBadRequest, "no-body",
		words{"此操作不带内容", "this operation takes no body"}, words{}},
	{errMediaType, http.StatusUnsupportedMediaType, "media-type",
		words{"内容类型应为 application/json", "the content type must be application/json"}, words{}},
	{registry.ErrSignIn, http.StatusUnauthorized, "sign-in",
		words{"登录名或密码不对", "wrong login or password"}, words{}},
	{registry.ErrSignInLocked, http.StatusTooManyRequests, "sign-in-locked",
		words{"登录失败次数过多", "too many failures"},
		words{"请稍后再试", "Try again later."}},
	{registry.ErrElsewhere, http.StatusForbidden, "elsewhere",
		words{"操作员不属于本工作站所在机构", "the operator does not belong to this workstation's institution"}, words{}},
	{registry.ErrSession, http.StatusUnauthorized, "session",
		words{"未登录或登录已失效", "not signed in, or the session has ended"},
		words{"请重新登录", "Sign in again."}},
	{registry.ErrKeyReused, http.StatusConflict, "key-reused",
		words{"幂等键已用于另一请求", "the idempotency key belongs to another request"},
		words{"新的请求请用新的幂等键", "Make a new key for a new request."}},
	{registry.ErrOutcomeUnknown, http.StatusServiceUnavailable, "outcome-unknown",
		words{"提交结果未知", "the outcome is unknown"},
		words{"请用同一幂等键再发一次，不会重复办理", "Send it again with the same idempotency key; nothing is done twice."}},
	{registry.ErrDatabaseGone, http.StatusServiceUnavailable, "database-gone",
		words{"数据库暂时连接不上", "the database cannot be reached"},
		words{"请稍后再试；已完成的部分不会重复", "Try again later; nothing is done twice."}},
	{registry.ErrBusy, http.StatusServiceUnavailable, "busy",
		words{"系统繁忙", "too busy"}, words{"请稍后再试", "Try again later."}},
	{registry.ErrDatabaseFull, http.StatusServiceUnavailable, "database-full",
		words{"数据库空间已满", "the database has no space left"},
		words{"请联系管理员", "Call the administrator."}},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "timeout",
		words{"处理超时", "it took too long"},
		words{"请用同一幂等键再发一次，不会重复办理", "Send it again with the same idempotency key; nothing is done twice."}},
	{context.Canceled, http.StatusBadRequest, "cancelled",
		words{"请求已被取消", "the request was cancelled"}, words{}},
	{session.ErrEnded, http.StatusConflict, "chip-session-ended",
		words{"芯片会话已结束或已过期", "the chip session has ended or expired"},
		words{"请重新插卡再办；已写入的部分会接续", "Insert the card again; what was written is continued."}},
	{session.ErrBound, http.StatusForbidden, "chip-session-other",
		words{"芯片会话属于另一操作员或工作站", "the chip session belongs to another operator or workstation"},
		words{"请在本机重新插卡", "Insert the card again at this workstation."}},
	{session.ErrStep, http.StatusConflict, "chip-session-step",
		words{"芯片会话的步骤不对", "not the step that the chip session waits for"},
		words{"请重新插卡再办", "Insert the card again."}},
	{registry.ErrStale, http.StatusConflict, "stale",
		words{"此记录已被他人修改", "it was changed by another meanwhile"},
		words{"请刷新后重试", "Refresh and try again."}},
	{registry.ErrOwnFile, http.StatusConflict, "own-file",
		words{"保留的档案由您登记或更正过，带卡的合并须由另一人办理", "you entered or changed the file that is kept, and there is a card"},
		words{"请由另一人合并", "Let another person merge them."}},
	{registry.ErrTwoCards, http.StatusConflict, "two-cards",
		words{"两份档案都有有效的卡", "both files have a card in force"},
		words{"请先注销一张", "Cancel one of them first."}},
	{registry.ErrNotFound, http.StatusNotFound, "not-found",
		words{"没有找到", "not found"}, words{}},
	{registry.ErrDuplicate, http.StatusConflict, "duplicate",
		words{"已经存在，不能重复登记", "it exists already"},
		words{"请先查找已有的记录", "Look for what is recorded."}},
	{registry.ErrConflict, http.StatusConflict, "conflict",
		words{"与现有数据冲突", "it conflicts with what is recorded"},
		words{"请刷新后再办", "Refresh and look again."}},
	{exchange.ErrRunning, http.StatusConflict, "running",
		words{"该交易正在处理", "the transaction is still running"},
		words{"请稍后用同一标识查询", "Ask for it again by its id."}},
	{exchange.ErrNotFound, http.StatusNotFound, "not-found",
		words{"没有该交易", "no such transaction"}, words{}},
}

// unexpected is what a caller is told of an error that nobody foresaw.
var unexpected = kind{nil, http.StatusInternalServerError, "unexpected",
	words{"系统内部错误", "something unexpected happened"},
	words{"请把编号告诉技术人员", "Give the reference number to the support."}}

// invalidInput is told when fields of a request are wrong.
func invalidInput(status int, fields []FieldProblem) Problem {
	p := kind{nil, status, "invalid", words{"填写内容不符合要求", "the request is not as it should be"},
		words{"请按提示更正", "Correct what is named."}}.problem()
	p.Fields = &fields
	return p
}

func (k kind) problem() Problem {
	p := Problem{
		Type: "urn:onecard:problem:" + k.code, Code: k.code, Status: k.status,
		Title: k.title.zh, TitleEn: &k.title.en,
	}
	if k.detail != (words{}) {
		p.Detail, p.DetailEn = &k.detail.zh, &k.detail.en
	}
	return p
}

// problemOf says what a caller is told of an error.
func problemOf(err error) Problem {
	var (
		fields  *fieldsError
		field   *registry.FieldError
		refusal *exchange.Refusal
		invalid *exchange.Invalid
		away    unreachable
		known   explainer
		routed  *echo.HTTPError
	)
	switch {
	case errors.As(err, &fields):
		return invalidInput(http.StatusBadRequest, fields.fields)
	case errors.As(err, &field):
		return invalidInput(http.StatusUnprocessableEntity, []FieldProblem{{Field: field.Field, Zh: field.ZH, En: field.EN}})
	case errors.As(err, &invalid):
		var list []FieldProblem
		for _, f := range invalid.Fields {
			list = append(list, FieldProblem{Field: f.Field, Zh: f.Text.ZH, En: f.Text.EN})
		}
		return invalidInput(http.StatusUnprocessableEntity, list)
	case errors.As(err, &refusal):
		return kind{nil, http.StatusConflict, kebab(refusal.Code), words{refusal.Text.ZH, refusal.Text.EN}, words{}}.problem()
	case errors.As(err, &away) && away.Unreachable():
		return keeperAway.problem()
	case errors.As(err, &known):
		return explained(err, known)
	}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return k.problem()
		}
	}
	if errors.As(err, &routed) {
		return routing(routed)
	}
	return unexpected.problem()
}

// unreachable is an error of a part of the province in another process that
// does not answer now: the keeper of keys. It is known by what it says, since
// this package knows no keeper.
type unreachable interface {
	error
	Unreachable() bool
}

// keeperAway is told while the keeper of keys is away.
var keeperAway = kind{nil, http.StatusServiceUnavailable, "keeper-gone",
	words{"密钥保管进程暂时连接不上", "the keeper of keys cannot be reached"},
	words{"请稍后再试；已完成的部分不会重复", "Try again later; nothing is done twice."}}

// explainer is an error that knows its words for people: the refusals of
// issuance, those of a chip and of its status words.
type explainer interface {
	Explain() (text, remedy profile.Text)
}

// explained keeps the words of an error that has them. Status and code of
// refusals that are not simply conflicts stand here.
func explained(err error, known explainer) Problem {
	title, detail := known.Explain()
	k := kind{nil, http.StatusConflict, "chip", words{title.ZH, title.EN}, words{detail.ZH, detail.EN}}
	var refusal *issuance.Error
	var finding *card.Error
	var authenticating *authentication.Error
	switch {
	case errors.As(err, &authenticating):
		k.code = authenticating.Code
	case errors.As(err, &refusal):
		k.code = refusal.Code
	case errors.As(err, &finding):
		k.code = finding.Code
	}
	switch {
	case errors.Is(err, issuance.ErrNoRight), errors.Is(err, issuance.ErrSamePerson), errors.Is(err, stock.ErrOtherPlace), errors.Is(err, stock.ErrWitness), errors.Is(err, authentication.ErrNoRight):
		k.status = http.StatusForbidden
	case errors.Is(err, authentication.ErrLimit):
		k.status = http.StatusTooManyRequests
	case errors.Is(err, authentication.ErrSSF33), errors.Is(err, authentication.ErrNoAddress):
		k.status = http.StatusUnprocessableEntity
	case errors.Is(err, issuance.ErrUnknownCard):
		k.status = http.StatusNotFound
	case errors.Is(err, issuance.ErrNoOperation), errors.Is(err, issuance.ErrNeedsReason):
		k.status = http.StatusUnprocessableEntity
	}
	return k.problem()
}

// kebab writes cardNotNormal as card-not-normal, as all codes of the interface
// are written.
func kebab(code string) string {
	var out strings.Builder
	for _, r := range code {
		if unicode.IsUpper(r) {
			out.WriteByte('-')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}

// routing is told when the router, or the binding of a value that the schema
// could not judge, refuses a request. Their own texts repeat values.
func routing(err *echo.HTTPError) Problem {
	switch err.Code {
	case http.StatusNotFound:
		return kind{nil, err.Code, "no-route", words{"没有这个地址", "there is no such address"}, words{}}.problem()
	case http.StatusMethodNotAllowed:
		return kind{nil, err.Code, "method", words{"此地址不支持该方法", "the address does not take this method"}, words{}}.problem()
	case http.StatusBadRequest:
		var mismatch *json.UnmarshalTypeError
		if errors.As(err, &mismatch) {
			return invalidInput(err.Code, []FieldProblem{{Field: mismatch.Field, Zh: wrongForm.zh, En: wrongForm.en}})
		}
		return problemOf(errUnreadable)
	default:
		return unexpected.problem()
	}
}

// fieldOf names a field whose value the code's own package refused.
func fieldOf(name string, err error) error {
	var format *gb.FormatError
	if errors.As(err, &format) {
		return &registry.FieldError{Field: name, ZH: format.ZH(), EN: format.EN()}
	}
	return &registry.FieldError{Field: name, ZH: wrongForm.zh, EN: wrongForm.en}
}

// problemType is the media type of problems (RFC 9457, clause 3).
const problemType = "application/problem+json"

func writeProblem(w http.ResponseWriter, problem Problem) error {
	body, err := json.Marshal(problem)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", problemType)
	switch problem.Status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer") // RFC 9110, 15.5.2
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if header.Get("Retry-After") == "" { // whoever knows better has said so
			header.Set("Retry-After", "2")
		}
	}
	w.WriteHeader(problem.Status)
	_, err = w.Write(body)
	return err
}
