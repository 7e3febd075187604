package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"onecard/api/client"
	"onecard/terminal"
)

// chipMovement debits or credits the account on the card (个人账户消费、圈存).
type chipMovement struct {
	Amount   yuan   `required:"" help:"What the account pays or receives, in yuan, such as 45.80. 账户支付额（元）。"`
	Total    yuan   `help:"The whole of the bill; the amount unless given. 总额（元）。"`
	Terminal string `required:"" help:"The terminal's twelve digits. 终端机编号。"`
	Serial   uint32 `required:"" help:"The terminal's serial number of this movement: the same again is the same movement. 终端交易序号。"`
	JSON     bool   `help:"Print JSON. 以 JSON 输出。"`

	operation client.NewChipSessionOperation
}

// yuan is an amount of money in fen, written in yuan.
type yuan int64

var yuanForm = regexp.MustCompile(`^([0-9]{1,6})(?:\.([0-9]{1,2}))?$`)

var errYuan = errors.New("金额应以元为单位，如 45.80 an amount in yuan, such as 45.80")

// UnmarshalText implements encoding.TextUnmarshaler.
func (y *yuan) UnmarshalText(text []byte) error {
	parts := yuanForm.FindSubmatch(text)
	if parts == nil {
		return fmt.Errorf("%q：%w", text, errYuan)
	}
	fen, err := strconv.ParseInt(string(parts[1])+(string(parts[2]) + "00")[:2], 10, 64)
	*y = yuan(fen)
	return err
}

func (y yuan) String() string { return fmt.Sprintf("%d.%02d", y/100, y%100) }

// Run carries the movement out. The holder's number is asked for: the chip
// checks it.
func (m *chipMovement) Run(ctx context.Context, c *chipCommand, in io.Reader, out io.Writer) error {
	if m.Total == 0 {
		m.Total = m.Amount
	}
	result, err := c.onCard(ctx, in, func(_ context.Context, p post) (job terminal.Job, err error) {
		job = terminal.Job{Operation: string(m.operation), Movement: &client.Movement{
			AmountFen: int64(m.Amount), TotalFen: int64(m.Total), Terminal: m.Terminal, TerminalSerial: int64(m.Serial),
		}}
		job.PIN, err = p.secrets.ask(holdersPIN)
		return job, err
	})
	switch {
	case err != nil:
		return err
	case m.JSON:
		return printJSON(out, result.Account)
	case result.Account == nil:
		return errNoMovement
	}
	return m.print(out, *result.Account)
}

var errNoMovement = errors.New("省平台没有返回账户交易结果 the platform told no result of the movement")

// print prints what a movement has come to, and what to do next where it is not
// the one that was asked for, or did not happen.
func (m *chipMovement) print(out io.Writer, moved client.Moved) error {
	var text strings.Builder
	asked := moved.Terminal == m.Terminal && moved.TerminalSerial == int64(m.Serial)
	switch {
	case moved.Done && asked:
		text.WriteString("✔ 已完成 done\n")
	case moved.Done:
		text.WriteString("！上一笔中断的交易已查明：卡内已完成。本次未办理，请重做 an interrupted movement was found carried out; this one was not begun: ask again\n")
	default:
		text.WriteString("！中断的交易已查明：卡内未发生。请重做 an interrupted movement was found not carried out: ask again\n")
	}
	fmt.Fprintf(&text, "  终端 terminal %s，终端交易序号 serial %d，医疗交易序号 of the chip %d\n", moved.Terminal, moved.TerminalSerial, moved.Serial)
	fmt.Fprintf(&text, "  账户支付 amount %s，总额 total %s，余额 balance %s → %s\n", yuan(moved.AmountFen), yuan(moved.TotalFen), yuan(moved.BeforeFen), yuan(moved.AfterFen))
	if moved.Tac != nil {
		fmt.Fprintf(&text, "  交易验证码 TAC %s\n", *moved.Tac)
	}
	_, err := io.WriteString(out, text.String())
	return err
}
