package gb

import "strings"

// CardNumber is the number printed on the card and kept in element 07 of the
// chip (卡号): eight characters of body and a check character, digits and
// capital letters. Values compare with ==.
//
// Real cards exist whose check character does not agree, so parsing accepts
// them; CheckOK tells.
type CardNumber struct {
	text string
}

// cardNumberLength is the number of characters, with the check character.
const cardNumberLength = 9

// cardNumberWeights are those of the organisation code (GB 11714-1997, 全国组织机构代码).
var cardNumberWeights = [cardNumberLength - 1]int{3, 7, 9, 10, 5, 8, 4, 2}

// ParseCardNumber reads nine characters 0–9 and A–Z. The error is a
// *FormatError of ErrLength or ErrCharacter.
func ParseCardNumber(s string) (CardNumber, error) {
	if err := checkCardCharacters(s, cardNumberLength); err != nil {
		return CardNumber{}, err
	}
	return CardNumber{s}, nil
}

// NewCardNumber makes the number from its body of eight characters.
func NewCardNumber(body string) (CardNumber, error) {
	if err := checkCardCharacters(body, cardNumberLength-1); err != nil {
		return CardNumber{}, err
	}
	return CardNumber{body + string(cardNumberCheck(body))}, nil
}

// checkCardCharacters accepts length characters 0–9 and A–Z.
func checkCardCharacters(s string, length int) error {
	const allowed = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	position := 0
	for _, r := range s {
		position++
		if !strings.ContainsRune(allowed, r) {
			return &FormatError{subjectCardNumber, ErrCharacter, position, "数字或大写字母", "a digit or a capital letter"}
		}
	}
	if len(s) != length {
		return &FormatError{subjectCardNumber, ErrLength, 0, "八位本体代码和一位校验码", "eight characters and a check character"}
	}
	return nil
}

// cardNumberCheck returns the check character of eight characters.
func cardNumberCheck(body string) byte {
	sum := 0
	for i, c := range []byte(body) {
		value := int(c - '0')
		if c >= 'A' {
			value = int(c-'A') + 10
		}
		sum += value * cardNumberWeights[i]
	}
	return "0123456789X"[(11-sum%11)%11]
}

// Body returns the eight characters before the check character.
func (n CardNumber) Body() string {
	if n.text == "" {
		return ""
	}
	return n.text[:cardNumberLength-1]
}

// CheckOK reports whether the check character agrees with GB 11714.
func (n CardNumber) CheckOK() bool {
	return n.text != "" && n.text[cardNumberLength-1] == cardNumberCheck(n.Body())
}

// IsZero reports whether n is no number.
func (n CardNumber) IsZero() bool { return n.text == "" }

// String returns the nine characters.
func (n CardNumber) String() string { return n.text }

// MarshalText returns the nine characters.
func (n CardNumber) MarshalText() ([]byte, error) { return []byte(n.text), nil }

// UnmarshalText reads what ParseCardNumber reads, and nothing as the zero value.
func (n *CardNumber) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*n = CardNumber{}
		return nil
	}
	parsed, err := ParseCardNumber(string(text))
	if err != nil {
		return err
	}
	*n = parsed
	return nil
}
