package registry

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"onecard/internal/gb"
)

// Kinds of identity document (证件类型).
const (
	DocumentResident   = "resident"            // 居民身份证
	DocumentHousehold  = "household"           // 户口簿, for children; the number is the citizen's
	DocumentHongKong   = "hongkong-macao"      // 港澳居民来往内地通行证
	DocumentTaiwan     = "taiwan"              // 台湾居民来往大陆通行证
	DocumentResidence  = "residence-permit"    // 港澳台居民居住证
	DocumentPermanent  = "permanent-residence" // 外国人永久居留身份证
	DocumentPassport   = "passport"            // 护照
	DocumentOfficer    = "officer"             // 军官证
	DocumentArmedForce = "police"              // 武警警官证
)

// Life states (生存状态).
const (
	LifeLiving     = "living"     // 生存
	LifeDead       = "dead"       // 死亡
	LifeImprisoned = "imprisoned" // 监禁
	LifeMissing    = "missing"    // 失踪
	LifeUnknown    = "unknown"    // 无法定义
)

// Person is an insured person (参保人员). It holds personal data: not for logs.
type Person struct {
	ID            uuid.UUID
	IDType        string      // one of the Document…
	IDNumber      gb.IDNumber // 社会保障号码; zero for who has another document than a citizen's
	Document      string      // number of that other document; else empty
	Name          string      // 姓名, normalised by gb.NormaliseName
	NameTibetan   string      // 藏文姓名, may be empty
	NameMongolian string      // 蒙古文姓名, may be empty
	Sex           gb.Sex
	Ethnic        string // 民族, two digits of GB/T 3304
	Birth         gb.Date
	Nationality   string     // 国籍, ISO 3166-1 alpha-3
	Phone         string     // may be empty
	Address       string     // 通讯地址, may be empty
	Postcode      string     // 邮政编码, may be empty
	Place         string     // division code of the county
	Locality      string     // township (9 digits) or community (12), may be empty
	HouseholdKind string     // 户口性质: urban, rural, resident, …; may be empty
	Household     string     // 户号, may be empty
	HouseholdRole string     // 与户主关系, may be empty
	Education     string     // 文化程度, may be empty
	Employment    string     // 就业状态, may be empty
	Employer      string     // id of the institution, may be empty
	Life          string     // one of the Life…
	Police        string     // 公安比对: 00 not compared, 01 updated, 02 the same, 03 differs, 04 no data
	Ministry      string     // 部级持卡库: unsent, sent, accepted, duplicate, rejected, unknown, stale
	MergedInto    *uuid.UUID // the file that took this one's place
	Stamp         Stamp
}

// Living reports whether the person is not known to be dead.
func (p Person) Living() bool { return p.Life != LifeDead }

// Number returns the number of the person's document, whichever it is.
func (p Person) Number() string {
	if p.Document != "" {
		return p.Document
	}
	return p.IDNumber.String()
}

// NewPerson is what is told of a person at registration. With a citizen's
// number (IDType resident or household) birth is that of the number.
type NewPerson struct {
	IDType        string // empty: DocumentResident
	IDNumber      string // 18 or, as the old cards had it, 15 digits; for other documents their number
	Name          string
	NameTibetan   string  // optional
	NameMongolian string  // optional
	Sex           string  // GB/T 2261.1; if empty, what the identity number says
	Birth         gb.Date // of who has no citizen's number
	Ethnic        string  // GB/T 3304
	Nationality   string  // empty: CHN
	Phone         string  // optional
	Address       string  // optional
	Postcode      string  // optional
	Place         string  // division code, valid today
	Locality      string  // optional
	HouseholdKind string  // optional
	Household     string  // optional
	HouseholdRole string  // optional
	Education     string  // optional
	Employment    string  // optional
	Life          string  // empty: LifeLiving
}

// Limits in characters; a name of 25 characters fills the 50 bytes that
// partners' records have for it (AAC003), Latin names are longer.
const (
	maxName    = 50
	maxAddress = 200
	maxWord    = 40 // other short texts
)

var (
	phoneForm       = regexp.MustCompile(`^\+?[0-9][0-9-]{4,19}$`)
	documentForm    = regexp.MustCompile(`^[A-Z0-9()/-]{4,30}$`)
	postcodeForm    = regexp.MustCompile(`^[0-9]{6}$`)
	nationalityForm = regexp.MustCompile(`^[A-Z]{3}$`)
	localityForm    = regexp.MustCompile(`^([0-9]{9}|[0-9]{12})$`)
)

// documents maps the kinds of document to whether their number is a citizen's.
var documents = map[string]bool{
	DocumentResident: true, DocumentHousehold: true, DocumentHongKong: false, DocumentTaiwan: false, DocumentResidence: false,
	DocumentPermanent: false, DocumentPassport: false, DocumentOfficer: false, DocumentArmedForce: false,
}

// AddPerson registers a person and records it. Who is registered with a name
// that sounds the same and the same day of birth becomes a case for a human to
// decide ([DB.OpenCases]). Errors: ErrInvalid (a
// *FieldError), ErrDuplicate for a number that is registered.
func (tx *Tx) AddPerson(told NewPerson) (Person, error) {
	person, err := told.Check()
	if err != nil {
		return Person{}, err
	}
	if err := cmp.Or(tx.placeToday(person.Place), tx.localityToday(person.Locality, person.Place)); err != nil {
		return Person{}, err
	}
	if person.ID, err = tx.NewID(); err != nil {
		return Person{}, fmt.Errorf("registry: new id: %w", err)
	}
	person.Stamp = tx.Stamp("")
	rows, err := tx.db.sealPersons(tx.ctx, []Person{person})
	if err != nil {
		return Person{}, err
	}
	if err := tx.freeNumber(person); err != nil {
		return Person{}, err
	}
	rows[0].CreatedAt, rows[0].CreatedBy = tx.now, tx.actor.Operator
	if err := tx.gorm.Create(&rows[0]).Error; err != nil {
		return Person{}, err
	}
	if err := tx.suspectNew(person, rows[0]); err != nil {
		return Person{}, err
	}
	if err := tx.askAbout(person); err != nil {
		return Person{}, err
	}
	return person, tx.Audit("person.added", "person:"+person.ID.String(), nil)
}

// Check brings what was told into the form in which it is stored, or returns
// the first field that is not as it should be.
func (n NewPerson) Check() (Person, error) {
	person := Person{
		IDType: n.IDType, Ethnic: n.Ethnic, Nationality: n.Nationality, Phone: n.Phone, Address: n.Address, Postcode: n.Postcode,
		Place: n.Place, Locality: n.Locality, HouseholdKind: n.HouseholdKind, Household: n.Household, HouseholdRole: n.HouseholdRole,
		Education: n.Education, Employment: n.Employment, Life: n.Life, Police: "00", Ministry: "unsent",
	}
	for field, usual := range map[*string]string{&person.IDType: DocumentResident, &person.Nationality: "CHN", &person.Life: LifeLiving} {
		if *field == "" {
			*field = usual
		}
	}
	for _, check := range []func(NewPerson, *Person) error{checkNumber, checkBirth, checkNames, checkForms} {
		if err := check(n, &person); err != nil {
			return Person{}, err
		}
	}
	return person, nil
}

// checkNumber reads the number of the person's kind of document.
func checkNumber(n NewPerson, person *Person) error {
	citizen, known := documents[person.IDType]
	var err error
	switch {
	case !known:
		return &FieldError{Field: "idType", ZH: "应为已知的证件类型", EN: "a known kind of document"}
	case citizen:
		if person.IDNumber, err = parseNumber(n.IDNumber); err != nil {
			return invalid("idNumber", err)
		}
	default:
		if person.Document = strings.ToUpper(strings.TrimSpace(n.IDNumber)); !documentForm.MatchString(person.Document) {
			return &FieldError{Field: "idNumber", ZH: "应为 4 至 30 位证件号码（字母、数字）", EN: "a document's number of 4 to 30 letters and digits"}
		}
	}
	return nil
}

// checkBirth takes birth and sex from the citizen's number, or as told.
func checkBirth(n NewPerson, person *Person) error {
	citizen := documents[person.IDType]
	var err error
	if citizen {
		person.Birth, person.Sex = person.IDNumber.Birth(), person.IDNumber.Sex()
	} else if person.Birth = n.Birth; person.Birth.IsZero() {
		return &FieldError{Field: "birth", ZH: "此类证件须填出生日期", EN: "a date of birth is needed with this document"}
	}
	if n.Sex != "" || !citizen {
		if person.Sex, err = gb.ParseSex(n.Sex); err != nil {
			return invalid("sex", err)
		}
	}
	return nil
}

func checkNames(n NewPerson, person *Person) error {
	var err error
	if person.Name, err = gb.NormaliseName(n.Name); err != nil {
		return invalid("name", err)
	}
	if utf8.RuneCountInString(person.Name) > maxName {
		return &FieldError{Field: "name", ZH: "最多 50 个字符", EN: "at most 50 characters"}
	}
	if person.NameTibetan, err = nameIn(n.NameTibetan, "nameTibetan", unicode.Tibetan, "藏文", "Tibetan"); err != nil {
		return err
	}
	person.NameMongolian, err = nameIn(n.NameMongolian, "nameMongolian", unicode.Mongolian, "蒙古文", "Mongolian")
	return err
}

func checkForms(n NewPerson, _ *Person) error {
	if _, err := gb.EthnicByCode(n.Ethnic); err != nil {
		return invalid("ethnic", err)
	}
	return checkTexts(n)
}

// checkTexts looks at the form of what may be left out.
func checkTexts(n NewPerson) error {
	for _, check := range []struct {
		field, value string
		form         *regexp.Regexp
		zh, en       string
	}{
		{"phone", n.Phone, phoneForm, "应为电话号码", "a telephone number"},
		{"postcode", n.Postcode, postcodeForm, "应为 6 位邮政编码", "a postcode of 6 digits"},
		{"nationality", n.Nationality, nationalityForm, "应为 3 个字母的国家代码", "a country code of three letters"},
		{"locality", n.Locality, localityForm, "应为 9 位乡镇或 12 位村（社区）代码", "a code of 9 (township) or 12 digits (community)"},
	} {
		if check.value != "" && !check.form.MatchString(check.value) {
			return &FieldError{Field: check.field, ZH: check.zh, EN: check.en}
		}
	}
	for _, check := range []struct {
		field, value string
		longest      int
	}{
		{"address", n.Address, maxAddress}, {"household", n.Household, maxWord}, {"householdRole", n.HouseholdRole, maxWord},
		{"education", n.Education, maxWord}, {"employment", n.Employment, maxWord},
	} {
		if !utf8.ValidString(check.value) || strings.ContainsRune(check.value, 0) || utf8.RuneCountInString(check.value) > check.longest {
			return &FieldError{Field: check.field, ZH: fmt.Sprintf("最多 %d 个字符", check.longest), EN: fmt.Sprintf("at most %d characters", check.longest)}
		}
	}
	return nil
}

// nameIn normalises a name in a script of its own.
func nameIn(name, field string, script *unicode.RangeTable, zh, en string) (string, error) {
	if name == "" {
		return "", nil
	}
	normal, err := gb.NormaliseName(name)
	if err != nil {
		return "", invalid(field, err)
	}
	for _, r := range normal {
		if r != ' ' && !unicode.Is(script, r) {
			return "", &FieldError{Field: field, ZH: "应为" + zh, EN: "in " + en + " script"}
		}
	}
	if utf8.RuneCountInString(normal) > 4*maxName { // vowels and stacked letters count as characters
		return "", &FieldError{Field: field, ZH: "最多 200 个字符", EN: "at most 200 characters"}
	}
	return normal, nil
}

// parseNumber reads a citizen's number, also one of the old 15 digits.
func parseNumber(number string) (gb.IDNumber, error) {
	if len(number) == gb.OldIDNumberLength {
		return gb.ParseOldIDNumber(number)
	}
	return gb.ParseIDNumber(number)
}
