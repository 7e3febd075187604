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
	Algorithm   string // "sm4" or "3des"
	Environment []byte // name of SSSE for SELECT by name
	FCI         []byte // what SELECT of the environment answers
	ATRs        []ATR
	PIN         PIN
	Scopes      []Scope // key scopes and directories; the first is SSSE
	Maker       Maker
	Makers      []*BlankMaker // the makes of blanks; the same for all versions
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
	// Historical is the number of historical bytes at the end; the card
	// factor is their last eight bytes.
	Historical int
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
	Purpose string // "internal", "external", "maintenance", "master"
	Tries   byte   // error counter of an external authentication key; 0 for none
	Source  string
	Assumed bool
}

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
}

// Element is one data element (数据项), a record `tag len value` of a variable
// file. Record is its number, from 1.
type Element struct {
	Record  int
	Tag     byte
	Length  int
	Coding  string // "an" (GBK, padded 00), "cn" (BCD, padded F), "b", "dec", "hex4", "template"
	Name    string // stable English name in lowerCamel, such as "cardNumber"
	Title   Text
	Read    string    // overrides the file's rule when set
	Inner   []Element // of a "template" (B-TLV)
	Source  string
	Assumed bool
}

// Maker is what a chip maker's blank speaks before it is personalised (卡商空白卡):
// how keys are loaded and how the blank becomes a card.
type Maker struct {
	Name      string
	IV        string // "chained": one challenge for a run of keys; "challenge": one for each
	Transport string // the keeper's name of the transport key
	Master    string // the key of the first scope under which keys are loaded
	Area      []byte // issuing area that blanks carry in the card identification
	Assumed   bool
	Source    string
}
