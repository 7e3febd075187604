package cmd_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"onecard/internal/gb"
	"onecard/keys"
)

// onecard runs a command of the province beside the running platform, with what
// is typed.
func (s *system) onecard(typed string, args ...string) string {
	s.t.Helper()
	return s.ran("onecard", typed, append(args, "--data", s.data, "--trial")...)
}

func (s *system) ran(program, typed string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	command.Stdin = strings.NewReader(typed)
	out, err := command.CombinedOutput()
	require.NoError(s.t, err, "%v: %s", args, out)
	return string(out)
}

// stock runs a command of the storekeepers.
func (s *system) stock(login, workstation string, args ...string) string {
	s.t.Helper()
	return s.onecard(s.running.Logins[login]+"\n", append([]string{"stock"}, append(args, "--operator", login, "--workstation", workstation)...)...)
}

// part opens a part of the page.
func (b *browser) part(name string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS("#to-"+name)), chromedp.WaitVisible(chromedp.CSS("#part-"+name)))
}

// fill gives fields of a form their values, as a person leaves them.
func (b *browser) fill(form string, pairs ...string) {
	b.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		b.do(chromedp.WaitVisible(chromedp.CSS(form)), chromedp.SetValue(chromedp.CSS(form+` [name="`+pairs[i]+`"]`), pairs[i+1]))
		_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.querySelector(`+"`"+form+` [name="`+pairs[i]+"\"]`"+`).dispatchEvent(new Event('change', { bubbles: true }))`))
		require.NoError(b.t, err)
	}
}

// send presses the button of a form.
func (b *browser) send(form string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(form + " button.primary")))
}

func (b *browser) count(selector string) int {
	b.t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int]("document.querySelectorAll(`"+selector+"`).length"))
	require.NoError(b.t, err)
	return n
}

var consignmentID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)

// TestStockPage keeps the stock of a county as its storekeepers do: blanks come
// from the maker by way of the province and the prefecture, one is missing and one
// is damaged; some are lent and come back, waste is destroyed, the day is closed,
// and a supervisor closes an incident.
func TestStockPage(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	list := filepath.Join(t.TempDir(), "list.csv")
	rows := []string{"序列号,产品,箱位,封签"}
	for n := 1; n <= 6; n++ {
		rows = append(rows, fmt.Sprintf("A000000%d,SSC300,29211-5-3-%d,F1", n, n))
	}
	writeFile(t, list, strings.Join(rows, "\n"))
	id := consignmentID.FindString(s.stock("wangku", "W-O630000-01", "receive", list, "--maker", "M630000001"))
	s.stock("luobao", "W-O630000-01", "accept", id)
	id = consignmentID.FindString(s.stock("wangku", "W-O630000-01", "send", "29211-5-3", "--to", "O630100"))
	s.stock("heku", "W-O630100-01", "accept", id)
	s.stock("heku", "W-O630100-01", "send", "29211-5-3", "--to", "O630102")

	b := openBrowser(t, s.running.Pages["counter"])
	b.signIn("zhaoku", s.running.Logins["zhaoku"])
	b.see("#stock-name", "西宁市城东区")
	b.see("#stock-arriving", "自 O630100")
	require.Equal(t, 1, b.count("#parts button:not([hidden])"), "a storekeeper is offered the stock alone")

	// One card of the box is not there, another is broken: a second person signs.
	b.do(chromedp.Click(chromedp.CSS("#stock-arriving button")), chromedp.WaitVisible(chromedp.CSS("#accept-form")),
		chromedp.Click(chromedp.CSS("#accept-boxes summary")), chromedp.WaitVisible(chromedp.CSS(`#accept-boxes [value=A0000003]`)),
		chromedp.Click(chromedp.CSS(`#accept-boxes [name=missing][value=A0000003]`)), chromedp.Click(chromedp.CSS(`#accept-boxes [name=damaged][value=A0000004]`)))
	b.fill("#accept-form", "note", "缺一张，一张断裂", "owner", "zhangying", "witness.login", "limin", "witness.password", "Wrong-Password-1")
	b.shot("20-accept")
	b.send("#accept-form")
	b.see("#problem", "密码")
	b.fill("#accept-form", "witness.password", s.running.Logins["limin"])
	b.send("#accept-form")
	b.see("#done", "差异")
	b.see("#stock-incidents", "缺失 空白卡 A0000003 缺一张，一张断裂 责任人 zhangying")
	b.see("#stock-incidents", "损坏 空白卡 A0000004")
	b.see("#stock-held", "作废")
	require.Zero(t, b.count("#stock-incidents button"), "a storekeeper closes no incident")

	b.do(chromedp.Click(chromedp.CSS(`[data-form="lend-form"]`)))
	b.fill("#lend-form", "workstation", "W-O630102-01", "holder", "zhangying", "from", "A0000001", "to", "A0000002", "days", "2")
	b.shot("21-lend")
	b.send("#lend-form")
	b.see("#done", "zhangying 领用 2 张")
	b.do(chromedp.Click(chromedp.CSS("#holdings-form button")))
	b.see("#holdings", "A0000001 柜台领用 W-O630102-01")
	b.do(chromedp.Click(chromedp.CSS("#stock-leases button")))
	b.see("#done", "已交回 2 张")

	b.do(chromedp.Click(chromedp.CSS(`[data-form="report-form"]`)))
	b.fill("#report-form", "event", "spoil", "cards", "A0000006", "reason", "运输划痕", "witness.login", "zhangying", "witness.password", s.running.Logins["zhangying"])
	b.send("#report-form")
	b.see("#done", "已登记 1 张")
	// Two who destroy: one of them must be a supervisor.
	destroy := func(with string) {
		b.do(chromedp.Click(chromedp.CSS(`[data-form="destroy-form"]`)))
		b.fill("#destroy-form", "cards", "A0000004", "witness.login", with, "witness.password", s.running.Logins[with])
		b.send("#destroy-form")
	}
	destroy("zhangying")
	b.see("#problem", "岗位")
	destroy("limin")
	b.see("#done", "已销毁 1 张，zhaoku、limin 签字")

	b.do(chromedp.Click(chromedp.CSS(`[data-form="day-form"]`)))
	b.fill("#day-form", "blankGood", "3", "blankWaste", "0", "cardGood", "0", "cardWaste", "0", "note", "作废仓少一张", "owner", "zhangying", "witness.login", "limin", "witness.password", s.running.Logins["limin"])
	b.shot("22-day")
	b.send("#day-form")
	b.see("#done", "1 处差异已立案")
	b.see("#stock-days", "结存 3 1 0 0")
	b.see("#stock-days", "差 0 -1 0 0")
	b.do(chromedp.SendKeys(chromedp.CSS("#story-form input"), "A0000003\r"))
	b.see("#stock-story", "缺一张，一张断裂")
	b.shot("23-stock")

	// Another than who has to clear it closes an incident.
	b.signOut()
	b.signIn("limin", s.running.Logins["limin"])
	b.part("stock")
	b.see("#stock-incidents", "日结差额")
	b.do(chromedp.Click(chromedp.CSS("#stock-incidents button")), chromedp.WaitVisible(chromedp.CSS("#incident-form")))
	b.fill("#incident-form", "outcome", "在车上找到")
	b.send("#incident-form")
	b.see("#done", "异常已办结")

	// Who makes cards looks at the stock and changes nothing.
	b.signOut()
	b.signIn("zhangying", s.running.Logins["zhangying"])
	b.part("stock")
	b.see("#stock-held", "在库")
	require.Zero(t, b.count("#part-stock [data-may]:not([hidden])"))
}

// batchesReady has the province ready for batches: a supplier with its key of
// delivery and its chips, and applications that wait for cards of a batch.
func (s *system) batchesReady() (plant string, as func(login string) []string) {
	s.t.Helper()
	dir := s.t.TempDir()
	plant = filepath.Join(dir, "plant")
	kek, err := keys.ReadKEK(filepath.Join(s.data, "keys", "kek"))
	require.NoError(s.t, err)
	keeper, err := keys.Open(filepath.Join(s.data, "keys", "keys.json"), kek)
	require.NoError(s.t, err)
	delivery := strings.Repeat("3C", 32)
	require.NoError(s.t, keeper.Import(keys.Spec{Name: "KTK_LAB", Usage: keys.CardDelivery, Algorithm: keys.AES256}, 1, strings.NewReader(delivery)))
	writeFile(s.t, filepath.Join(dir, "ktk.key"), delivery)
	as = func(login string) []string {
		file := filepath.Join(dir, login)
		writeFile(s.t, file, s.running.Logins[login])
		return []string{"--operator", login, "--workstation", "W-O630000-01", "--password-file", file}
	}
	s.ran("partnersim", "", "maker", "init", "--dir", plant, "--supplier", "lab-300")
	chips := filepath.Join(dir, "chips.jws")
	s.ran("partnersim", "", "maker", "chips", "--dir", plant, "--supplier", "lab-300", "--transport", s.running.Key, "--count", "20", "--out", chips)
	s.onecard("", append([]string{"batch", "supplier", "lab-300", "--institution", "M630000001", "--product", "SSC300", "--approval", "人社卡〔2026〕1号", "--quota", "100",
		"--from", "2020-01-01", "--to", "2099-12-31", "--delivery-key", "KTK_LAB", "--certificate", filepath.Join(plant, "maker.pem"), "--reason", "批复"}, as("guozhi")...)...)
	s.onecard("", append([]string{"batch", "chips", chips}, as("chenzhi")...)...)
	clerk, reviewer := s.desk("counter", "zhangying"), s.desk("counter", "limin")
	for _, name := range []string{"李秀兰", "马海龙", "卓玛措"} {
		id := clerk.must("/platform/v1/applications", object{"personId": clerk.person(name)["person"].(object)["id"], "kind": "first", "method": "batch"})["id"].(string)
		reviewer.must("/platform/v1/applications/"+id+"/events", object{"event": "approve"})
	}
	return plant, as
}

// TestBatchPage has cards made by a maker as the province's centre does: a batch
// whose accounts the bank opens, and a batch of test cards, of which the maker
// spoils some; two persons destroy them, and a supervisor closes the batch.
func TestBatchPage(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	plant, as := s.batchesReady()
	b := openBrowser(t, s.running.Pages["office"])
	b.signIn("chenzhi", s.running.Logins["chenzhi"])
	b.see("#batches", "没有批次")
	create := func(values ...string) {
		b.do(chromedp.Click(chromedp.CSS("#new-batch")), chromedp.WaitVisible(chromedp.CSS("#batch-form")))
		b.see("#batch-waiting", "3")
		b.fill("#batch-form", values...)
		b.shot("30-create")
		b.send("#batch-form")
	}
	create("bank", "95533")
	b.see("#batch-facts", "95533")
	require.Eventually(t, func() bool { // the bank answers by messages
		b.do(chromedp.Click(chromedp.CSS("#batches button")))
		text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("#batch-state"), chromedp.NodeVisible))
		return err == nil && containsText(text, "已开户，待制卡 3 人")
	}, 30*time.Second, 300*time.Millisecond)
	b.see("#batch-lacks", "待生成制卡文件")
	b.see("#batch-counts", "已开户 3")
	b.shot("31-batch")

	b.do(chromedp.Click(chromedp.CSS("#new-batch")), chromedp.WaitVisible(chromedp.CSS("#batch-form")))
	b.see("#batch-waiting", "0")
	b.fill("#batch-form", "kind", "test", "most", "6")
	b.send("#batch-form")
	b.see("#batch-state", "6 人")
	number, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("#batch-number"), chromedp.NodeVisible))
	require.NoError(t, err)
	sent := strings.Fields(s.onecard("", append([]string{"batch", "send", number}, as("guozhi")...)...))[0]
	pki := filepath.Join(s.data, "pki")
	back := strings.TrimSpace(s.ran("partnersim", "", "maker", "make", "--dir", plant, "--supplier", "lab-300", "--transport", s.running.Key, "--delivery", filepath.Join(filepath.Dir(plant), "ktk.key"),
		"--ca", filepath.Join(pki, "ca.pem"), "--province", filepath.Join(pki, "exchange.pem"), "--spoil-one", "3", "--seed", "1", sent))
	s.onecard("", append([]string{"batch", "take", back}, as("guozhi")...)...)

	b.do(chromedp.Click(chromedp.CSS("#batches button")))
	b.see("#batch-state", "已回盘，待质检")
	b.see("#batch-lacks", "废卡待销毁")
	b.see("#batch-rows", "制成，待质检")
	spoiled := b.count("#batch-rows input[name=scrap]")
	require.Positive(t, spoiled, "the maker spoils some")
	tick := func() {
		_, err := chromedp.Run(b.ctx, chromedp.Evaluate[int]("[...document.querySelectorAll('#batch-rows input[name=scrap]')].map((box) => box.click()).length"))
		require.NoError(t, err)
	}
	tick()
	b.fill("#scrap-form", "method", "punched", "reason", "卡商废卡")
	b.shot("32-scrap")
	b.send("#scrap-form")
	b.see("#done", fmt.Sprintf("%d 张已签，待第二人", spoiled))
	b.see("#batch-rows", "打孔：chenzhi 已签，待第二人")
	require.Zero(t, b.count("#batch-rows input[name=scrap]"), "nobody signs twice")

	b.signOut()
	s.onecard("", append([]string{"batch", "inspect", number, "--done"}, as("guozhi")...)...)
	b.signIn("guozhi", s.running.Logins["guozhi"])
	b.part("batches")
	b.do(chromedp.Click(chromedp.CSS("#batches button")))
	b.see("#batch-rows", "已签，待第二人")
	tick()
	b.send("#scrap-form")
	b.see("#done", fmt.Sprintf("%d 张已销毁", spoiled))
	b.see("#batch-rows", "打孔：chenzhi、guozhi")
	b.see("#batch-lacks", "待主管结批")
	_, err = chromedp.Run(b.ctx, chromedp.Evaluate[bool]("window.confirm = () => true; true"))
	require.NoError(t, err)
	b.do(chromedp.Click(chromedp.CSS("#batch-close")))
	b.see("#done", fmt.Sprintf("已结批：制成 %d，销毁 %d，退出 0", 6-spoiled, spoiled))
	b.see("#batch-state", "已结批")
	b.shot("33-closed")

	// A county's supervisor sees no batch of other places, and cannot make one.
	county := openBrowser(t, s.running.Pages["counter"])
	county.signIn("limin", s.running.Logins["limin"])
	county.part("batches")
	county.see("#batches", "没有批次")
	require.Zero(t, county.count("#new-batch:not([hidden])"))
}

// TestListPage takes the list of a school: more rows than one request decides,
// some of them wrong; the rows that were refused are fetched, corrected and brought
// again.
func TestListPage(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	number := func(n int) string {
		day, err := gb.ParseDate("2016-05-01")
		require.NoError(t, err)
		made, err := gb.NewIDNumber("630102", day, n)
		require.NoError(t, err)
		return made.String()
	}
	lines := [][]any{{"序号", "姓名", "社会保障号码", "民族", "班级"}}
	for n := 1; n <= 230; n++ {
		lines = append(lines, []any{n, "学生" + string(rune(0x4E00+n)), number(n), "汉族", "一班"})
	}
	lines[3][2] = "630102201605010000"
	lines[5][3] = "高山流水"
	folder := t.TempDir()
	write := func(name string, lines [][]any) string {
		book := excelize.NewFile()
		for n, line := range lines {
			require.NoError(t, book.SetSheetRow("Sheet1", fmt.Sprintf("A%d", n+1), &line))
		}
		require.NoError(t, book.SaveAs(filepath.Join(folder, name)))
		return filepath.Join(folder, name)
	}
	b := openBrowser(t, s.running.Pages["counter"])
	b.signIn("zhangying", s.running.Logins["zhangying"])
	b.part("lists")
	bring := func(file string) {
		b.fill("#list-form", "institution", "S630102001")
		b.do(chromedp.SetUploadFiles(chromedp.CSS("#list-form [name=content]"), []string{file}))
		b.send("#list-form")
	}
	b.see("#list-form", "城东区示例小学（学校）")
	bring(write("不是名册.xlsx", [][]any{{"姓名", "学号"}, {"卓玛", "1"}}))
	b.see("#problem", "缺少列：社会保障号码")
	b.shot("40-no-list")
	bring(write("名册.xlsx", lines))
	b.see("#done", "受理完毕：已申请 228，草稿 0，未受理 2")
	b.see("#list-rows", "第 4 行 未受理 社会保障号码：应为 18 位公民身份号码，校验位相符")
	b.do(chromedp.Click(chromedp.CSS("#list-only")))
	b.see("#list-rows", "第 6 行 未受理 民族")
	require.Eventually(t, func() bool { return b.count("#list-rows tr") == 2 }, 10*time.Second, 50*time.Millisecond)
	b.shot("41-list")

	refused := b.saved("#list-refused")
	book, err := excelize.OpenReader(strings.NewReader(refused))
	require.NoError(t, err)
	got, err := book.GetRows("Sheet1")
	require.NoError(t, err)
	require.Equal(t, []string{"序号", "姓名", "社会保障号码", "民族", "班级", "未受理原因"}, got[0])
	require.Len(t, got, 3)
	require.Equal(t, []string{"630102201605010000", "社会保障号码：应为 18 位公民身份号码，校验位相符"}, []string{got[1][2], got[1][5]})
	corrected := [][]any{}
	for _, line := range got {
		cells := make([]any, len(line))
		for i, cell := range line {
			cells[i] = cell
		}
		corrected = append(corrected, cells)
	}
	corrected[1][2], corrected[2][3] = number(3), "汉族"
	bring(write("更正.xlsx", corrected))
	b.see("#done", "受理完毕：已申请 2，草稿 0，未受理 0")
	require.Equal(t, 2, b.count("#lists li"))
	b.shot("42-corrected")

	// The first list is still there, and its rows without the file are not.
	b.do(chromedp.Click(chromedp.CSS("#lists li:last-child button")), chromedp.Click(chromedp.CSS("#list-refused")))
	b.see("#problem", "与受理的名册不是同一文件")
	b.signOut()
	b.signIn("limin", s.running.Logins["limin"])
	b.part("lists")
	require.Zero(t, b.count("#list-form:not([hidden])"), "a supervisor brings no lists")
	b.do(chromedp.Click(chromedp.CSS("#lists li:last-child button")))
	b.see("#list-verdict", "未受理 2")
}

// saved presses a button that saves a file, and returns what is saved.
func (b *browser) saved(button string) string {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`window.kept = ''; const real = URL.createObjectURL;
		URL.createObjectURL = (blob) => { const r = new FileReader(); r.onload = () => { window.kept = r.result; }; r.readAsDataURL(blob); return real(blob); }; true`))
	require.NoError(b.t, err)
	b.do(chromedp.Click(chromedp.CSS(button)))
	var kept string
	require.Eventually(b.t, func() bool {
		kept, err = chromedp.Run(b.ctx, chromedp.Evaluate[string]("window.kept"))
		return err == nil && kept != ""
	}, 20*time.Second, 100*time.Millisecond)
	_, content, _ := strings.Cut(kept, ",")
	text, err := base64.StdEncoding.DecodeString(content)
	require.NoError(b.t, err)
	return string(text)
}
