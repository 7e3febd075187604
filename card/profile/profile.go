// Package profile holds the chip of each specification version as data
// (卡规范): the file tree, every data element with tag, length, coding and
// source, access rules, key references, the answers to reset by which a card
// is recognised, and what a maker's blank speaks. From it come the reading and
// the writing plan, the image of the software chip and the documentation page.
//
// A version is one YAML file here and no code. What no public source confirms
// is marked assumed: a choice that can be changed in the file.
package profile

// Profile is the chip of one specification version as data (卡规范): from it
// come the file tree of the software chip, the reading and the writing plan,
// and the documentation page.
type Profile struct {
	Version     string // 规范版本, the four characters of element 03, such as "3.00"
	Title       Text
	Areas       []string // leading digits of the issuing areas of a local extension (地方扩展); none for the national card
	Algorithm   string   // "sm4" or "3des"
	KeySuffix   string   // ends the names of the card's keys at the keeper, such as "_3DES"
	Environment []byte   // name of SSSE for SELECT by name
	FCI         []byte   // what SELECT of the environment answers
	ATRs        []ATR
	PIN         PIN
	Scopes      []Scope // key scopes and directories; the first is SSSE
	Choices     Choices
	Account     *Account // the medical account on the chip; nil for none
	Finance     *Finance // the bank's application on the same chip; nil for none
	Maker       Maker
	Makers      []*BlankMaker // the makes of blanks; the same for all versions
}

// The algorithms of a profile.
const (
	SM4       = "sm4"
	TripleDES = "3des"
)

// BlockSize returns the block of the card's cipher in bytes.
func (p *Profile) BlockSize() int {
	if p.Algorithm == TripleDES {
		return 8
	}
	return 16
}

// KeeperKey returns the name by which the keeper knows one of the card's keys.
func (p *Profile) KeeperKey(name string) string { return name + p.KeySuffix }

// Choices are what the specification leaves open or no public source settles
// (未公开事项的选择): all are assumed, and a province changes them here.
type Choices struct {
	// KeyVersion is the byte that ends the data of EXTERNAL and INTERNAL
	// AUTHENTICATE (密钥版本号); empty where the command has none.
	KeyVersion []byte
	// Protection secures the writing of elements and records of a finished
	// card (线路保护), under a process key of STK: ProtectionNone, ProtectionMAC,
	// or ProtectionCipher (MAC and encipherment).
	Protection string
	// NamePad fills text that is shorter than its element.
	NamePad byte
	// Amounts is how elements of the coding dec are written: AmountsBCD, or
	// AmountsBinary with the high byte first.
	Amounts string
	// Charset is the character set of text: CharsetGBK, or CharsetGB18030 whose
	// other characters take four bytes.
	Charset string
	// Sources say why each was chosen, by its name in the file.
	Sources map[string]string
}

// How writing is protected.
const (
	ProtectionNone   = "none"
	ProtectionMAC    = "mac"
	ProtectionCipher = "cipher"
)

// The forms of amounts.
const (
	AmountsBCD    = "bcd"
	AmountsBinary = "binary"
)

// The character sets of text.
const (
	CharsetGBK     = "gbk"
	CharsetGB18030 = "gb18030"
)

// Account is the medical account on the chip (医疗保险个人账户) with the forms of its
// debit and credit, each a list of fields. All of it is assumed.
type Account struct {
	Scope   string // directory, such as "DF04"
	Balance string // element of its account file that holds the balance
	Records string // cyclic file of its transactions
	Debit   Movement
	Credit  Movement
	// Prove is the header of the command that tells whether a movement was
	// carried out (取交易认证).
	Prove [4]byte
	// What the commands carry and answer, and what the codes cover.
	Opening, Opened, Request, Answer []string
	Factor, MAC1, MAC2, TAC          []string
	Source                           string
}

// Movement is a debit or a credit (消费、圈存).
type Movement struct {
	Key                 string // keeper's name of its key
	Kind                byte   // 交易类型
	Initialize, Command [4]byte
}

// AccountFields are the fields of an account's forms with their lengths in
// bytes.
var AccountFields = map[string]int{
	"keyIndex": 1, "amounts": 8, "terminalNumber": 6, "balance": 4, "serial": 2, "random": 4, "terminalSerial": 4,
	"terminalSerialLow": 2, "time": 7, "mac1": 4, "mac2": 4, "tac": 4, "kind": 1, "zero": 4,
}

// Finance is the bank's application on the same chip (金融应用). What it holds is
// the bank's; a social security counter reads the account number only.
type Finance struct {
	AIDs    [][]byte // in the order in which they are tried
	Records [][2]int // SFI and record number in which the account number may stand
	Tag     int      // of the account number (PAN)
	Track2  int      // of the track 2 equivalent data, whose beginning is the account number
	Source  string
}

// Text is a name for people in both languages.
type Text struct {
	ZH string `yaml:"zh" json:"zh"`
	EN string `yaml:"en" json:"en"`
}

// ATR is an answer to reset with the bits that must match (卡复位信息).
type ATR struct {
	Value, Mask []byte
	Name        Text
	// Historical is the number of historical bytes; the card factor is their
	// last eight.
	Historical int
	// Trailer is the number of bytes after them: the check byte TCK of a
	// contactless card's (ISO/IEC 7816-3 clause 8.2.5).
	Trailer int
	Source  string
	Assumed bool
}

// PIN holds the rules of the holder's number (社保密码).
type PIN struct {
	Digits int
	Tries  int
}

// Scope is the environment SSSE or a directory below it (DF), with its keys
// and files. Index is 0 for SSSE and n for DF0n.
type Scope struct {
	Index int
	Name  string // "SSSE", "DF01", ...
	Title Text
	FID   []byte // two bytes; empty for SSSE
	AID   []byte
	Keys  []Key
	Files []File
}

// Key is one key slot of a scope (密钥).
type Key struct {
	Name    string // keeper's name, such as "UKSSSE", "UK1DF01"
	ID      byte   // P2 of EXTERNAL AUTHENTICATE; bit 8 set in a DF
	Usage   byte   // first attribute byte of the key-loading block
	Purpose string // "internal", "external", "maintenance", "master", "debit", "credit"
	Tries   byte   // error counter of an external authentication key; 0 for none
	PSAM    PSAM   // where a terminal's security module keeps the key above it
	Address string // of the key on the wire to an authentication service (密钥地址), such as "0094"; empty where none is public
	Source  string
	Assumed bool
}

// PSAM says where a terminal's security module (PSAM 卡) keeps the key from
// which a card's is derived: P2 and P1 of its INIT FOR DESCRYPT. Bits 8 to 6 of
// the usage are the number of diversification levels, 5 to 1 the kind. Both are
// zero for a key that no module holds.
type PSAM struct{ ID, Usage byte }

// FileKind is the structure of an elementary file.
type FileKind string

// The kinds of elementary files.
const (
	Variable    FileKind = "variable"    // linear, variable length, TLV records (变长记录)
	Cyclic      FileKind = "cyclic"      // cyclic, fixed length (循环)
	Transparent FileKind = "transparent" // binary (透明)
)

// File is one elementary file (EF).
type File struct {
	FID      []byte
	Title    Text
	Kind     FileKind
	Size     int    // bytes of a transparent file, record length of a cyclic one
	Records  int    // number of records of a cyclic file
	Read     string // "free", "never", or terms over "PIN" and key names: "RKSSSE", "PIN|RKDF01", "PIN&RK1DF04"
	Write    string // same language; "never" for what only the card writes
	Source   string
	Assumed  bool
	Elements []Element
	// Fields are the parts of a cyclic record, in order, without tags.
	Fields []Element
}

// Element is one data element (数据项), a record `tag len value` of a variable
// file. Record is its number, from 1.
type Element struct {
	Record  int
	Tag     byte
	Length  int
	Coding  string // "an" (GBK, padded), "cn" (BCD, padded F), "b", "dec" and "hex4" (amount in fen, four bytes), "template"
	Name    string // stable English name in lowerCamel, such as "cardNumber"
	Title   Text
	Read    string    // overrides the file's rule when set
	Inner   []Element // of a "template" (B-TLV)
	Source  string
	Assumed bool

	place int // of its line in the file, which may stand for several records
}

// Maker is what a chip maker's blank speaks before it is personalised (卡商空白卡):
// how keys are loaded and how the blank becomes a card.
type Maker struct {
	Name      string
	IV        string // "chained": one challenge for a run of keys; "challenge": one for each
	Transport string // the keeper's name of the transport key
	Master    string // the key of the first scope under which keys are loaded
	Area      []byte // issuing area that blanks carry in the card identification
	ATR       []byte // how the answer to reset of a blank begins; area and serial follow
	Assumed   bool
	Source    string
}
