package province

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"

	"onecard/internal/gb"
)

// Layouts in which a province can be written: the headings of the systems that
// an import knows.
var Layouts = map[string][]string{
	"pension": strings.Split("个人编号,姓名,证件类型,公民身份号码,性别,民族,出生日期,户口性质,户口所在地行政区划,户籍地址,通讯地址,邮政编码,移动电话,参保险种,参保状态,单位编号,单位名称,参加工作日期,开户银行,银行账号,藏文姓名,户号,与户主关系,监护人姓名,监护人证件号码,生存状态", ","),
	"medical": strings.Split("统筹区,医保卡号,医保个人编号,姓名,身份证号,性别,民族,出生日期,人员类别,参保日期,账户余额,联系电话,住址,卡状态", ","),
	"labour":  strings.Split("登记号,姓名,身份证号码,性别,民族,出生年月,文化程度,户口性质,就业状态,登记日期,常住地区划,常住地址,联系电话,求职意向", ","),
	"talent":  strings.Split("档案号,姓名,身份证号码,性别,民族,出生日期,学历,毕业学校,毕业时间,所学专业,职称,工作单位,联系电话,电子邮箱,户籍地", ","),
}

// flaw is one kind of error: how it spoils a row, and the reasons of which an
// import must name one. No reason: the import takes the row as known already.
type flaw struct {
	kind  string
	codes []string
	spoil func(w *Writer, row *Resident, cells map[string]string)
}

// flaws are the twelve kinds of error that one row in a hundred has.
var flaws = []flaw{
	{"check-digit", []string{"invalid-idNumber", "digits-lost"}, func(_ *Writer, r *Resident, _ map[string]string) {
		r.IDNumber = r.IDNumber[:17] + string("1032547698"[(r.IDNumber[17]-'0')%10])
	}},
	{"impossible-date", []string{"invalid-idNumber", "digits-lost"}, func(_ *Writer, r *Resident, _ map[string]string) {
		r.IDNumber = r.IDNumber[:10] + "1332" + r.IDNumber[14:]
	}},
	{"sex", []string{"sex-number"}, func(_ *Writer, r *Resident, cells map[string]string) {
		cells["性别"] = map[gb.Sex]string{gb.Male: "女", gb.Female: "男"}[r.Sex]
	}},
	{"birth", []string{"birth-number"}, func(_ *Writer, _ *Resident, cells map[string]string) {
		cells["出生日期"], cells["出生年月"] = "1931-01-01", "193101"
	}},
	{"ethnic", []string{"unknown-code"}, func(_ *Writer, _ *Resident, cells map[string]string) { cells["民族"] = "青海" }},
	{"place", []string{"unknown-place"}, func(_ *Writer, _ *Resident, cells map[string]string) {
		for _, column := range []string{"户口所在地行政区划", "统筹区", "常住地区划", "户籍地"} {
			cells[column] = "639999"
		}
	}},
	{"no-name", []string{"empty"}, func(_ *Writer, r *Resident, _ map[string]string) { r.Name = "" }},
	{"character", []string{"invalid-name"}, func(_ *Writer, r *Resident, _ map[string]string) { r.Name += "\u200b" }},
	{"number-of-another", []string{"number-other-name", "number-twice"}, func(w *Writer, r *Resident, _ map[string]string) {
		r.IDNumber, r.Sex, r.Birth = w.before.IDNumber, w.before.Sex, w.before.Birth
	}},
	{"twice", []string{"number-twice", ""}, func(w *Writer, r *Resident, _ map[string]string) { *r = w.before }},
	{"phone", []string{"invalid-phone"}, func(_ *Writer, r *Resident, _ map[string]string) { r.Phone = "无" }},
	{"no-number", []string{"empty"}, func(_ *Writer, r *Resident, _ map[string]string) { r.IDNumber = "" }},
}

// Kinds returns the kinds of error with the reasons that an import may give.
func Kinds() map[string][]string {
	kinds := map[string][]string{}
	for _, f := range flaws {
		kinds[f.kind] = f.codes
	}
	return kinds
}

// Writer writes a province as the table of a system, and the account of its
// errors.
type Writer struct {
	Layout string
	Errors int // of how many rows one has an error; 0: none
	before Resident
	random *rand.Rand
}

// Write writes residents to out as CSV, and to truth the line and kind of each
// error. Lines are counted as a person sees them: the heading is line 1.
func (w *Writer) Write(p *Province, residents int, out, truth io.Writer) error {
	heading, ok := Layouts[w.Layout]
	if !ok {
		return fmt.Errorf("province: no layout %.20q", w.Layout)
	}
	w.random = rand.New(rand.NewPCG(uint64(residents), 7))
	table, account := bufio.NewWriterSize(out, 1<<18), bufio.NewWriter(truth)
	fmt.Fprintln(table, strings.Join(heading, ","))
	fmt.Fprintln(account, "行号,错误")
	for n := range residents {
		r := p.Next()
		cells := map[string]string{}
		if w.Errors > 0 && n > 0 && w.random.IntN(w.Errors) == 0 {
			f := flaws[w.random.IntN(len(flaws))]
			good := r
			f.spoil(w, &r, cells)
			fmt.Fprintf(account, "%d,%s\n", n+2, f.kind)
			w.line(table, heading, r, cells)
			w.before = good
			continue
		}
		w.line(table, heading, r, nil)
		w.before = r
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("province: %w", err)
	}
	if err := account.Flush(); err != nil {
		return fmt.Errorf("province: %w", err)
	}
	return nil
}

func (w *Writer) line(out *bufio.Writer, heading []string, r Resident, changed map[string]string) {
	for i, column := range heading {
		if i > 0 {
			_ = out.WriteByte(',') // Flush tells
		}
		value, ok := changed[column]
		if !ok {
			value = cell(column, r)
		}
		_, _ = out.WriteString(value)
	}
	_ = out.WriteByte('\n')
}

var sexes = map[gb.Sex]string{gb.Male: "男", gb.Female: "女"}

// cell is what a system says under a heading.
func cell(column string, r Resident) string {
	switch column {
	case "姓名":
		return r.Name
	case "公民身份号码", "身份证号", "身份证号码":
		return r.IDNumber
	case "性别":
		return sexes[r.Sex]
	case "民族":
		group, err := gb.EthnicByCode(r.Ethnic)
		if err != nil {
			return r.Ethnic
		}
		return group.Name
	case "出生日期":
		return r.Birth.String()
	case "出生年月":
		return r.Birth.String()[:7]
	case "户口所在地行政区划", "常住地区划", "户籍地", "统筹区":
		return r.Place
	case "通讯地址", "常住地址", "住址", "户籍地址":
		return r.Address
	case "移动电话", "联系电话":
		return r.Phone
	case "藏文姓名":
		return r.NameTibetan
	}
	return constants(column, r)
}

// systemNumbers are the beginnings of the systems' own numbers.
var systemNumbers = map[string]string{"个人编号": "P", "医保个人编号": "M", "登记号": "L", "档案号": "D", "医保卡号": "YB"}

func constants(column string, r Resident) string {
	if beginning, ok := systemNumbers[column]; ok {
		return fmt.Sprintf("%s%09d", beginning, r.Number)
	}
	switch column {
	case "证件类型":
		return "居民身份证"
	case "户口性质":
		if r.Rural {
			return "农业"
		}
		return "非农业"
	case "参保险种":
		if r.Rural {
			return "新农保、居民医疗"
		}
		return "养老、医疗"
	case "参保状态":
		return "正常参保"
	case "户号":
		return fmt.Sprintf("H%08d", r.Household)
	case "人员类别":
		return "居民"
	case "账户余额":
		return fmt.Sprintf("%d.%02d", r.Number%900, r.Number%100)
	case "卡状态", "生存状态":
		return "正常"
	case "邮政编码":
		return "810000"
	}
	return ""
}

// LayoutNames returns the layouts in order.
func LayoutNames() []string {
	names := make([]string, 0, len(Layouts))
	for name := range Layouts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
