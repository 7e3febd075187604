package issuance

import "slices"

// Reason is why something is done, as a code, with what follows from it (原因代码).
type Reason struct {
	Code string
	Text Text
	// Then names the consequences.
	Then []string
}

// Consequences of reasons.
const (
	ThenNoted       = "noted"         // nothing but the record
	ThenReturned    = "returned"      // 退回申请人: the applicant is told what to bring
	ThenTwoSources  = "two-sources"   // 须第二来源核实: another operator has recorded the fact
	ThenCloseBank   = "close-account" // the bank is told to close or limit the account
	ThenTakeBack    = "take-back"     // 收回旧卡
	ThenFee         = "fee"           // 收工本费
	ThenFree        = "free"          // 免费
	ThenRemake      = "remake"        // 重新制卡
	ThenReviewAgain = "review-again"  // 重新复核
	ThenHandLater   = "to-chip"       // 芯片待下次接触时处理
)

var consequences = map[string]Text{
	ThenNoted:       {"仅记录", "noted"},
	ThenReturned:    {"退申请人补正", "the applicant is told what to bring"},
	ThenTwoSources:  {"须由另一人登记事实", "another operator has recorded the fact"},
	ThenCloseBank:   {"通知银行销户或限制账户", "the bank closes or limits the account"},
	ThenTakeBack:    {"收回卡片", "the card is taken back"},
	ThenFee:         {"收工本费", "a fee is due"},
	ThenFree:        {"免收工本费", "free of charge"},
	ThenRemake:      {"重新制卡", "another card is made"},
	ThenReviewAgain: {"重新复核", "reviewed again"},
	ThenHandLater:   {"芯片待下次读卡时处理", "the chip follows when it is next read"},
}

// ReasonOther is the code of a reason that is told in words only. Every list
// has it.
const ReasonOther = "other"

func other(then ...string) Reason {
	return Reason{ReasonOther, Text{"其他", "other"}, append([]string{ThenNoted}, then...)}
}

// Reasons are the lists of reason codes by name. They are this platform's own:
// codes of peers are mapped at the interface to them.
var Reasons = map[string][]Reason{
	"return": {
		{"photo", Text{"照片不合格", "the photograph"}, []string{ThenReturned}},
		{"documents", Text{"材料不全", "papers are missing"}, []string{ThenReturned}},
		{"data", Text{"信息有误", "data are wrong"}, []string{ThenReturned}},
		{"name", Text{"姓名用字无法写卡", "the name cannot be written"}, []string{ThenReturned}},
		other(ThenReturned),
	},
	"withdraw": {
		{"applicant", Text{"申请人要求", "the applicant wishes so"}, []string{ThenNoted}},
		{"duplicate", Text{"重复申领", "applied twice"}, []string{ThenNoted}},
		other(),
	},
	"reopen": {
		{"data-changed", Text{"复核后信息有变", "data changed after the review"}, []string{ThenReviewAgain}},
		other(ThenReviewAgain),
	},
	"spoil": {
		{"chip-fault", Text{"芯片故障", "the chip is faulty"}, []string{ThenRemake}},
		{"damaged", Text{"卡片损坏", "the card is damaged"}, []string{ThenRemake}},
		{"wrong-blank", Text{"用错空白卡", "the wrong blank"}, []string{ThenRemake}},
		other(ThenRemake),
	},
	"unbatch": {
		{"no-account", Text{"银行开户未成功", "the bank opened no account"}, []string{ThenRemake}},
		{"mismatch", Text{"银行回盘与名单不符", "the bank's return does not match"}, []string{ThenRemake}},
		{"not-made", Text{"卡厂未制成", "the maker did not make it"}, []string{ThenRemake}},
		{"key-error", Text{"密钥错误", "a key is wrong"}, []string{ThenRemake}},
		other(ThenRemake),
	},
	"scrap": {
		{"quality", Text{"质检不合格", "failed the inspection"}, []string{ThenRemake}},
		{"print-error", Text{"卡面印制错误", "the face is wrong"}, []string{ThenRemake}},
		{"key-error", Text{"密钥错误", "a key is wrong"}, []string{ThenRemake}},
		{"missing", Text{"运输中短少", "missing on the way"}, []string{ThenRemake}},
		other(ThenRemake),
	},
	"loss": {
		{"lost", Text{"遗失", "lost"}, []string{ThenNoted}},
		{"stolen", Text{"被盗", "stolen"}, []string{ThenNoted}},
		other(),
	},
	"found": {
		{"found", Text{"卡已找回", "found again"}, []string{ThenNoted}},
		{"mistaken", Text{"误报", "reported by mistake"}, []string{ThenNoted}},
		other(),
	},
	"suspend": {
		{"fraud", Text{"涉嫌冒用", "suspected of misuse"}, []string{ThenHandLater}},
		{"court", Text{"司法或行政决定", "a decision of court or authority"}, []string{ThenHandLater}},
		{"death-reported", Text{"接到死亡信息", "a death was reported"}, []string{ThenHandLater}},
		other(ThenHandLater),
	},
	"lift": {
		{"order-lifted", Text{"决定已解除", "the order was lifted"}, []string{ThenNoted}},
		{"mistaken", Text{"误锁", "locked by mistake"}, []string{ThenNoted}},
		other(),
	},
	"cancel": {
		{"death", Text{"死亡", "death"}, []string{ThenTwoSources, ThenCloseBank, ThenTakeBack}},
		{"emigrated", Text{"出国定居", "emigrated"}, []string{ThenCloseBank, ThenTakeBack}},
		{"moved-out", Text{"社保关系转出", "the relation moved out"}, []string{ThenCloseBank, ThenTakeBack}},
		{"wrong-issue", Text{"错发", "issued by mistake"}, []string{ThenTakeBack, ThenFree}},
		{"duplicate", Text{"一人多卡", "more than one card"}, []string{ThenCloseBank, ThenTakeBack}},
		{"unclaimed", Text{"逾期未领", "never collected"}, []string{ThenTakeBack}},
		{"holder", Text{"本人申请", "the holder wishes so"}, []string{ThenCloseBank, ThenTakeBack}},
		other(),
	},
	"stock": {
		{"damaged", Text{"损坏", "damaged"}, []string{ThenNoted}},
		{"missing", Text{"缺失", "missing"}, []string{ThenNoted}},
		other(),
	},
	// Grounds of an application for another card (补换卡原因).
	"replacement": {
		{"lost", Text{"遗失", "lost"}, []string{ThenFee}},
		{"stolen", Text{"被盗", "stolen"}, []string{ThenFee}},
		other(ThenFee),
	},
	"exchange": {
		{"damaged", Text{"损坏", "damaged"}, []string{ThenFee, ThenTakeBack}},
		{"unreadable", Text{"无法读卡", "cannot be read"}, []string{ThenFee, ThenTakeBack}},
		{"expiring", Text{"有效期将满", "about to expire"}, []string{ThenFree, ThenTakeBack}},
		{"misprint", Text{"卡面信息有误（非持卡人原因）", "printed wrong, not by the holder's fault"}, []string{ThenFree, ThenTakeBack}},
		{"quality", Text{"质量问题", "faulty"}, []string{ThenFree, ThenTakeBack}},
		{"data-changed", Text{"信息变更", "data changed"}, []string{ThenFee, ThenTakeBack}},
		other(ThenFee, ThenTakeBack),
	},
	"temporary": {
		{"waiting", Text{"等待正式卡", "the card is being made"}, []string{ThenNoted}},
		{"no-account", Text{"银行开户未成功", "the bank opened no account"}, []string{ThenNoted}},
		other(),
	},
}

// reasonOf finds a reason of a list; no code is the other reason.
func reasonOf(list, code string) (Reason, bool) {
	if code == "" {
		code = ReasonOther
	}
	i := slices.IndexFunc(Reasons[list], func(r Reason) bool { return r.Code == code })
	if i < 0 {
		return Reason{}, false
	}
	return Reasons[list][i], true
}

// Has says whether a consequence follows from the reason.
func (r Reason) Has(consequence string) bool { return slices.Contains(r.Then, consequence) }
