package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"onecard/api/client"
)

// holderPIN is the number that the sample holder chooses at the counter.
const holderPIN = "270419"

// journey walks one card from the application to the loss report, through the
// same programs and interfaces that people use, and prints each step.
type journey struct {
	out               io.Writer
	county            *deskClient // the county counter, reader 0
	pharmacy          *deskClient // terminals, reader 1
	hospital          *deskClient
	cards             cardMover
	blank             string // file of the maker's blank chip
	logins            map[string]string
	bank              bool // one serves the province
	application, card uuid.UUID
	cardNumber        string
}

// cardMover puts a virtual card into a reader and takes it out. With a real
// reader it asks the person at the desk.
type cardMover interface {
	Insert(ctx context.Context, slot int, file string) error
	Remove(ctx context.Context, slot int) error
}

type journeyStep struct {
	zh, en string
	do     func(context.Context) error
}

func (j *journey) steps() []journeyStep {
	steps := []journeyStep{
		{"申领：经办人为居民录入申请", "application by a clerk", j.apply},
		{"复核：第二人复核通过，产生卡号", "review by a second person; the card number", j.review},
		{"制卡：空白芯片放入县柜台读卡器，由省平台驱动写卡", "personalisation of a blank chip by the province", j.personalise},
		{"启用：持卡人设定社保密码，卡状态由封存转为正常", "activation with the holder's own PIN", j.activate},
		{"读卡：逐项读出，并验证芯片真伪", "reading field by field and proof that the chip is genuine", j.read},
		{"密码：错误的密码被芯片拒绝", "a wrong PIN is refused by the chip", j.wrongPIN},
		{"药店：个人账户支付购药", "a pharmacy purchase from the personal account", j.buy},
		{"医院：门诊费用由医保后台即时结算", "an outpatient visit settled by the insurance back end", j.visit},
	}
	if j.bank {
		steps = append(steps, journeyStep{"银行：账户已开立，随卡启用一并激活", "the bank has opened the account and activated it with the card", j.account})
	}
	return append(steps,
		journeyStep{"挂失：持卡人报失", "a loss report", j.reportLoss},
		journeyStep{"药店：同一张卡数秒后被拒绝", "the same card refused at the pharmacy", j.refused})
}

func (j *journey) run(ctx context.Context) error {
	start := time.Now()
	steps := j.steps()
	for i, step := range steps {
		j.printf("\n[%2d/%d] %s\n        %s\n", i+1, len(steps), step.zh, step.en)
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.en, err)
		}
		j.printf("        ✔ %.2f s\n", time.Since(began).Seconds())
	}
	j.printf("\n全程 %.1f 秒 the whole journey.\n", time.Since(start).Seconds())
	return nil
}

func (j *journey) printf(format string, args ...any) { fmt.Fprintf(j.out, format, args...) }

func (j *journey) line(name, value string) {
	j.printf("          %s %s\n", padRight(name, 26), value)
}

// as signs an operator in at a counter.
func (j *journey) as(ctx context.Context, desk *deskClient, login string) error {
	return desk.signIn(ctx, login, j.logins[login])
}

// The sample operators of the journey.
const (
	sampleClerk           = "zhangying"
	sampleReviewer        = "limin" // a supervisor, too
	samplePharmacyCashier = "zhaolei"
	sampleHospitalCashier = "sunli"
)

// applicants are residents of the sample province with a personal medical
// account; the first who may apply gets the card.
var applicants = []string{"扎西·多杰", "卓玛措", "马海龙", "韩乙四夫", "巴图孟克", "乌兰其其格", "李秀兰"}

func (j *journey) apply(ctx context.Context) error {
	if err := j.as(ctx, j.county, sampleClerk); err != nil {
		return err
	}
	person, err := j.applicant(ctx)
	if err != nil {
		return err
	}
	j.line("持卡人 holder", person.Name+"　"+person.IdNumberMasked)
	var application client.Application
	body := client.NewApplication{PersonId: person.Id, Kind: client.First}
	if err := j.county.call(ctx, http.MethodPost, "/platform/v1/applications", body, &application); err != nil {
		return err
	}
	j.application = application.Id
	j.line("状态 state", application.StateText.Zh)
	return nil
}

// applicant finds a sample resident who may apply. In a directory of many
// journeys all have a card that was reported lost: one of them is cancelled.
func (j *journey) applicant(ctx context.Context) (client.Person, error) {
	var lost client.PersonFile
	for _, name := range applicants {
		var found client.PersonList
		if err := j.county.call(ctx, http.MethodGet, "/platform/v1/persons?name="+url.QueryEscape(name), nil, &found); err != nil {
			return client.Person{}, err
		}
		for _, person := range found.Persons {
			var file client.PersonFile
			if err := j.county.call(ctx, http.MethodGet, "/platform/v1/persons/"+person.Id.String(), nil, &file); err != nil {
				return client.Person{}, err
			}
			if slices.Contains(file.MayApply, string(client.First)) {
				return person, nil
			}
			if len(file.Cards) > 0 && file.Cards[0].Status == "2" {
				lost = file
			}
		}
	}
	if len(lost.Cards) == 0 {
		return client.Person{}, errors.New("no sample resident may apply")
	}
	return lost.Person, j.cancel(ctx, lost.Cards[0])
}

// cancel cancels a lost card, which only a supervisor may.
func (j *journey) cancel(ctx context.Context, lost client.Card) error {
	if err := j.as(ctx, j.county, sampleReviewer); err != nil {
		return err
	}
	event := client.Event{Event: "cancel", Reason: new("遗失后重新申领")}
	if err := j.county.call(ctx, http.MethodPost, "/platform/v1/cards/"+lost.Id.String()+"/events", event, nil); err != nil {
		return err
	}
	j.line("原卡 lost card", lost.Number+" 已注销 cancelled")
	return j.as(ctx, j.county, sampleClerk)
}

func (j *journey) review(ctx context.Context) error {
	// The clerk who entered the application may not review it.
	event := client.Event{Event: "approve"}
	path := "/platform/v1/applications/" + j.application.String() + "/events"
	var problem *client.Problem
	if err := j.county.call(ctx, http.MethodPost, path, event, nil); !errors.As(err, &problem) {
		return fmt.Errorf("the clerk could review the own application: %w", err)
	}
	j.line("录入人复核 by the clerk", "被拒绝 refused："+problem.Title)
	if err := j.as(ctx, j.county, sampleReviewer); err != nil {
		return err
	}
	var application client.Application
	if err := j.county.call(ctx, http.MethodPost, path, event, &application); err != nil {
		return err
	}
	if application.CardNumber == nil {
		return errors.New("the review gave no card number")
	}
	j.cardNumber = *application.CardNumber
	j.line("状态 state", application.StateText.Zh)
	j.line("卡号 card number", j.cardNumber)
	return nil
}

type chipJob struct {
	Operation     string     `json:"operation"`
	ApplicationID *uuid.UUID `json:"applicationId,omitempty"`
	CardID        *uuid.UUID `json:"cardId,omitempty"`
	PIN           string     `json:"pin,omitempty"`
}

func (j *journey) chip(ctx context.Context, desk *deskClient, job chipJob) (client.ChipResult, error) {
	var result client.ChipResult
	err := desk.call(ctx, http.MethodPost, "/api/chip", job, &result)
	return result, err
}

func (j *journey) personalise(ctx context.Context) error {
	if err := j.as(ctx, j.county, sampleClerk); err != nil {
		return err
	}
	if err := j.cards.Insert(ctx, 0, j.blank); err != nil {
		return err
	}
	if err := j.county.waitFor(ctx, func(s deskState) bool { return s.Card.Kind == "blank" }); err != nil {
		return fmt.Errorf("the counter did not see the blank chip: %w", err)
	}
	result, err := j.chip(ctx, j.county, chipJob{Operation: "personalise", ApplicationID: &j.application})
	if err != nil {
		return err
	}
	if result.CardId == nil {
		return errors.New("the personalisation gave no card")
	}
	j.card = *result.CardId
	if result.ChipId != nil {
		j.line("卡识别码 chip", *result.ChipId)
	}
	j.line("写后读回 read back", "与意图一致 as intended")
	return nil
}

func (j *journey) activate(ctx context.Context) error {
	result, err := j.chip(ctx, j.county, chipJob{Operation: "activate", CardID: &j.card, PIN: holderPIN})
	if err != nil {
		return err
	}
	if result.StatusText != nil {
		j.line("卡状态 status", result.StatusText.Zh)
	}
	return nil
}

func (j *journey) read(ctx context.Context) error {
	result, err := j.chip(ctx, j.county, chipJob{Operation: "read"})
	if err != nil {
		return err
	}
	for _, field := range result.Fields {
		value := cmp.Or(field.Value, "（空）")
		if field.Meaning != nil {
			value += "　" + *field.Meaning
		}
		j.line(field.File+" "+field.Tag+" "+field.Zh, value)
	}
	if !result.Genuine {
		return errors.New("the chip is not genuine")
	}
	j.line("内部认证 genuine", "芯片为真 the chip is genuine")
	return nil
}

// carry takes the card from the county counter to the terminals' reader.
func (j *journey) carry(ctx context.Context, from, to int, desks ...*deskClient) error {
	if err := j.cards.Remove(ctx, from); err != nil {
		return err
	}
	if err := j.cards.Insert(ctx, to, j.blank); err != nil {
		return err
	}
	for _, desk := range desks {
		if err := desk.waitFor(ctx, func(s deskState) bool { return s.Card.Kind == "personalised" }); err != nil {
			return fmt.Errorf("the terminal did not see the card: %w", err)
		}
	}
	return nil
}

type item struct {
	Code     string `json:"code"`
	Name     string `json:"name"`
	Category string `json:"category"`
	Fen      int64  `json:"fen"`
}

type visit struct {
	Business string `json:"business"`
	Items    []item `json:"items"`
	PIN      string `json:"pin"`
}

var medicine = visit{Business: "pharmacy.purchase", PIN: holderPIN, Items: []item{
	{"YP0001", "红景天口服液", "B", 4580},
	{"YP0002", "阿司匹林肠溶片", "A", 1260},
}}

var consultation = visit{Business: "outpatient.settle", PIN: holderPIN, Items: []item{
	{"ZL0001", "门诊诊查费", "A", 1500},
	{"JC0103", "血常规", "A", 2500},
	{"JC0210", "腹部彩超", "B", 16000},
	{"YP0311", "藏成药 六味能消胶囊", "B", 38650},
	{"CL0009", "自费敷料", "own", 2300},
}}

func (j *journey) wrongPIN(ctx context.Context) error {
	if err := j.carry(ctx, 0, 1, j.pharmacy, j.hospital); err != nil {
		return err
	}
	if err := j.as(ctx, j.pharmacy, samplePharmacyCashier); err != nil {
		return err
	}
	wrong := medicine
	wrong.PIN = "000000"
	var problem *client.Problem
	if err := j.pharmacy.call(ctx, http.MethodPost, "/api/visits", wrong, nil); !errors.As(err, &problem) {
		return fmt.Errorf("a wrong PIN was accepted: %w", err)
	}
	j.line("药店终端 pharmacy", problem.Title)
	return nil
}

func (j *journey) buy(ctx context.Context) error {
	return j.settle(ctx, j.pharmacy, medicine)
}

func (j *journey) visit(ctx context.Context) error {
	if err := j.as(ctx, j.hospital, sampleHospitalCashier); err != nil {
		return err
	}
	return j.settle(ctx, j.hospital, consultation)
}

func (j *journey) settle(ctx context.Context, desk *deskClient, what visit) error {
	var done client.Transaction
	if err := desk.call(ctx, http.MethodPost, "/api/visits", what, &done); err != nil {
		return err
	}
	for _, line := range done.Lines {
		j.printf("          %s  %s\n", padLeft(yuan(line.Fen), 10), line.Text.Zh)
	}
	j.line("结果 outcome", done.StateText.Zh)
	if done.State != "confirmed" {
		return fmt.Errorf("the transaction ended as %s", done.State)
	}
	return nil
}

// accountLimit is how long a bank may take for an account in a trial.
const accountLimit = 30 * time.Second

// account waits until the bank has done its half of the card's activation.
func (j *journey) account(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, accountLimit)
	defer cancel()
	for {
		var both client.CardActivation
		if err := j.county.call(ctx, http.MethodGet, "/platform/v1/cards/"+j.card.String()+"/activation", nil, &both); err != nil {
			return err
		}
		if both.Financial.State == client.FinancialActivationStateDone {
			j.line("社保功能 social", both.Social.Text.Zh)
			j.line("金融账户 bank account", both.Financial.Text.Zh+"　"+cmp.Or(*both.Financial.BankName, *both.Financial.Bank))
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the account is not active: %s: %w", both.Financial.Text.En, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func yuan(fen int64) string { return fmt.Sprintf("%d.%02d 元", fen/100, fen%100) }

func (j *journey) reportLoss(ctx context.Context) error {
	var card client.Card
	event := client.Event{Event: "reportLoss", Reason: new("持卡人到窗口报失")}
	if err := j.county.call(ctx, http.MethodPost, "/platform/v1/cards/"+j.card.String()+"/events", event, &card); err != nil {
		return err
	}
	j.line("卡状态 status", card.StatusText.Zh)
	return nil
}

func (j *journey) refused(ctx context.Context) error {
	var problem *client.Problem
	if err := j.pharmacy.call(ctx, http.MethodPost, "/api/visits", medicine, nil); !errors.As(err, &problem) {
		return fmt.Errorf("a lost card was accepted: %w", err)
	}
	j.line("药店终端 pharmacy", problem.Title)
	return nil
}
