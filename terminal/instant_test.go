package terminal_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/card"
	"onecard/card/chip"
	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
	"onecard/terminal"
)

var update = flag.Bool("update", false, "write docs/proof-instant.md anew")

// instantPage is what TestInstantInterrupted writes.
const instantPage = "../docs/proof-instant.md"

// TestInstantInterrupted issues three cards at once (即时制卡). Each is interrupted
// at another place, and goes on at another counter: what has happened to the
// chip is kept apart from what has happened to the face. The page shows what
// each counter saw.
func TestInstantInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, func(c *issuance.Config) {
		text := strings.NewReplacer("handover: none", "handover: signature", "printedFirst: false", "printedFirst: true").Replace(string(issuance.DefaultPolicies()))
		var err error
		c.Policies, err = issuance.ParsePolicies([]byte(text))
		require.NoError(t, err)
	})
	colleague := w.colleague()
	p := &instant{world: w}
	p.one = &seat{w.at("W-O630102-01", "counter", clerk), "一 "}
	p.two = &seat{w.at("W-O630102-02", "counter", colleague), "二 "}
	p.review = &seat{&post{world: w, platform: w.signIn(p.one.platform.API, reviewer)}, "一 "}
	p.begin()
	p.inPersonalisation()
	p.beforePrinting()
	p.beforeActivation()
	require.NoError(t, w.db.VerifyAudit(t.Context()))
	if *update {
		require.NoError(t, os.WriteFile(instantPage, []byte(p.page.String()), 0o644))
	}
	written, err := os.ReadFile(instantPage)
	require.NoError(t, err)
	require.Equal(t, string(written), p.page.String(), "go test ./terminal -run TestInstantInterrupted -update writes it")
}

// colleague adds another clerk to the county's counters.
func (w *world) colleague() string {
	w.t.Helper()
	const login, password = "wanghong", "Wanghong-2026"
	w.change("admin", func(tx *registry.Tx) error {
		return tx.AddOperator(registry.Operator{Login: login, Name: "王红", Roles: []string{registry.RoleClerk, registry.RoleIssuer}, Institution: "O630102", Place: "630102"}, password)
	})
	w.passwords[login] = password
	return login
}

// instant is one application after the other, and the page about them.
type instant struct {
	*world
	one, two, review *seat
	page             strings.Builder
	line             int

	person, application uuid.UUID
	chip                *plastic
}

// seat is a counter of the page.
type seat struct {
	*post
	name string
}

func (p *instant) begin() {
	p.page.WriteString(`# 即时制卡中断的证明 Proof: an instant issue, interrupted

本页由测试写出（` + "`go test ./terminal -run TestInstantInterrupted -update`" + `），请勿手改。柜台一、柜台二是两台工作站、两名经办人，各有一台读卡器；柜台程序、TLS 连接、省平台、数据库都是真的，芯片是软件芯片。当地要求印好卡面、领卡人签字才能启用。同样的中断，用真正的程序和读卡服务（PC/SC）办：` + "`go test ./cmd -run TestInstantAtTwoCounters`" + `。

Written by the test; do not edit. Two workstations with an operator and a reader each; counter program, TLS, platform and database are the real ones, the chip is the software chip. The place asks for a printed face and a signature before a card is activated. The test named above does the same with the programs themselves and the PC/SC service.

**芯片和卡面各记各的**：芯片只写一次，写到哪里就从哪里接着写，换一张空白卡不行；卡面可以重打，重打不动芯片。
Chip and face are apart: a chip is written once, and goes on where it was, on that chip only; a face may be printed again, which leaves the chip alone.

列 columns：柜台 counter · 办理 done · 柜台看到的 what it sees · 申领（可办事项） the application and what may be done · 卡 the card on record · 读卡器 the chip in the reader · 卡面 the face
`)
}

// chapter begins with a new resident: entered and proven at counter one, reviewed
// by somebody else.
func (p *instant) chapter(title, name string, serial byte) {
	p.t.Helper()
	birth, err := gb.ParseDate("1990-03-07")
	require.NoError(p.t, err)
	number, err := gb.NewIDNumber("630102", birth, int(serial)+400)
	require.NoError(p.t, err)
	var resident struct{ ID uuid.UUID }
	p.must(p.one, http.MethodPost, "/v1/persons", map[string]any{"idNumber": number.String(), "name": name, "ethnic": "01", "place": "630102"}, &resident)
	p.person, p.line = resident.ID, 0
	fmt.Fprintf(&p.page, "\n## %s\n\n| | 柜台 | 办理 | 柜台看到的 | 申领（可办） | 卡 | 读卡器 | 卡面 |\n|---|---|---|---|---|---|---|---|\n", title)
	image, err := chip.Blank(profiles(p.t)[0], [4]byte{0, 0, 0xC0, serial}, makerKey)
	require.NoError(p.t, err)
	p.chip = carrying(p.t, image)

	var application struct{ ID uuid.UUID }
	p.must(p.one, http.MethodPost, fmt.Sprintf("/v1/persons/%s/attachments", p.person), map[string]any{"kind": "photo", "content": portraitOf(p.t, serial), "reason": "到场拍摄"}, nil)
	p.must(p.one, http.MethodPost, "/v1/applications", map[string]any{"personId": p.person, "kind": "first", "method": "instant"}, &application)
	p.application = application.ID
	path := "/v1/applications/" + p.application.String()
	var proof struct{ Digest string }
	p.must(p.one, http.MethodGet, path+"/proof", nil, &proof)
	p.must(p.one, http.MethodPost, path+"/proof", map[string]any{"digest": proof.Digest}, nil)
	p.must(p.review, http.MethodPost, path+"/events", map[string]any{"event": "approve"}, nil)
}

// call asks the platform as the counter's page does; a refusal is an error.
func (p *instant) call(at *seat, method, path string, body, into any) error {
	p.t.Helper()
	content := &bytes.Buffer{}
	if body != nil {
		require.NoError(p.t, json.NewEncoder(content).Encode(body))
	}
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.address+path, content)
	require.NoError(p.t, err)
	request.Header.Set("Authorization", "Bearer "+at.platform.Token)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", uuid.NewString())
	}
	answer, err := at.platform.API.ClientInterface.(*client.Client).Client.Do(request)
	require.NoError(p.t, err)
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	require.NoError(p.t, err)
	if answer.StatusCode >= http.StatusBadRequest {
		var problem client.Problem
		require.NoError(p.t, json.Unmarshal(said, &problem))
		return &problem
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(said, into)
}

func (p *instant) must(at *seat, method, path string, body, into any) {
	p.t.Helper()
	require.NoError(p.t, p.call(at, method, path, body, into))
}

// portraitOf is a picture of a card photograph's size; each is another one.
func portraitOf(t *testing.T, shade byte) []byte {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, 358, 441))
	draw.Draw(picture, picture.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(picture, image.Rect(90, 110, 270, 330), image.NewUniform(color.Gray{Y: 100 + shade}), image.Point{}, draw.Src)
	return encoded(t, picture)
}

// written is what somebody wrote in the pad at a counter.
func written(t *testing.T) []byte {
	t.Helper()
	pad := image.NewGray(image.Rect(0, 0, 480, 160))
	draw.Draw(pad, pad.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(pad, image.Rect(60, 70, 320, 76), image.NewUniform(color.Black), image.Point{}, draw.Src)
	return encoded(t, pad)
}

func encoded(t *testing.T, picture image.Image) []byte {
	t.Helper()
	var file bytes.Buffer
	require.NoError(t, png.Encode(&file, picture))
	return file.Bytes()
}

// standing is the resident's file as a counter's page shows it.
type standing struct {
	Applications []client.Application
	Cards        []client.Card
}

func (p *instant) standing(at *seat) (found standing) {
	p.t.Helper()
	p.must(at, http.MethodGet, "/v1/persons/"+p.person.String(), nil, &found)
	require.Len(p.t, found.Applications, 1)
	return found
}

// card is the card of record, of which there is one.
func (p *instant) card(at *seat) uuid.UUID {
	p.t.Helper()
	found := p.standing(at)
	require.Len(p.t, found.Cards, 1)
	return found.Cards[0].Id
}

// readerTexts are those of the counter's page.
var readerTexts = map[string]string{
	terminal.CardNone: "无卡", terminal.CardBlank: "空白卡", terminal.CardPersonalised: "社会保障卡", terminal.CardUnfinished: "制卡未完成的卡",
}

// notes writes a line of the page: what was done at a counter, what the person
// there was told, and how everything stands as that counter sees it.
func (p *instant) notes(at *seat, done, told string) {
	p.t.Helper()
	found := p.standing(at)
	a := found.Applications[0]
	application := a.StateText.Zh
	var may []string
	for _, event := range a.Events {
		may = append(may, event.Text.Zh)
	}
	if len(may) > 0 {
		application += "（" + strings.Join(may, "、") + "）"
	}
	record, face := "–", "–"
	if len(found.Cards) > 0 {
		var prints client.CardPrints
		p.must(at, http.MethodGet, fmt.Sprintf("/v1/cards/%s/prints", found.Cards[0].Id), nil, &prints)
		record, face = found.Cards[0].StatusText.Zh, "未打印"
		for i, attempt := range prints.Attempts {
			words := map[client.CardPrintOutcome]string{client.CardPrintOutcomePrinted: "完好", client.CardPrintOutcomeFailed: "失败"}[attempt.Outcome]
			if i == 0 {
				face = ""
			}
			face = strings.TrimPrefix(fmt.Sprintf("%s，第 %d 次%s", face, attempt.Attempt, words), "，")
		}
	}
	p.line++
	fmt.Fprintf(&p.page, "| %d | %s%s | %s | %s | %s | %s | %s | %s |\n", p.line, at.name, at.operator(), done, told, application, record, readerTexts[at.station.State().Card.Kind], face)
}

func (d *seat) operator() string {
	return map[string]string{"一 ": "张英", "二 ": "王红"}[d.name]
}

// words are what the person at the counter is told.
func words(err error) string {
	told := terminal.Explain(err)
	return "✘ " + told.ZH + "。" + told.RemedyZH + " *" + told.EN + "*"
}

// refused does something that must be refused with a code.
func (p *instant) refused(at *seat, done, code string, err error) {
	p.t.Helper()
	require.Error(p.t, err, done)
	require.Equal(p.t, code, terminal.Explain(err).Code, done)
	p.notes(at, done, words(err))
}

func (p *instant) inserts(at *seat, card *plastic, done, kind string) {
	p.t.Helper()
	at.bench.insert(card)
	at.shows(kind)
	if done != "" {
		p.notes(at, done, "")
	}
}

// leaves takes the card out of a reader: the counter has gone home.
func (p *instant) leaves(at *seat) {
	p.t.Helper()
	at.bench.remove()
	at.shows(terminal.CardNone)
}

func (p *instant) personalise(at *seat) (terminal.Reading, error) {
	p.t.Helper()
	return at.station.Perform(p.t.Context(), at.platform, terminal.Job{Operation: "personalise", ApplicationID: &p.application})
}

func (p *instant) activate(at *seat, cut *tear) (terminal.Reading, error) {
	p.t.Helper()
	ctx, id := p.t.Context(), p.card(at)
	if cut != nil {
		ctx = torn(ctx, *cut)
	}
	return at.station.Perform(ctx, at.platform, terminal.Job{Operation: "activate", CardID: &id, PIN: pin})
}

// makes finishes the chip, which must come out genuine and sealed.
func (p *instant) makes(at *seat, done string) {
	p.t.Helper()
	made, err := p.personalise(at)
	require.NoError(p.t, err)
	require.True(p.t, made.Result.Genuine)
	at.shows(terminal.CardPersonalised)
	p.notes(at, done, "✔ 芯片为真　"+made.Result.StatusText.Zh+"　卡号 "+*made.Result.CardNumber)
}

// prints shows the face and records how it came out; the chip stays as it is.
func (p *instant) prints(at *seat, done string, told map[string]any) {
	p.t.Helper()
	before := p.chip.image()
	path := fmt.Sprintf("/v1/cards/%s", p.card(at))
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.address+path+"/face", nil)
	require.NoError(p.t, err)
	request.Header.Set("Authorization", "Bearer "+at.platform.Token)
	face, err := at.platform.API.ClientInterface.(*client.Client).Client.Do(request)
	require.NoError(p.t, err)
	require.NoError(p.t, face.Body.Close())
	require.Equal(p.t, "application/pdf", face.Header.Get("Content-Type"))
	p.must(at, http.MethodPost, path+"/prints", told, nil)
	require.Equal(p.t, before, p.chip.image(), "printing leaves the chip alone")
	p.notes(at, done, "")
}

func (p *instant) signs(at *seat, done string) {
	p.t.Helper()
	p.must(at, http.MethodPost, fmt.Sprintf("/v1/cards/%s/handover", p.card(at)), map[string]any{"taker": "holder", "signature": written(p.t)}, nil)
	p.notes(at, done, "✔ 已登记本人领取，已签字")
}

// hands activates the card, which is then in use.
func (p *instant) hands(at *seat, done string) {
	p.t.Helper()
	reading, err := p.activate(at, nil)
	require.NoError(p.t, err)
	require.Equal(p.t, issuance.StatusNormal, *reading.Result.Status)
	at.shows(terminal.CardPersonalised)
	p.notes(at, done, "✔ 已启用　"+reading.Result.StatusText.Zh)
}

// ends is what the records say when all is done: one chip was written, once.
func (p *instant) ends(at *seat, prints int) {
	p.t.Helper()
	read, err := at.station.Perform(p.t.Context(), at.platform, terminal.Job{Operation: "read"})
	require.NoError(p.t, err)
	require.True(p.t, read.Result.Genuine)
	require.NoError(p.t, at.station.ChangePIN(p.t.Context(), pin, "271828"), "the holder's number is the one that was chosen")
	counts := map[string]int64{}
	for table, condition := range map[string]string{
		"personalisations": "application_id = @application", "cards": "person_id = @person", "card_prints": "card_id IN (SELECT id FROM cards WHERE person_id = @person)",
		"handovers": "card_id IN (SELECT id FROM cards WHERE person_id = @person)",
	} {
		var n int64
		require.NoError(p.t, p.db.Read(p.t.Context()).Table(table).Where(condition, map[string]any{"application": p.application, "person": p.person}).Count(&n).Error)
		counts[table] = n
	}
	require.Equal(p.t, map[string]int64{"personalisations": 1, "cards": 1, "card_prints": int64(prints), "handovers": 1}, counts)
	fmt.Fprintf(&p.page, "\n结果 the end：写过的芯片 chips written %d，卡 cards %d，打印记录 prints %d，领卡登记 signatures %d；芯片为真，密码是持卡人设的 genuine, with the holder's PIN。\n",
		counts["personalisations"], counts["cards"], counts["card_prints"], counts["handovers"])
	p.leaves(at)
}

func (p *instant) inPersonalisation() {
	p.chapter("一、制卡途中 in the middle of personalisation", "王秀珍", 1)
	const cut = 48
	p.inserts(p.one, p.chip, "放入空白卡", terminal.CardBlank)
	_, err := p.one.performTorn(issuance.Application{ID: p.application}, tear{cut, false})
	p.one.shows(terminal.CardNone)
	p.refused(p.one, fmt.Sprintf("制卡，第 %d 条指令后卡被拔出", cut), "card-removed", err)

	p.inserts(p.two, blankNumbered(p.t, 0x91), "放入另一张空白卡", terminal.CardBlank)
	_, err = p.personalise(p.two)
	p.refused(p.two, "接续制卡", "other-chip", err)
	p.leaves(p.two)
	p.inserts(p.two, p.chip, "放入原来那张", terminal.CardUnfinished)
	_, err = p.two.performTorn(issuance.Application{ID: p.application}, tear{12, true})
	p.two.shows(terminal.CardNone)
	p.refused(p.two, "接续制卡，又一次拔出", "card-removed", err)
	p.inserts(p.two, p.chip, "", terminal.CardUnfinished)
	p.makes(p.two, "再放入，接续制卡")
	p.prints(p.two, "打印卡面", map[string]any{"printer": "P2", "outcome": "printed"})
	p.signs(p.two, "领卡登记、签字")
	p.hands(p.two, "启用，持卡人设密码")
	p.ends(p.two, 1)
}

func (p *instant) beforePrinting() {
	p.chapter("二、芯片已写好，尚未打印 the chip is done, the face is not", "马文明", 2)
	p.inserts(p.one, p.chip, "放入空白卡", terminal.CardBlank)
	// The platform has the last answer of the chip, the counter not the
	// platform's.
	p.gate.set(lineDeaf, "/v1/chip-sessions", card.PersonaliseScripts-1) // one request for each script
	_, err := p.personalise(p.one)
	p.gate.mend()
	p.one.shows(terminal.CardPersonalised)
	p.refused(p.one, "制卡，最后一次应答时断网", "platform-away", err)
	p.leaves(p.one)

	p.inserts(p.two, p.chip, "放入这张卡", terminal.CardPersonalised)
	_, err = p.personalise(p.two)
	p.refused(p.two, "再制一次（不许）", "not-allowed", err)
	p.leaves(p.two)
	p.inserts(p.two, blankNumbered(p.t, 0x92), "", terminal.CardBlank)
	_, err = p.personalise(p.two)
	p.refused(p.two, "用另一张空白卡重制（不许）", "not-allowed", err)
	p.leaves(p.two)
	p.inserts(p.two, p.chip, "", terminal.CardPersonalised)
	_, err = p.activate(p.two, nil)
	p.refused(p.two, "未打印就启用（不许）", "not-printed", err)
	p.prints(p.two, "打印卡面，卡纸", map[string]any{"printer": "P2", "outcome": "failed", "cause": "卡纸"})
	_, err = p.activate(p.two, nil)
	p.refused(p.two, "启用（不许）", "not-printed", err)
	p.prints(p.two, "再打印，不动芯片", map[string]any{"printer": "P2", "outcome": "printed"})
	_, err = p.activate(p.two, nil)
	p.refused(p.two, "启用，尚未签字（不许）", "no-taker", err)
	p.signs(p.two, "领卡登记、签字")
	p.hands(p.two, "启用，持卡人设密码")
	p.ends(p.two, 2)
}

func (p *instant) beforeActivation() {
	p.chapter("三、已打印，启用途中 printed, in the middle of activation", "索南卓玛", 3)
	p.inserts(p.one, p.chip, "放入空白卡", terminal.CardBlank)
	p.makes(p.one, "制卡")
	p.prints(p.one, "打印卡面", map[string]any{"printer": "P1", "outcome": "printed"})
	p.signs(p.one, "领卡登记、签字")
	_, err := p.activate(p.one, &tear{12, false})
	p.one.shows(terminal.CardNone)
	p.refused(p.one, "启用，第 12 条指令后卡被拔出", "card-removed", err)

	p.inserts(p.two, p.chip, "放入这张卡", terminal.CardPersonalised)
	_, err = p.personalise(p.two)
	p.refused(p.two, "再制一次（不许）", "not-allowed", err)
	p.prints(p.two, "卡面有划痕，重打，不动芯片", map[string]any{"printer": "P2", "outcome": "printed", "reason": "卡面划痕"})
	p.gate.set(lineDeaf, "/steps/", 0)
	_, err = p.activate(p.two, nil)
	p.gate.mend()
	p.refused(p.two, "启用，应答时断网", "platform-away", err)
	p.hands(p.two, "再启用，当日已签字，不再签")
	p.ends(p.two, 2)
}

// blankNumbered is a blank with a serial of its own.
func blankNumbered(t *testing.T, serial byte) *plastic {
	t.Helper()
	image, err := chip.Blank(profiles(t)[0], [4]byte{0, 0, 0xC0, serial}, makerKey)
	require.NoError(t, err)
	return carrying(t, image)
}
