package gb

import "fmt"

// Problem is one way in which a code can be wrong; compare with errors.Is.
type Problem struct {
	zh, en string
}

// Error returns the Chinese text, then the English.
func (p *Problem) Error() string { return p.zh + " " + p.en }

// What can be wrong with a code.
var (
	// ErrLength: too short or too long.
	ErrLength = &Problem{"长度不对", "wrong length"}
	// ErrCharacter: a character that does not belong there.
	ErrCharacter = &Problem{"含有不允许的字符", "character not allowed"}
	// ErrArea: not the code of a province or of a division.
	ErrArea = &Problem{"行政区划代码不存在", "no such division code"}
	// ErrDate: not a day of the calendar.
	ErrDate = &Problem{"日期不存在", "no such date"}
	// ErrCheck: the check digit or character does not agree.
	ErrCheck = &Problem{"校验码不符", "check digit does not agree"}
	// ErrSequence: the sequence number is out of range.
	ErrSequence = &Problem{"顺序码超出范围", "sequence number out of range"}
	// ErrUnknownCode: the code table has no such code.
	ErrUnknownCode = &Problem{"代码表中没有该代码", "not in the code table"}
	// ErrEmpty: nothing was given.
	ErrEmpty = &Problem{"不能为空", "must not be empty"}
	// ErrTable: a data file contradicts itself.
	ErrTable = &Problem{"数据文件有误", "error in the data file"}
)

// Subject is what a code is the code of.
type Subject struct {
	ZH, EN string
}

// The subjects of this package's errors.
var (
	subjectIDNumber   = Subject{"公民身份号码", "identity number"}
	subjectCardNumber = Subject{"卡号", "card number"}
	subjectDate       = Subject{"日期", "date"}
	subjectName       = Subject{"姓名", "name"}
	subjectSex        = Subject{"性别代码", "sex code"}
	subjectEthnic     = Subject{"民族代码", "ethnic group code"}
)

// FormatError says which code is wrong and how. It never holds the value.
type FormatError struct {
	Subject Subject
	// Problem is one of this package's.
	Problem *Problem
	// Position is the first wrong character counted from 1, 0 where there is none.
	Position int
	// WantZH and WantEN say what was expected, if it can be said.
	WantZH, WantEN string
}

// Error returns the Chinese text, then the English.
func (e *FormatError) Error() string { return e.ZH() + " / " + e.EN() }

// ZH returns the Chinese text.
func (e *FormatError) ZH() string {
	text := e.Subject.ZH
	if e.Position > 0 {
		text += fmt.Sprintf("第 %d 位", e.Position)
	}
	text += e.Problem.zh
	if e.WantZH != "" {
		text += "，应为" + e.WantZH
	}
	return text
}

// EN returns the English text.
func (e *FormatError) EN() string {
	text := e.Subject.EN
	if e.Position > 0 {
		text += fmt.Sprintf(", position %d", e.Position)
	}
	text += ": " + e.Problem.en
	if e.WantEN != "" {
		text += ", want " + e.WantEN
	}
	return text
}

// Unwrap returns the problem, for errors.Is.
func (e *FormatError) Unwrap() error { return e.Problem }
