package terminal_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/issuance/tell"
	"onecard/registry"
	"onecard/terminal"
	"onecard/terminal/desk"
)

// page is a counter's page in a browser, over the counter's own program.
type page struct {
	*post
	ctx context.Context
}

// browse serves the page of a counter and opens it.
func (w *world) browse(station, login string) *page {
	w.t.Helper()
	reader, bench := newStation(w.t, "counter", w.orders())
	connection := w.dial(station)
	journal, err := terminal.OpenJournal(w.t.TempDir())
	require.NoError(w.t, err)
	logger := slog.New(slog.DiscardHandler)
	server, err := desk.New(desk.Config{Desk: &terminal.Desk{Station: reader, Journal: journal, Invalid: terminal.NewInvalidList(nil), Now: time.Now}, API: connection, Logger: logger})
	require.NoError(w.t, err)
	web := httptest.NewServer(server)
	w.t.Cleanup(web.CloseClientConnections)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1024, 768), chromedp.UserDataDir(w.t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "zh-CN"))
	ctx, cancel := chromedp.NewExecAllocator(w.t.Context(), options...)
	w.t.Cleanup(cancel)
	ctx, cancelTab := chromedp.NewContext(ctx)
	w.t.Cleanup(cancelTab)
	require.NoError(w.t, chromedp.Do(ctx)) // the browser lives as long as the context of its first action
	// Whoever is at the page is signed in there alone: cards are made by somebody
	// else.
	p := &page{&post{w, w.signIn(w.dial("W-O630102-02"), w.colleague()), reader, bench}, ctx}
	p.do(chromedp.Navigate(web.URL), chromedp.WaitVisible(chromedp.CSS("#sign-in")),
		chromedp.SendKeys(chromedp.CSS("#sign-in [name=login]"), login),
		chromedp.SendKeys(chromedp.CSS("#sign-in [name=password]"), w.passwords[login]+"\r"), chromedp.WaitVisible(chromedp.CSS("#signed-in")))
	return p
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.shot("failed")
		require.NoError(p.t, err)
	}
}

// shot keeps a picture of the page where SCREENSHOTS names a folder.
func (p *page) shot(name string) {
	p.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600))
}

// see waits until an element shows a text.
func (p *page) see(selector, text string) {
	p.t.Helper()
	var shown string
	if !assert.Eventually(p.t, func() bool {
		ctx, cancel := context.WithTimeout(p.ctx, time.Second)
		defer cancel()
		var err error
		shown, err = chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector), chromedp.NodeVisible))
		return err == nil && strings.Contains(strings.Join(strings.Fields(shown), " "), text)
	}, 30*time.Second, 100*time.Millisecond) {
		p.shot("failed")
		require.Fail(p.t, "not shown", "%s does not show %q but %q", selector, text, shown)
	}
}

func (p *page) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

func (p *page) find(name string) {
	p.t.Helper()
	p.do(chromedp.SetValue(chromedp.CSS("#query"), name), chromedp.SendKeys(chromedp.CSS("#query"), "\r"))
	p.see("#person-name", name)
}

// sign draws a line in the field for a signature.
func (p *page) sign() {
	p.t.Helper()
	at, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]float64](`(() => { document.getElementById('signature').scrollIntoView({ block: 'center' });
		const box = document.getElementById('signature').getBoundingClientRect(); return [box.left, box.top, box.width, box.height]; })()`))
	require.NoError(p.t, err)
	x, y := at[0]+at[2]/8, at[1]+at[3]/3
	p.do(chromedp.MouseEvent(chromedp.MousePressed, x, y, chromedp.ButtonLeft))
	for i := range 20 {
		p.do(chromedp.MouseEvent(chromedp.MouseMoved, x+float64(i)*at[2]/30, y+float64(i%5)*8, chromedp.ButtonLeft))
	}
	p.do(chromedp.MouseEvent(chromedp.MouseReleased, x+at[2]/2, y, chromedp.ButtonLeft))
}

// made personalises a chip for a resident, with an account at the bank; it stays
// in the reader.
func (p *page) made(b *banking, name string) (card uuid.UUID, account string) {
	p.t.Helper()
	a := p.numbered(name)
	account = b.account(a.ID)
	p.bench.remove()
	p.shows(terminal.CardNone)
	p.bench.insert(blank(p.t))
	p.shows(terminal.CardBlank)
	p.make(a)
	return *p.application(a.ID).CardID, account
}

func (p *page) pin(number string) {
	p.t.Helper()
	p.do(chromedp.WaitVisible(chromedp.CSS("#pin")), chromedp.SendKeys(chromedp.CSS("#pin [name=pin]"), number), chromedp.SendKeys(chromedp.CSS("#pin [name=again]"), number+"\r"))
}

// TestHandoverPage hands cards over as a clerk does in the browser: the face
// first, then who takes it and the signature, then both activations side by
// side.
func TestHandoverPage(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, func(c *issuance.Config) {
		text := strings.NewReplacer("handover: none", "handover: signature", "printedFirst: false", "printedFirst: true").Replace(string(issuance.DefaultPolicies()))
		var err error
		c.Policies, err = issuance.ParsePolicies([]byte(text))
		require.NoError(t, err)
	}).withBank()
	p := w.browse(counter, clerk)
	records := &instant{world: w.world}
	seat := &seat{p.post, ""}
	printed := func(card uuid.UUID) {
		records.must(seat, http.MethodPost, fmt.Sprintf("/v1/cards/%s/prints", card), map[string]any{"printer": "P1", "outcome": "printed"}, nil)
	}

	card, _ := p.made(w, residents[4])
	p.find(residents[4])
	p.see("#cards .activation", "社保功能启用 social ✘ 未启用")
	p.see("#cards .activation", "未激活，启用社保功能时一并请银行激活")
	p.click(`#cards [data-event="activate"]`)
	p.see("#problem", "卡面尚未打印完好")
	printed(card)
	p.click(`#cards [data-event="activate"]`)
	p.do(chromedp.WaitVisible(chromedp.CSS("#handover")))
	p.click("#handover button.primary")
	p.see("#problem", "领卡人尚未签字")
	p.do(chromedp.SetValue(chromedp.CSS("#handover [name=taker]"), "agent"),
		chromedp.Evaluate[chromedp.Void](`document.querySelector('#handover [name=taker]').dispatchEvent(new Event('change'))`))
	p.sign()
	for name, value := range map[string]string{"name": "卓玛措", "number": "63010219850601001X", "relation": "妻", "authorisation": "WT-7"} {
		p.do(chromedp.SendKeys(chromedp.CSS(`#handover [name="agent.`+name+`"]`), value))
	}
	p.shot("15-handover")
	p.click("#handover button.primary")
	p.see("#problem", "证件号码")
	birth, err := gb.ParseDate("1985-06-01")
	require.NoError(t, err)
	number, err := gb.NewIDNumber("630102", birth, 2)
	require.NoError(t, err)
	p.do(chromedp.SetValue(chromedp.CSS(`#handover [name="agent.number"]`), number.String()))
	p.click("#handover button.primary")
	p.pin(pin)
	p.see("#result-areas .activation", "社保功能启用 social ✔ 已启用")
	p.see("#result-areas .activation", "✔ 已激活 中国建设银行")
	p.see("#cards", "正常")
	p.shot("16-both")

	refused, account := p.made(w, residents[5])
	printed(refused)
	_, err = w.bank.Notice(account, "freeze")
	require.NoError(t, err)
	p.find(residents[5])
	p.click(`#cards [data-event="activate"]`)
	p.do(chromedp.WaitVisible(chromedp.CSS("#handover")))
	p.sign()
	p.click("#handover button.primary")
	p.pin(pin)
	p.see("#result-areas .activation", "✘ 银行未予激活：2002 账户状态不允许")
	p.see("#result-areas .activation", "社保功能启用 social ✔ 已启用")
	p.shot("17-refused")
	p.click(`#result-areas [data-ask="activation"]`)
	require.Eventually(t, func() bool {
		var n int64
		err := w.db.Read(t.Context()).Table("bank_orders").Where("operation = 'account.status' AND state = 'refused'").Count(&n).Error
		return err == nil && n == 2
	}, wait, tick)
	p.see("#result-areas .activation", "✘ 银行未予激活")
	require.NoError(t, w.db.VerifyAudit(t.Context()))
}

// TestMinistryPage: the reviewer sees what the ministry has said of cards in
// other provinces, is refused in words, and has it asked anew.
func TestMinistryPage(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, func(c *issuance.Config) {
		var err error
		c.Policies, err = issuance.ParsePolicies([]byte(strings.Replace(string(issuance.DefaultPolicies()), "ministryQuery: none", "ministryQuery: required", 1)))
		require.NoError(t, err)
	})
	a := w.applied(residents[4])
	answered := func(event, province string) {
		w.change("peer:ministry", func(tx *registry.Tx) error {
			var questions []tell.Delivery
			if err := tx.DB().Where("subject = ?", "application:"+a.ID.String()).Order("id DESC").Find(&questions).Error; err != nil {
				return err
			}
			_, err := issuance.Answered(tx, a.ID, questions[0].ID, event, province)
			return err
		})
	}
	answered("elsewhere", "540000")
	p := w.browse(counter, reviewer)
	p.see("#queue", "部级查重：他省有卡（540000）")
	p.click(`#queue [data-event="approve"]`)
	p.see("#problem", "此人在他省（540000）已有卡")
	p.click(`#queue [data-ministry]`)
	p.see("#queue", "部级查重：已查询，待答复")
	answered("accept", "")
	p.click(`#queue [data-event="approve"]`)
	p.see("#queue", "没有待复核")
}
