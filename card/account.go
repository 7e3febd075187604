package card

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"onecard/apdu"
	"onecard/card/profile"
)

// AccountScripts is the number of scripts of a debit or a credit, opening
// included.
const AccountScripts = 3

// Movement is what is to happen to the medical account on a chip (个人账户消费、圈存).
type Movement struct {
	Credit bool `json:"credit,omitempty"`
	// Amount is what the account pays or receives, Total the whole of the bill.
	Amount         Fen       `json:"amount"`
	Total          Fen       `json:"total"`
	Terminal       string    `json:"terminal"`       // 终端机编号, twelve digits
	TerminalSerial uint32    `json:"terminalSerial"` // 终端交易序号
	At             time.Time `json:"at"`
}

// Moved is what a movement has come to.
type Moved struct {
	Serial  uint16 `json:"serial"` // 医疗交易序号, the chip's
	Before  Fen    `json:"before"`
	After   Fen    `json:"after"`
	TAC     []byte `json:"tac,omitempty"` // 交易验证码
	Done    bool   `json:"done"`
	Settled bool   `json:"settled,omitempty"` // found out after an interruption
}

// Account debits or credits the medical account on the chip. The chip checks
// the holder's number, which only the counter gives it, and the province's code
// MAC1; the province checks the chip's MAC2 and TAC. What the chip was asked is
// stored before it is asked: after an interruption Settle finds out whether it
// was carried out, and it is never done twice.
type Account struct {
	work
	Movement Movement `json:"movement"`
	Random   []byte   `json:"random,omitempty"`
	Proof    proof    `json:"proof"`
	Proven   bool     `json:"proven"`
	Moved    Moved    `json:"moved"`
	// Settling says that an earlier attempt is being found out about.
	Settling bool `json:"settling,omitempty"`
}

// NewAccount begins a movement.
func NewAccount(p *profile.Profile, id *Identity, m Movement) (*Account, error) {
	if err := accountOf(p, id); err != nil {
		return nil, err
	}
	if number, err := hex.DecodeString(m.Terminal); err != nil || len(number) != 6 || m.Amount == 0 || m.Amount > m.Total {
		return nil, ErrMovement
	}
	return &Account{work: work{Identity: id, profile: p}, Movement: m}, nil
}

// Settle begins to find out what became of a movement that was interrupted
// after its first script.
func (o *Account) Settle(id *Identity) (*Account, error) {
	if err := accountOf(o.profile, id); err != nil {
		return nil, err
	}
	settling := &Account{work: work{Identity: id, profile: o.profile}, Movement: o.Movement, Random: o.Random, Moved: o.Moved, Settling: true}
	return settling, nil
}

func accountOf(p *profile.Profile, id *Identity) error {
	if err := id.personalised(); err != nil {
		return err
	}
	if p.Account == nil {
		return ErrNoAccount
	}
	return nil
}

// Next implements Operation.
func (o *Account) Next(ctx context.Context, keeper Keeper, in Input) (*Script, error) {
	codes, ok := keeper.(coder)
	if !ok {
		return nil, fmt.Errorf("account: the keeper has no codes of transactions: %w", errors.ErrUnsupported)
	}
	switch {
	case o.Turn == 0:
		return o.open(ctx, keeper)
	case o.Turn == 1:
		if err := o.judged(in); err != nil {
			return nil, err
		}
		if o.Settling {
			return nil, o.settled(ctx, codes, in.Responses)
		}
		return o.request(ctx, codes, in.Responses)
	}
	if err := o.answers(in); err != nil {
		return nil, err
	}
	return nil, o.close(ctx, codes, in.Responses[0].Data)
}

// open asks for the proof and for the account.
func (o *Account) open(ctx context.Context, keeper Keeper) (*Script, error) {
	question, err := o.prove(ctx, keeper, &o.Proof)
	if err != nil {
		return nil, err
	}
	a := o.profile.Account
	scope, _ := o.profile.Scope(a.Scope)
	steps := []Step{question, o.selectStep(scope)}
	if o.Settling {
		prove := accountCommand(a.Prove, binary.BigEndian.AppendUint16(nil, o.Moved.Serial), profile.Length(a.Answer))
		return o.out(append(steps, Step{Command: prove, Accept: []apdu.SW{0x9406}, Label: "取交易认证"})...), nil
	}
	_, key, _ := o.profile.Key(o.form().Key)
	data := o.fields(a.Opening, map[string][]byte{"keyIndex": {key.ID}})
	steps = append(steps, verifyStep(o.profile), Step{Command: accountCommand(o.form().Initialize, data, profile.Length(a.Opened)), Label: "交易初始化"})
	return o.out(steps...), nil
}

func accountCommand(header [4]byte, data []byte, ne int) apdu.Command {
	return apdu.Command{CLA: header[0], INS: header[1], P1: header[2], P2: header[3], Data: data, Ne: ne}
}

// judged judges the proof, then the holder's number.
func (o *Account) judged(in Input) error {
	if err := o.judge(&o.Proof, 0, in.Responses); err != nil {
		return err
	}
	o.Proven = true
	if err := pinRefused(o.Steps, in.Responses); err != nil {
		return err
	}
	return o.answers(in)
}

// request takes what the chip told and makes the command with MAC1.
func (o *Account) request(ctx context.Context, codes coder, responses []apdu.Response) (*Script, error) {
	a := o.profile.Account
	told, err := split(a.Opened, lastData(responses))
	if err != nil {
		return nil, err
	}
	o.Random = told["random"]
	o.Moved = Moved{Serial: binary.BigEndian.Uint16(told["serial"]), Before: Fen(binary.BigEndian.Uint32(told["balance"]))}
	o.Moved.After = o.Moved.Before + o.Movement.Amount
	if !o.Movement.Credit {
		if o.Movement.Amount > o.Moved.Before {
			return nil, ErrFunds
		}
		o.Moved.After = o.Moved.Before - o.Movement.Amount
	}
	mac1, err := o.code(ctx, codes, a.MAC1)
	if err != nil {
		return nil, err
	}
	data := o.fields(a.Request, map[string][]byte{"mac1": mac1})
	return o.out(Step{Command: accountCommand(o.form().Command, data, profile.Length(a.Answer)), Label: "交易"}), nil
}

// close checks the chip's codes.
func (o *Account) close(ctx context.Context, codes coder, answer []byte) error {
	a := o.profile.Account
	told, err := split(a.Answer, answer)
	if err != nil {
		return err
	}
	for name, form := range map[string][]string{"mac2": a.MAC2, "tac": a.TAC} {
		expected, err := o.code(ctx, codes, form)
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(expected, told[name]) != 1 {
			return ErrNotGenuine
		}
	}
	o.Moved.TAC, o.Moved.Done, o.Steps = told["tac"], true, nil
	return nil
}

// settled takes the chip's word on an interrupted movement.
func (o *Account) settled(ctx context.Context, codes coder, responses []apdu.Response) error {
	o.Moved.Settled, o.Steps = true, nil
	if responses[len(responses)-1].SW == 0x9406 {
		o.Moved.After = o.Moved.Before
		return nil
	}
	return o.close(ctx, codes, lastData(responses))
}

func (o *Account) form() profile.Movement {
	if o.Movement.Credit {
		return o.profile.Account.Credit
	}
	return o.profile.Account.Debit
}

// code computes one of the codes under the process key of this movement.
func (o *Account) code(ctx context.Context, codes coder, form []string) ([]byte, error) {
	mac, err := codes.TransactionMAC(ctx, o.Identity.key(o.profile, o.form().Key), o.fields(o.profile.Account.Factor, nil), o.fields(form, nil))
	if err != nil {
		return nil, fmt.Errorf("code of the transaction: %w", err)
	}
	return mac, nil
}

// fields puts a form together.
func (o *Account) fields(form []string, more map[string][]byte) []byte {
	terminal, _ := hex.DecodeString(o.Movement.Terminal) // NewAccount has checked it
	serial := binary.BigEndian.AppendUint32(nil, o.Movement.TerminalSerial)
	at, _ := hex.DecodeString(o.Movement.At.Format("20060102150405"))
	values := map[string][]byte{
		"amounts":        binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(o.Movement.Amount)), uint32(o.Movement.Total)),
		"terminalNumber": terminal, "terminalSerial": serial, "terminalSerialLow": serial[2:], "time": at, "kind": {o.form().Kind}, "zero": make([]byte, 4),
		"random": o.Random, "serial": binary.BigEndian.AppendUint16(nil, o.Moved.Serial), "balance": binary.BigEndian.AppendUint32(nil, uint32(o.Moved.Before)),
	}
	var out []byte
	for _, name := range form {
		if value, ok := more[name]; ok {
			out = append(out, value...)
		} else {
			out = append(out, values[name]...)
		}
	}
	return out
}

// split takes an answer apart.
func split(form []string, data []byte) (map[string][]byte, error) {
	if len(data) != profile.Length(form) {
		return nil, fmt.Errorf("account: %w: an answer of %d bytes, not %d", apdu.ErrMalformed, len(data), profile.Length(form))
	}
	values := map[string][]byte{}
	for _, name := range form {
		n := profile.AccountFields[name]
		values[name], data = data[:n], data[n:]
	}
	return values, nil
}

// Genuine says whether the chip has proven itself.
func (o *Account) Genuine() bool { return o.Proven }

// Values is empty: what the movement has come to is in Moved.
func (o *Account) Values() []Value { return nil }

// NeedsPIN is as for Access.
func (o *Account) NeedsPIN() bool { return false }

// Progress says how many scripts are done, of how many, and what comes.
func (o *Account) Progress() (done, total int, label string) {
	label = "个人账户消费"
	switch {
	case o.Settling:
		return o.Turn, 1, "核实上次交易"
	case o.Movement.Credit:
		label = "个人账户圈存"
	}
	return o.Turn, AccountScripts - 1, label
}
