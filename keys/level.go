package keys

import (
	"encoding/hex"
	"fmt"
)

// Level is where in the hierarchy 部→省→市→卡 a key for cards stands.
type Level string

// The levels at which such keys are delivered (密钥级别).
const (
	// Ministry: the key of which every province's is derived. Held by the
	// ministry, and by a laboratory that plays it.
	Ministry Level = "ministry"
	// Province: the key of which every city's is derived.
	Province Level = "province"
	// City: the key of which the cards' are derived.
	City Level = "city"
)

// depths are the levels' numbers of levels below.
var depths = map[Level]int{Ministry: 3, Province: 2, City: 1}

// forCards tells whether cards hold keys derived from this one, at one of the
// levels.
func (s Spec) forCards() bool {
	return s.Usage == Authentication || s.Usage == Maintenance || s.Usage == Master
}

// Level returns the level at which the key was delivered, or nothing for a key
// outside the hierarchy of levels.
func (s Spec) Level() Level {
	for level, depth := range depths {
		if s.forCards() && s.Depth == depth {
			return level
		}
	}
	return ""
}

// At returns the description of the same key delivered at another level.
// factor is the eight bytes between that key and the province's: for Ministry
// the province's factor, for City the city's. With it, operations name their
// keys as they do at the province's level, by city and card; without it (nil)
// they name exactly the levels below the key.
func (s Spec) At(level Level, factor []byte) (Spec, error) {
	depth, known := depths[level]
	if !known || !s.forCards() {
		return Spec{}, fmt.Errorf("keys: %s: 没有该级别 no such level %.16q: %w", s.Name, level, ErrInput)
	}
	s.Depth, s.Factor = depth, hex.EncodeToString(factor)
	return s, s.check()
}

// checkFactor refuses a factor where no level is skipped.
func (s Spec) checkFactor() error {
	if s.Factor == "" {
		return nil
	}
	factor := make([]byte, factorSize)
	if level := s.Level(); (level != Ministry && level != City) || !decodeHex(factor, []byte(s.Factor)) || hex.EncodeToString(factor) != s.Factor {
		return fmt.Errorf("keys: %s: 因子应为 8 字节，且只用于部级和市级 a factor is eight bytes, at the ministry's and the city's level only: %w", s.Name, ErrInput)
	}
	return nil
}

// path returns the factors that lead from this key to the card's, given those
// an operation names: exactly the levels below the key, or by Factor those
// below the province's.
func (s Spec) path(factors [][]byte) ([][]byte, error) {
	if s.Factor != "" && len(factors) == depths[Province] {
		own, err := hex.DecodeString(s.Factor)
		if err != nil {
			return nil, ErrFactors
		}
		if s.Depth == depths[Ministry] {
			factors = append([][]byte{own}, factors...)
		} else if string(factors[0]) == string(own) {
			factors = factors[1:]
		}
	}
	if len(factors) != s.Depth {
		return nil, ErrFactors
	}
	return factors, nil
}
