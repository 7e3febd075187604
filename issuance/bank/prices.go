package bank

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
)

//go:embed prices.yaml
var defaultPrices []byte

// Items that a fee is for (收费项目).
const (
	ItemFirst       = "first"       // 首次申领
	ItemReplacement = "replacement" // 遗失补卡
	ItemExchange    = "exchange"    // 换卡
	ItemQuality     = "quality"     // 质保换卡
)

// Price is what cards cost at a place from a day on, in fen (收费标准).
type Price struct {
	Place       string  `yaml:"place"`
	From        gb.Date `yaml:"from"`
	First       int64   `yaml:"first"`
	Replacement int64   `yaml:"replacement"`
	Exchange    int64   `yaml:"exchange"`
	Quality     int64   `yaml:"quality"`
	OnceInDays  int     `yaml:"onceInDays"`
}

// Prices is the price of each place and time.
type Prices []Price

// ErrPrices: a file of prices is not as it should be, or has no price.
var ErrPrices = errors.New("收费标准有误或缺失 the prices are wrong or missing")

// ParsePrices reads a file of prices. Unknown keys, amounts out of range and two
// lines for one place and day are refused.
func ParsePrices(text []byte) (Prices, error) {
	var all Prices
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrices, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one document", ErrPrices)
	}
	seen := map[string]bool{}
	for i, p := range all {
		key := p.Place + p.From.String()
		wrong := len(p.Place) != 6 || strings.Trim(p.Place, "0123456789") != "" || p.From.IsZero() || p.OnceInDays < 0 || p.OnceInDays > 366 || seen[key]
		for _, fen := range []int64{p.First, p.Replacement, p.Exchange, p.Quality} {
			wrong = wrong || fen < 0 || fen > 100_00
		}
		if wrong {
			return nil, fmt.Errorf("%w: line %d: place of 6 digits, a day, 0 to 10000 fen, 0 to 366 days, once for place and day", ErrPrices, i+1)
		}
		seen[key] = true
	}
	return all, nil
}

// At returns the price at a place on a day.
func (all Prices) At(place string, on gb.Date) (Price, error) {
	i := gb.InForce(all, place, on, func(p Price) (string, gb.Date) { return p.Place, p.From })
	if i < 0 {
		return Price{}, ErrPrices
	}
	return all[i], nil
}

// of returns the price of an item, false for an item that there is not.
func (p Price) of(item string) (fen int64, ok bool) {
	fen, ok = map[string]int64{ItemFirst: p.First, ItemReplacement: p.Replacement, ItemExchange: p.Exchange, ItemQuality: p.Quality}[item]
	return fen, ok
}
