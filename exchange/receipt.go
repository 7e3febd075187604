package exchange

import (
	"onecard/internal/gb"
	"strconv"
	"strings"
	"time"
)

// Receipt is what a terminal prints for the patient (交易凭条): rows from top to
// bottom, and the explanation of every part of the bill.
type Receipt struct {
	Title Text
	Rows  []ReceiptRow
	Items []ReceiptRow // the bill: name and amount
	Lines []ReceiptRow // who pays what, and why; adds up to the bill
	Note  Text
}

// ReceiptRow is a label and what stands beside it; amounts in yuan.
type ReceiptRow struct {
	Label Text
	Value string
}

// Receipt returns the transaction's receipt. It holds no name and only the end
// of the card number.
func (s *Service) Receipt(t Transaction) Receipt {
	business, _ := s.config.Routes.business(t.Business)
	r := Receipt{
		Title: Text{"社会保障卡交易凭条", "Social security card: transaction receipt"},
		Note:  Text{"请妥善保管，如有疑问请向本机构或参保地经办机构查询", "Please keep this; questions are answered here or by the agency of the insured place"},
	}
	row := func(zh, en, value string) {
		if value != "" {
			r.Rows = append(r.Rows, ReceiptRow{Text{zh, en}, value})
		}
	}
	row("机构", "institution", t.Site.Name)
	row("终端", "terminal", t.Terminal)
	row("业务", "business", business.Text.ZH)
	row("业务日期", "business date", t.Date.String())
	if t.SerialNumber > 0 {
		row("终端序号", "serial number", strconv.FormatInt(t.SerialNumber, 10))
	}
	row("交易时间", "time", t.CreatedAt.In(gb.Beijing).Format(time.DateTime))
	row("交易标识", "transaction", t.ID.String())
	row("卡号", "card", masked(t.CardNumber))
	row("险种", "insurance", kindNames[t.Insurance.Kind])
	row("状态", "state", t.State.Text().ZH)
	if t.Reason != nil {
		row("原因", "reason", t.Reason.Text.ZH)
	}
	if t.State != StateBlocked {
		row("总金额（元）", "total (yuan)", t.Total.String())
	}
	if t.State == StateConfirmed {
		row("统筹基金支付（元）", "paid by the fund (yuan)", t.Fund.String())
		row("个人账户支付（元）", "paid from the personal account (yuan)", t.Account.String())
		row("现金支付（元）", "paid in cash (yuan)", t.Cash.String())
		row("个人账户余额（元）", "balance of the account (yuan)", t.Balance.String())
		for _, line := range t.Lines {
			r.Lines = append(r.Lines, ReceiptRow{line.Text, line.Fen.String()})
		}
	}
	for _, item := range t.Items {
		name := item.Name + "（" + categoryNames[item.Category] + "）"
		r.Items = append(r.Items, ReceiptRow{Text{name, name}, item.Fen.String()})
	}
	return r
}

var kindNames = map[string]string{KindEmployee: "职工基本医疗保险", KindResident: "城乡居民基本医疗保险"}

var categoryNames = map[Category]string{CategoryA: "甲类", CategoryB: "乙类", CategoryOwn: "自费"}

// masked leaves the last four characters of a card number.
func masked(number string) string {
	if n := len(number) - 4; n > 0 {
		return strings.Repeat("*", n) + number[n:]
	}
	return strings.Repeat("*", len(number))
}

// Print writes the receipt in Chinese, line by line, for a printer.
func (r Receipt) Print() []string {
	out := []string{r.Title.ZH}
	section := func(title string, rows []ReceiptRow) {
		if len(rows) == 0 {
			return
		}
		if title != "" {
			out = append(out, title)
		}
		for _, row := range rows {
			out = append(out, row.Label.ZH+"："+row.Value)
		}
	}
	section("", r.Rows)
	section("费用明细（元）", r.Items)
	section("支付说明（元）", r.Lines)
	return append(out, r.Note.ZH)
}
