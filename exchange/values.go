package exchange

import (
	"fmt"
	"time"

	"onecard/internal/gb"
)

// Text is a sentence for people in both languages, Chinese first.
type Text struct {
	ZH string `json:"zh" yaml:"zh"`
	EN string `json:"en" yaml:"en"`
}

// Fen is an amount of money in fen (分), the hundredth part of a yuan.
type Fen int64

// MaxFen bounds every amount, ten thousand million yuan, so that products with
// a ratio and sums over the items of a request cannot overflow.
const MaxFen Fen = 1_000_000_000_000

// String writes the amount in yuan with two digits, such as "12.30".
func (f Fen) String() string {
	sign := ""
	if f < 0 {
		sign, f = "-", -f
	}
	return fmt.Sprintf("%s%d.%02d", sign, f/100, f%100)
}

// businessDay returns the business date (业务日期) at the instant t, days later.
func businessDay(t time.Time, days int) gb.Date {
	return gb.DateOf(t.In(gb.Beijing).AddDate(0, 0, days))
}
