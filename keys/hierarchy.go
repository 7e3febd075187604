package keys

import (
	"fmt"
	"regexp"
	"slices"
)

// Key names one key: its purpose, its version (0 means the current one) and
// the diversification factors that lead from the province's key to the card's,
// outermost first, eight bytes each.
//
// It is an alias of an unnamed struct, identical to the one the packages that
// use a keeper declare, since they and this package do not import one another.
type Key = struct {
	Name    string   `json:"name"`
	Version int      `json:"version"`
	Factors [][]byte `json:"factors,omitempty"`
}

// Usage is the one purpose of a key (密钥用途).
type Usage string

// The purposes. Each operation of the keeper belongs to one of them.
const (
	// Authentication computes authentication cryptograms: IRK 内部认证密钥, and
	// the keys of EXTERNAL AUTHENTICATE (RK* 读, UK* 更新, PUK, BK, LK*).
	Authentication Usage = "authentication"
	// Maintenance secures commands with MAC and encipherment: STK 应用维护密钥.
	Maintenance Usage = "maintenance"
	// Master loads keys into the card and closes its personalisation: MK 主控密钥.
	Master Usage = "master"
	// Transport is the chip maker's key in blanks (传输密钥): as Master, but it is
	// imported, never made here, and never loaded into a card.
	Transport Usage = "transport"
	// Channel is one of the static keys with which the secure channel of a
	// GlobalPlatform blank is opened (安全通道静态密钥): as Transport it is the chip
	// maker's and imported, never made here; it serves OpenChannel and what
	// follows from it, and nothing else.
	Channel Usage = "channel"
	// CheckCode computes the check code of the card's identification (卡识别码校验码).
	CheckCode Usage = "check-code"
	// FieldEncryption protects personal data at rest (字段加密).
	FieldEncryption Usage = "field-encryption"
	// BlindIndex makes equal personal data findable without deciphering (盲索引).
	BlindIndex Usage = "blind-index"
	// KeyExchange protects key blocks between two keepers (密钥交换密钥, KBPK). It
	// comes from a ceremony of both sides, and never leaves in a block itself.
	KeyExchange Usage = "key-exchange"
)

// imported tells whether keys of this usage come from the chip maker.
func (u Usage) imported() bool { return u == Transport || u == Channel }

// Algorithm is the cipher a key is for.
type Algorithm string

// The algorithms. All keys are 16 bytes, but AES-192's of 24 and AES-256's and
// the blind index's of 32.
const (
	// SM4 is the cipher of cards of specification 3.00.
	SM4 Algorithm = "SM4"
	// TripleDES is 3DES with a double-length key, of cards of 1.0 and 2.0.
	TripleDES Algorithm = "3DES"
	// HMACSM3 is for the blind index.
	HMACSM3 Algorithm = "HMAC-SM3"
	// AES128, AES192 and AES256 are for key blocks of version D, and for the
	// channels of GlobalPlatform blanks.
	AES128 Algorithm = "AES-128"
	AES192 Algorithm = "AES-192"
	AES256 Algorithm = "AES-256"
)

// aes tells whether the algorithm is AES with one of its key lengths.
func (a Algorithm) aes() bool { return a == AES128 || a == AES192 || a == AES256 }

// The keys which protect personal data.
const (
	// DataKey is the name of the key of Seal and Open.
	DataKey = "DATA"
	// IndexKey is the name of the key of Index.
	IndexKey = "INDEX"
)

// Spec describes a key of the hierarchy (密钥层次).
type Spec struct {
	Name      string    `json:"name"`
	Usage     Usage     `json:"usage"`
	Algorithm Algorithm `json:"algorithm"`
	// Depth is the number of levels below this key: 3 for 部→省→市→卡, 2 for
	// 省→市→卡 (and Level says so), 1 for 市→卡 and maker→card, 0 for a key that is
	// used as it is.
	Depth int `json:"depth"`
	// Factor is the factor, in hexadecimal, that lies between this key and the
	// province's, if the key was delivered at another level: a key of the
	// ministry applies it first, a key of a city already contains it. See At.
	Factor string `json:"factor,omitempty"`
	// Exportable keys may leave in a key block (ExportBlock), others never.
	Exportable bool `json:"exportable,omitempty"`
}

// TripleDESSuffix ends the names of the keys of cards of specifications 1.0 and
// 2.0, which have the same keys as those of 3.00 in another algorithm.
const TripleDESSuffix = "_3DES"

// Provincial returns the hierarchy of the province: the keys of the SSSE
// environment and of DF01–DF04 and DF07, the check code's and the maker's
// transport key (which Create leaves to be imported), for cards of
// specification 3.00 (SM4) and, with the suffix, for those of 1.0 and 2.0
// (3DES); and the two that protect personal data.
func Provincial() []Spec {
	specs := cardSpecs(SM4, "")
	specs = append(specs, cardSpecs(TripleDES, TripleDESSuffix)...)
	return append(specs,
		Spec{Name: DataKey, Usage: FieldEncryption, Algorithm: SM4},
		Spec{Name: IndexKey, Usage: BlindIndex, Algorithm: HMACSM3})
}

// cardSpecs returns the keys for cards of one algorithm.
func cardSpecs(algorithm Algorithm, suffix string) []Spec {
	var specs []Spec
	add := func(usage Usage, depth int, names ...string) {
		for _, name := range names {
			specs = append(specs, Spec{Name: name + suffix, Usage: usage, Algorithm: algorithm, Depth: depth})
		}
	}
	// The names of the keys of EF0C and EF0D are local; a profile that names
	// others has them added by Keeper.Add.
	add(Authentication, 2, "IRK", "PUK", "BK", "UKSSSE", "RKSSSE", "UKEF0D", "RKMFEF0C")
	add(Maintenance, 2, "STK", "STKDF01", "STKDF02", "STKDF03", "STKDF04", "STKDF07")
	add(Master, 2, "MK")
	add(Authentication, 2, "RKDF01", "RKDF02", "RK1DF03", "RK2DF03", "RK1DF04", "RK1DF07", "RK2DF07", "RK3DF07")
	for _, df := range []struct{ name, numbers string }{
		{"DF01", "123456789AB"}, {"DF02", "123456"}, {"DF03", "12345678"}, {"DF04", "12"}, {"DF07", "123"},
	} {
		for _, number := range df.numbers {
			add(Authentication, 2, "UK"+string(number)+df.name)
		}
	}
	add(Authentication, 2, "LKDF03", "LKDF04")
	add(Debit, 2, "DPK", "DLK")
	add(Transport, 1, "TRANSPORT")
	add(CheckCode, 0, "CHECK")
	return specs
}

// keyName is the form of a key's name.
var keyName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,31}$`)

// maxVersion is the highest version: cards keep it in one byte (FF is reserved).
const maxVersion = 254

// check reports what is wrong with the description.
func (s Spec) check() error {
	if !keyName.MatchString(s.Name) {
		return inputError("密钥名 key name", "应为大写字母和数字，至多 32 个 upper-case letters and digits, at most 32")
	}
	algorithms, known := map[Usage][]Algorithm{
		Authentication:  {SM4, TripleDES},
		Maintenance:     {SM4, TripleDES},
		Master:          {SM4, TripleDES},
		Transport:       {SM4, TripleDES},
		Channel:         {TripleDES, AES128, AES192, AES256},
		CheckCode:       {SM4, TripleDES},
		FieldEncryption: {SM4},
		BlindIndex:      {HMACSM3},
		KeyExchange:     {AES128, AES256, TripleDES},
		Debit:           {SM4, TripleDES},
		CardDelivery:    {AES128, AES256},
	}[s.Usage]
	if !known {
		return fmt.Errorf("keys: %s: 未知用途 unknown usage: %w", s.Name, ErrInput)
	}
	if !slices.Contains(algorithms, s.Algorithm) {
		return fmt.Errorf("keys: %s: %w", s.Name, ErrAlgorithm)
	}
	if s.Exportable && s.homebound() {
		return fmt.Errorf("keys: %s: 该用途的密钥不得导出 keys of this usage must not be exportable: %w", s.Name, ErrInput)
	}
	if err := s.checkDepth(); err != nil {
		return err
	}
	return s.checkFactor()
}

// homebound tells whether keys of this usage never leave the keeper.
func (s Spec) homebound() bool {
	return s.Usage == FieldEncryption || s.Usage == BlindIndex || s.Usage == KeyExchange || s.Usage == CardDelivery
}

// checkDepth refuses diversification where no card is involved.
func (s Spec) checkDepth() error {
	highest := 2
	switch {
	case s.homebound(), s.Usage == Channel:
		highest = 0
	case s.forCards():
		highest = 3
	}
	if s.Depth < 0 || s.Depth > highest {
		return fmt.Errorf("keys: %s: 分散级数应为 0 至 %d depth must be 0 to %d: %w", s.Name, highest, highest, ErrInput)
	}
	return nil
}

// size returns the length of the key in bytes.
func (s Spec) size() int {
	switch s.Algorithm {
	case HMACSM3, AES256:
		return 32
	case AES192:
		return 24
	}
	return 16
}
