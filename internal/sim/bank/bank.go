package bank

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Config is what a bank is made of.
type Config struct {
	Code string // such as 95533
	BIN  string // what its account numbers begin with
	Now  func() time.Time
	// Sign and Open are the bank's own keys; ProvinceRoots is the authority of
	// the province, ProvinceSeal its sealing certificate.
	Sign, Open    func() (*tls.Certificate, error)
	ProvinceRoots *x509.CertPool
	ProvinceSeal  *x509.Certificate
	// State is the file in which the books are kept; empty: in memory only.
	State  string
	Faults Faults
	Seed   uint64
}

// Account is an account of the bank's.
type Account struct {
	Number   string `json:"number"`
	Name     string `json:"name"`
	IDNumber string `json:"idNumber"`
	State    string `json:"state"`
	Seq      int64  `json:"seq"`
	Opened   string `json:"opened"`
	Order    string `json:"order"`
}

// Booking is an entry of the bank's books: a fee charged, or given back.
type Booking struct {
	Order     string `json:"order"`
	Operation string `json:"operation"`
	Receipt   string `json:"receipt"`
	AmountFen int64  `json:"amountFen"`
	Day       string `json:"day"`
}

// kept is what the bank remembers of a message: its id is carried out once.
type kept struct {
	Operation string  `json:"operation"`
	Print     string  `json:"print"` // digest of the body
	Answer    outcome `json:"answer"`
}

// books is all that the bank keeps.
type books struct {
	Accounts map[string]*Account `json:"accounts"`
	Bookings map[string]*Booking `json:"bookings"`
	Messages map[string]*kept    `json:"messages"`
	Next     int64               `json:"next"`
}

// Bank is one bank. It may be used by several goroutines.
type Bank struct {
	config Config

	mu     sync.Mutex
	books  books
	faults Faults
	forge  func(batch *string, rows [][]string) [][]string
	rand   *rand.Rand
	// Late are messages that are carried out after their caller has gone.
	late sync.WaitGroup
}

// New returns a bank with the books of its file, if there is one.
func New(c Config) (*Bank, error) {
	b := &Bank{config: c, faults: c.Faults, rand: rand.New(rand.NewPCG(c.Seed, 1))}
	b.books = books{Accounts: map[string]*Account{}, Bookings: map[string]*Booking{}, Messages: map[string]*kept{}, Next: 1}
	if c.State == "" {
		return b, nil
	}
	text, err := os.ReadFile(c.State)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	} else if err != nil {
		return nil, err
	}
	return b, json.Unmarshal(text, &b.books)
}

// save writes the books; the file is whole at any time. The caller holds mu.
func (b *Bank) save() error {
	if b.config.State == "" {
		return nil
	}
	text, err := json.Marshal(b.books)
	if err != nil {
		return err
	}
	next := filepath.Join(filepath.Dir(b.config.State), "."+filepath.Base(b.config.State))
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, b.config.State)
}

var beijing = time.FixedZone("CST", 8*60*60)

func (b *Bank) today() string { return b.config.Now().In(beijing).Format(time.DateOnly) }

// newNumber makes an account number of 19 digits: BIN, running number, Luhn's
// check digit.
func (b *Bank) newNumber() string {
	body := fmt.Sprintf("%s%0*d", b.config.BIN, 18-len(b.config.BIN), b.books.Next)
	b.books.Next++
	sum := 0
	for i := range len(body) {
		d := int(body[len(body)-1-i] - '0')
		if i%2 == 0 {
			d *= 2
		}
		sum += d/10 + d%10
	}
	return body + string(rune('0'+(10-sum%10)%10))
}

// ask is a request's body.
type ask struct {
	Application string    `json:"application"`
	CardNumber  string    `json:"cardNumber"`
	Name        string    `json:"name"`
	IDType      string    `json:"idType"`
	IDNumber    string    `json:"idNumber"`
	Phone       string    `json:"phone"`
	Account     string    `json:"account"`
	Change      string    `json:"change"`
	Receipt     string    `json:"receipt"`
	AmountFen   int64     `json:"amountFen"`
	Message     uuid.UUID `json:"message"`
}

// outcome is what the bank says to a message.
type outcome struct {
	Result string `json:"result"`
	Code   string `json:"code"`
	Text   string `json:"text"`
	Told   told   `json:"told"`
}

// told is a reply's body.
type told struct {
	Account   string `json:"account,omitempty"`
	Name      string `json:"name,omitempty"`
	IDNumber  string `json:"idNumber,omitempty"`
	State     string `json:"state,omitempty"`
	Seq       int64  `json:"seq,omitempty"`
	Receipt   string `json:"receipt,omitempty"`
	AmountFen int64  `json:"amountFen,omitempty"`
	Day       string `json:"day,omitempty"`
}

func refuse(code, text string) outcome { return outcome{Result: "refused", Code: code, Text: text} }

// work carries a message out, once: again it says what it said.
func (b *Bank) work(id uuid.UUID, operation string, body []byte) (outcome, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	answer, fresh := b.once(id, operation, body)
	if !fresh {
		return answer, nil
	}
	return answer, b.save()
}

func (b *Bank) once(id uuid.UUID, operation string, body []byte) (answer outcome, fresh bool) {
	var a ask
	if err := json.Unmarshal(body, &a); err != nil {
		return refuse("9001", "报文格式错误"), false
	}
	if operation == "message.query" {
		asked, ok := b.books.Messages[a.Message.String()]
		if !ok {
			return outcome{Result: "none", Code: "0000"}, false
		}
		return asked.Answer, false
	}
	sum := sha256.Sum256(body)
	print := fmt.Sprintf("%x", sum)
	if known, ok := b.books.Messages[id.String()]; ok {
		if known.Answer.Result != "reversed" && (known.Print != print || known.Operation != operation) {
			return refuse("9004", "消息编号已用于另一内容"), false
		}
		return known.Answer, false
	}
	answer = b.carryOut(id.String(), operation, a)
	b.books.Messages[id.String()] = &kept{Operation: operation, Print: print, Answer: answer}
	return answer, true
}

func (b *Bank) carryOut(id, operation string, a ask) outcome {
	switch operation {
	case "account.open":
		return b.open(id, a)
	case "account.status":
		return b.change(a)
	case "holder.change":
		account, ok := b.books.Accounts[a.Account]
		if !ok {
			return refuse("2001", "账户不存在")
		}
		account.Name, account.IDNumber = a.Name, a.IDNumber
		account.Seq++
		return outcome{Result: "done", Code: "0000", Told: told{Account: account.Number, State: account.State, Seq: account.Seq}}
	case "fee.charge", "fee.refund":
		return b.book(id, operation, a)
	case "message.reverse":
		return b.undo(a.Message.String())
	}
	return refuse("9005", "不支持的业务")
}

func (b *Bank) open(id string, a ask) outcome {
	if a.Name == "" || a.IDNumber == "" {
		return refuse("1001", "客户信息不全")
	}
	if b.strikes(b.faults.Refuse) {
		return refuse("1002", "证件过期")
	}
	account := &Account{Number: b.newNumber(), Name: a.Name, IDNumber: a.IDNumber, State: "preopened", Seq: 1, Opened: b.today(), Order: id}
	b.books.Accounts[account.Number] = account
	return outcome{Result: "done", Code: "0000", Told: told{Account: account.Number, Name: a.Name, IDNumber: a.IDNumber, State: account.State, Seq: 1, Day: account.Opened}}
}

// changes says what becomes of an account: change, then state before, "" for any.
var changes = map[string]map[string]string{
	"oral-loss": {"active": "oral-loss", "preopened": "oral-loss"},
	"loss":      {"active": "written-loss", "preopened": "written-loss", "oral-loss": "written-loss"},
	"unloss":    {"oral-loss": "active", "written-loss": "active", "frozen": "active"},
	"freeze":    {"active": "frozen", "preopened": "frozen", "oral-loss": "frozen", "written-loss": "frozen"},
	"close":     {"active": "closed", "preopened": "closed", "oral-loss": "closed", "written-loss": "closed", "frozen": "closed"},
	"activate":  {"preopened": "active"},
}

func (b *Bank) change(a ask) outcome {
	account, ok := b.books.Accounts[a.Account]
	if !ok {
		return refuse("2001", "账户不存在")
	}
	state, ok := changes[a.Change][account.State]
	if !ok {
		return refuse("2002", "账户状态不允许")
	}
	account.State = state
	account.Seq++
	return outcome{Result: "done", Code: "0000", Told: told{Account: account.Number, State: state, Seq: account.Seq}}
}

func (b *Bank) book(id, operation string, a ask) outcome {
	if operation == "fee.refund" {
		charge, ok := b.books.Bookings[a.Message.String()]
		if !ok || charge.Operation != "fee.charge" || charge.AmountFen != a.AmountFen {
			return refuse("3002", "没有相应的收费")
		}
	}
	amount := a.AmountFen
	if b.strikes(b.faults.WrongAmounts) {
		amount++
	}
	booking := &Booking{Order: id, Operation: operation, Receipt: a.Receipt, AmountFen: amount, Day: b.today()}
	b.books.Bookings[id] = booking
	return outcome{Result: "done", Code: "0000", Told: told{Receipt: a.Receipt, AmountFen: amount, Day: booking.Day}}
}

// undo takes back what a message did, or bars it before it comes.
func (b *Bank) undo(id string) outcome {
	for _, account := range b.books.Accounts {
		if account.Order == id && account.State != "closed" {
			account.State = "closed"
			account.Seq++
		}
	}
	delete(b.books.Bookings, id)
	if known, ok := b.books.Messages[id]; ok {
		known.Answer = outcome{Result: "reversed", Code: "0000"}
	} else {
		b.books.Messages[id] = &kept{Answer: outcome{Result: "reversed", Code: "0000"}}
	}
	return outcome{Result: "done", Code: "0000"}
}
