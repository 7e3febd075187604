package cmd_test

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// browser is a headless Chromium on a counter's page.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func openBrowser(t *testing.T, page string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1024, 768), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "zh-CN"))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab)
	// The browser lives as long as the context of its first action.
	require.NoError(t, chromedp.Do(ctx))
	b := &browser{t: t, ctx: ctx}
	b.do(chromedp.Navigate(page))
	return b
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.shot("failed")
		require.NoError(b.t, err)
	}
}

// shot keeps a picture of the page where SCREENSHOTS names a folder.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Logf("no picture: %v", err)
		return
	}
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600))
}

// see waits until the element shows the text.
func (b *browser) see(selector, text string) {
	b.t.Helper()
	if !assert.Eventually(b.t, func() bool {
		ctx, cancel := context.WithTimeout(b.ctx, time.Second)
		defer cancel()
		shown, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector), chromedp.NodeVisible))
		return err == nil && containsText(shown, text)
	}, 30*time.Second, 100*time.Millisecond, "%s does not show %q", selector, text) {
		b.shot("failed")
		b.t.FailNow()
	}
}

// watchProgress notes every line that the progress shows from now on.
func (b *browser) watchProgress() {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`window.seen = new Set();
		new MutationObserver(() => { if (!document.getElementById('progress').hidden) seen.add(document.getElementById('progress-label').textContent); })
			.observe(document.getElementById('progress'), { subtree: true, childList: true, characterData: true, attributes: true }); true`))
	require.NoError(b.t, err)
}

func (b *browser) progress() []string {
	b.t.Helper()
	seen, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`[...seen]`))
	require.NoError(b.t, err)
	return seen
}

func (b *browser) signIn(login, password string) {
	b.t.Helper()
	b.do(
		chromedp.WaitVisible(chromedp.CSS("#sign-in")),
		chromedp.SendKeys(chromedp.CSS("#sign-in [name=login]"), login),
		chromedp.SendKeys(chromedp.CSS("#sign-in [name=password]"), password+"\r"),
		chromedp.WaitVisible(chromedp.CSS("#signed-in")),
	)
}

// changePIN answers the two questions for the numbers.
func (b *browser) changePIN(old, fresh string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS("#change-pin")), chromedp.WaitVisible(chromedp.CSS("#pin")),
		chromedp.SendKeys(chromedp.CSS("#pin [name=pin]"), old+"\r"),
		chromedp.WaitVisible(chromedp.CSS("#pin [name=again]")),
		chromedp.SendKeys(chromedp.CSS("#pin [name=pin]"), fresh),
		chromedp.SendKeys(chromedp.CSS("#pin [name=again]"), fresh+"\r"))
}

func (b *browser) signOut() {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS("#sign-out")), chromedp.WaitVisible(chromedp.CSS("#sign-in")))
}

func (b *browser) find(query string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS("#query"), query+"\r"))
	b.see("#person-name", query)
}

// TestCounterPage issues a card as a clerk does: in the browser, with the
// virtual card plugged into the real PC/SC service.
func TestCounterPage(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	chip := s.blankChip("0000A001")
	b := openBrowser(t, s.running.Pages["counter"])
	// A small child, whose card has no photograph.
	const holder, number = "韩玉龙", "630102202103070011"

	b.signIn("zhangying", s.running.Logins["zhangying"])
	b.see("#card-state", "无卡")

	// A resident whom nobody has entered yet; the first number is mistyped.
	b.do(chromedp.Click(chromedp.CSS("#new-person")), chromedp.WaitVisible(chromedp.CSS("#person-form")),
		chromedp.SendKeys(chromedp.CSS("#person-form [name=idNumber]"), "630102202103070010"),
		chromedp.SendKeys(chromedp.CSS("#person-form [name=name]"), holder),
		chromedp.SendKeys(chromedp.CSS("#person-form [name=ethnic]"), "撒拉"))
	b.shot("0-enter")
	b.do(chromedp.SendKeys(chromedp.CSS("#person-form [name=name]"), "\r"))
	b.see("#problem", "社会保障号码：公民身份号码第 18 位校验码不符")
	b.shot("0-mistyped")
	b.do(chromedp.SetValue(chromedp.CSS("#person-form [name=idNumber]"), number),
		chromedp.SendKeys(chromedp.CSS("#person-form [name=idNumber]"), "\r"))
	b.see("#person-name", holder)
	b.see("#person-facts", "撒拉")
	// A photograph from a camera is cut to the card's size; the guardian is kept.
	camera := filepath.Join(t.TempDir(), "camera.png")
	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 640, 480))))
	require.NoError(t, os.WriteFile(camera, picture.Bytes(), 0o600))
	b.do(chromedp.Click(chromedp.CSS("#add-file")), chromedp.WaitVisible(chromedp.CSS("#file-form")),
		chromedp.SetUploadFiles(chromedp.CSS("#file-form [name=content]"), []string{camera}),
		chromedp.SendKeys(chromedp.CSS("#file-form [name=reason]"), "到场拍摄\r"),
		chromedp.WaitVisible(chromedp.CSS("#photo")), chromedp.WaitNotVisible(chromedp.CSS("#file-form")),
		chromedp.Click(chromedp.CSS("#add-guardian")), chromedp.WaitVisible(chromedp.CSS("#guardian-form")),
		chromedp.SendKeys(chromedp.CSS("#guardian-form [name=name]"), "韩秀英"),
		chromedp.SendKeys(chromedp.CSS("#guardian-form [name=idNumber]"), "630102196601010021"),
		chromedp.SendKeys(chromedp.CSS("#guardian-form [name=reason]"), "户口簿\r"))
	b.see("#details", "韩秀英")
	b.shot("1-person")
	b.do(chromedp.Click(chromedp.CSS(`#apply [data-apply="first"]`)), chromedp.WaitVisible(chromedp.CSS("#applying-form")),
		chromedp.SetValue(chromedp.CSS("#applying-form [name=applicant]"), "guardian"),
		chromedp.Click(chromedp.CSS("#applying-form button.primary")))
	b.see("#applications", "已申请")
	// The applicant looks at the proof and finds it right.
	b.do(chromedp.Click(chromedp.CSS("#applications [data-proof]")), chromedp.WaitVisible(chromedp.CSS("#confirm-proof")),
		chromedp.Click(chromedp.CSS("#confirm-proof")))
	b.see("#result-verdict", "已确认")

	// The clerk sees no button for the own application; the reviewer does.
	b.signOut()
	b.signIn("limin", s.running.Logins["limin"])
	b.see("#queue", holder)
	b.shot("2-review")
	b.do(chromedp.Click(chromedp.CSS(`#queue [data-event="approve"]`)))
	b.see("#queue", "没有待复核")

	b.signOut()
	b.signIn("zhangying", s.running.Logins["zhangying"])
	b.find(holder)
	b.see("#applications", "卡号")
	s.insert(0, chip)
	b.see("#card-state", "空白卡")
	b.shot("3-blank")
	b.watchProgress()
	b.do(chromedp.Click(chromedp.CSS(`#applications [data-event="personalise"]`)))
	b.see("#result-verdict", "芯片为真")
	b.see("#result-fields", holder)
	b.see("#card-state", "社会保障卡")
	require.Greater(t, len(b.progress()), 10, "the progress was visible")
	b.shot("4-personalised")

	// The face is printed when the chip is made, and is printed when somebody says so.
	b.do(chromedp.Click(chromedp.CSS(`#cards [data-print]`)), chromedp.WaitVisible(chromedp.CSS("#print")),
		chromedp.SendKeys(chromedp.CSS("#print [name=printer]"), "P1"))
	b.shot("4-print")
	b.do(chromedp.Click(chromedp.CSS(`#print [value="failed"]`)))
	b.see("#problem", "打印失败须说明原因")
	b.do(chromedp.Click(chromedp.CSS(`#print [value="printed"]`)))
	b.see("#result-verdict", "第 1 次，打印完好")

	b.do(
		chromedp.Click(chromedp.CSS(`#cards [data-event="activate"]`)),
		chromedp.WaitVisible(chromedp.CSS("#pin")),
		chromedp.SendKeys(chromedp.CSS("#pin [name=pin]"), "314159"),
		chromedp.SendKeys(chromedp.CSS("#pin [name=again]"), "314159\r"),
	)
	b.see("#result-areas .activation", "社保功能启用 social ✔ 已启用")
	b.see("#result-areas .activation", "金融账户激活 bank ✔ 已激活")
	b.shot("4-both-activations")
	b.see("#cards", "正常")
	b.do(chromedp.Click(chromedp.CSS("#read")))
	b.see("#result-title", "读卡")
	b.see("#result-verdict", "正常")
	b.see("#result-fields", number)
	b.shot("5-read")

	// The holder changes the number: first the old one is mistaken.
	b.changePIN("000000", "271828")
	b.see("#problem", "还可再试 5 次")
	b.changePIN("314159", "271828")
	b.see("#result-verdict", "已修改")

	// The card is taken out: the page says so, and reading says what to do.
	s.remove(0)
	b.see("#card-state", "无卡")
	b.shot("6-removed")
}

// TestChipWorkPage does at the counter what there is to do on a card in use: a
// new PIN, everything read, the telephone changed, a job recorded, the bank
// account looked at; and a supervisor ends the card.
func TestChipWorkPage(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	const holder = "卓玛措"
	chip := s.issued("0000A003", holder)
	b := openBrowser(t, s.running.Pages["counter"])
	b.signIn("zhangying", s.running.Logins["zhangying"])
	b.find(holder)
	s.insert(0, chip)
	b.see("#card-state", "社会保障卡")
	b.shot("8-works")

	b.work("resetPIN")
	b.do(chromedp.WaitVisible(chromedp.CSS("#pin")),
		chromedp.SendKeys(chromedp.CSS("#pin [name=pin]"), "271828"), chromedp.SendKeys(chromedp.CSS("#pin [name=again]"), "271828\r"))
	b.see("#result-title", "重置社保密码")
	b.see("#result-verdict", "芯片为真")

	// The old number is no longer any good; the new one opens what it guards.
	b.readEverything("314159")
	b.see("#problem", "还可再试 5 次")
	b.readEverything("271828")
	for _, area := range []string{"发卡机构数据", "持卡人基本信息", "公共应用", "就业", "社会保险", "医疗保险", "社会服务"} {
		b.see("#result-areas", area)
	}
	b.see(`[data-area="持卡人基本信息"]`, holder)
	b.do(chromedp.Click(chromedp.CSS(`[data-area="医疗保险"] summary`)))
	b.see(`[data-area="医疗保险"]`, "数据项 92 暂定")
	b.shot("9-everything")

	b.work("write")
	b.do(chromedp.WaitVisible(chromedp.CSS("#element")),
		chromedp.SendKeys(chromedp.CSS("#element [name=path]"), "常住地及联系方式：联系电话"),
		chromedp.SendKeys(chromedp.CSS("#element [name=text]"), "0971-812345678901\r"))
	b.see("#element", "至多 15 字节，一个汉字 2 字节（已用 17）")
	b.shot("10-too-long")
	b.do(chromedp.SetValue(chromedp.CSS("#element [name=text]"), "0971-8123456"), chromedp.SendKeys(chromedp.CSS("#element [name=text]"), "\r"))
	b.see("#result-title", "更新一项：联系电话")
	b.see("#result-areas", "0971-8123456")
	b.shot("11-telephone")

	b.work("append")
	b.do(chromedp.WaitVisible(chromedp.CSS("#element")))
	for name, value := range map[string]string{"occupation": "1010100", "from": "20260301", "employer": "青海牧业𠮷"} {
		b.do(chromedp.SendKeys(chromedp.CSS("#element [name="+name+"]"), value))
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#element [name=employer]"), "\r"))
	b.see("#problem", "单位名称第 5 个字“𠮷”（U+20BB7）不在 GBK 字符集中")
	b.shot("12-rare")
	b.do(chromedp.SetValue(chromedp.CSS("#element [name=employer]"), "青海牧业"), chromedp.SendKeys(chromedp.CSS("#element [name=employer]"), "\r"))
	b.see(`[data-area="就业"]`, "第 1 条")
	b.see(`[data-area="就业"]`, "青海牧业")
	b.do(chromedp.Click(chromedp.CSS("#bank-number")))
	b.see("#result-verdict", "***************")
	b.shot("13-bank")

	// Without the holder, all that needs no number; the telephone is still there.
	b.readEverything("")
	b.see(`[data-area="公共应用"]`, "0971-8123456")
	for _, work := range []string{"refresh", "unblockPIN", "rekey"} {
		b.work(work)
		b.see("#result-title", map[string]string{"refresh": "按记录更新", "unblockPIN": "解锁社保密码", "rekey": "更换卡内密钥"}[work])
		b.see("#result-verdict", "芯片为真")
	}

	b.signOut()
	b.signIn("limin", s.running.Logins["limin"])
	b.find(holder)
	b.see("#cards", "正常")
	answers, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`window.asked = []; window.confirm = (text) => { asked.push(text); return asked.length > 1; };
		document.querySelectorAll('[data-work="resetPIN"], [data-work="rekey"], [data-work="blockCard"]').length`))
	require.NoError(t, err)
	require.Zero(t, answers, "a supervisor is offered what a supervisor may do with a card in use")
	b.do(chromedp.Click(chromedp.CSS(`#cards [data-event="cancel"]`)),
		chromedp.SendKeys(chromedp.CSS("#ask-form [name=code]"), "本人申请"))
	b.shot("13-reason")
	b.do(chromedp.Click(chromedp.CSS(`#ask-form [value="yes"]`)))
	b.see("#cards", "注销")
	b.work("blockCard") // and think better of it
	b.see("#card-state", "社会保障卡")
	b.work("blockCard")
	b.see("#card-state", "卡或应用已锁定")
	b.shot("14-blocked")
}

// idle waits until what was pressed is done and the page is up to date.
func (b *browser) idle() {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		idle, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.querySelector('[data-running]') === null && document.getElementById('progress').hidden`))
		return err == nil && idle
	}, 30*time.Second, 50*time.Millisecond)
}

// work presses a button of chip work.
func (b *browser) work(name string) {
	b.t.Helper()
	b.idle()
	b.do(chromedp.Click(chromedp.CSS(`#cards [data-work="` + name + `"]`)))
}

// readEverything reads the whole card with the holder's number, or without.
func (b *browser) readEverything(pin string) {
	b.t.Helper()
	b.work("everything")
	b.do(chromedp.WaitVisible(chromedp.CSS("#pin")),
		chromedp.SendKeys(chromedp.CSS("#pin [name=pin]"), pin+"\r"))
	b.see("#card-state", "社会保障卡")
}

// TestPharmacyPage sells medicine as a cashier does: a wrong number first, then
// the right one.
func TestPharmacyPage(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	s.insert(1, s.issued("0000A002", "卓玛措"))
	b := openBrowser(t, s.running.Pages["pharmacy"])
	b.signIn("zhaolei", s.running.Logins["zhaolei"])
	b.see("#card-state", "社会保障卡")
	settle := func(pin string) {
		for name, value := range map[string]string{"name": "感冒灵颗粒", "yuan": "18.50", "pin": pin} {
			b.do(chromedp.SetValue(chromedp.CSS("#visit [name="+name+"]"), value))
		}
		b.do(chromedp.SendKeys(chromedp.CSS("#visit [name=pin]"), "\r"))
	}
	settle("000000")
	b.see("#problem", "社保密码错误，还可再试 5 次")
	settle("314159")
	b.see("#result-verdict", "已确认")
	b.see("#result-fields", "18.50 元")
	b.shot("7-pharmacy")
}
