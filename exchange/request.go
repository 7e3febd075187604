package exchange

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"onecard/internal/gb"
)

// Category is the class of a drug or service in the catalogue of medical
// insurance (收费项目等级).
type Category string

// The categories.
const (
	CategoryA   Category = "A"   // 甲类: covered in full before the ratio
	CategoryB   Category = "B"   // 乙类: the patient bears a part first (先自付)
	CategoryOwn Category = "own" // 自费: not covered
)

// Item is one line of a bill (费用明细).
type Item struct {
	Code     string   `json:"code"`
	Name     string   `json:"name"`
	Category Category `json:"category"`
	Fen      Fen      `json:"fen"` // amount of the line, above zero
}

// Request is what a terminal asks for. The terminal makes ID and stores the
// request before it sends it; it sends the very same request again when it does
// not know what became of it.
type Request struct {
	ID       uuid.UUID `json:"id"`
	Business string    `json:"business"` // a business of the routes, such as "pharmacy.purchase"
	ProofID  uuid.UUID `json:"proof"`    // the finished chip session that proved the card
	// Terminal is the workstation; empty means the one of the actor.
	Terminal     string  `json:"terminal"`
	SerialNumber int64   `json:"serial"` // 终端交易序号, unique per terminal and date
	Date         gb.Date `json:"date"`   // 业务日期
	TotalFen     Fen     `json:"totalFen"`
	Items        []Item  `json:"items"`
}

// maxItems bounds a bill.
const maxItems = 500

// check tells what is wrong with the request by itself. Its business date is
// that of now or one of the back days before.
func (r Request) check(now time.Time, back int) error {
	var bad Invalid
	if r.ID == uuid.Nil {
		bad.add("id", "缺少交易标识", "an id made by the sender")
	}
	if r.ProofID == uuid.Nil {
		bad.add("proof", "缺少读卡鉴权", "the chip session that proved the card")
	}
	if r.Terminal == "" || len(r.Terminal) > 64 {
		bad.add("terminal", "缺少终端编号", "a workstation of at most 64 characters")
	}
	if r.SerialNumber < 1 {
		bad.add("serial", "终端交易序号应大于零", "a number above zero")
	}
	if businessDay(now, 0).Before(r.Date) || r.Date.Before(businessDay(now, -back)) {
		bad.add("date", fmt.Sprintf("业务日期应为今天或此前 %d 天之内", back),
			fmt.Sprintf("today or one of the %d days before", back))
	}
	r.checkItems(&bad)
	if len(bad.Fields) > 0 {
		return &bad
	}
	return nil
}

func (r Request) checkItems(bad *Invalid) {
	if len(r.Items) == 0 || len(r.Items) > maxItems {
		bad.add("items", "费用明细应为 1 至 500 行", "one to 500 items")
		return
	}
	var sum Fen
	for i, item := range r.Items {
		field := func(name string) string { return fmt.Sprintf("items[%d].%s", i, name) }
		if item.Code == "" || len(item.Code) > 40 {
			bad.add(field("code"), "缺少项目编码", "a code of at most 40 bytes")
		}
		if n := utf8.RuneCountInString(item.Name); n == 0 || n > 100 {
			bad.add(field("name"), "缺少项目名称", "a name of at most 100 characters")
		}
		switch item.Category {
		case CategoryA, CategoryB, CategoryOwn:
		default:
			bad.add(field("category"), "应为甲类、乙类或自费", "A, B or own")
		}
		if item.Fen < 1 || item.Fen > MaxFen {
			bad.add(field("fen"), "金额应大于零", "an amount above zero")
			return
		}
		sum += item.Fen
	}
	if sum != r.TotalFen || sum > MaxFen {
		bad.add("totalFen", "总金额应等于明细之和", "the sum of the items")
	}
}

// fingerprint is a digest over everything the terminal sent, by which a
// repetition is told from another request under the same id.
func (r Request) fingerprint() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("exchange: fingerprint: %w", err)
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}
