package gb

// Sex is a code of GB/T 2261.1-2003 (人的性别代码).
type Sex string

// The codes.
const (
	// SexUnknown is 未知的性别.
	SexUnknown Sex = "0"
	// Male is 男性.
	Male Sex = "1"
	// Female is 女性.
	Female Sex = "2"
	// SexNotStated is 未说明的性别.
	SexNotStated Sex = "9"
)

// ParseSex reads a code; another text is a *FormatError of ErrUnknownCode.
func ParseSex(code string) (Sex, error) {
	switch sex := Sex(code); sex {
	case SexUnknown, Male, Female, SexNotStated:
		return sex, nil
	}
	return "", &FormatError{subjectSex, ErrUnknownCode, 0, " 0、1、2、9", "0, 1, 2 or 9"}
}

// ZH returns the Chinese name as cards and forms write it.
func (s Sex) ZH() string {
	switch s {
	case Male:
		return "男"
	case Female:
		return "女"
	case SexNotStated:
		return "未说明"
	}
	return "未知"
}

// EN returns the English name.
func (s Sex) EN() string {
	switch s {
	case Male:
		return "male"
	case Female:
		return "female"
	case SexNotStated:
		return "not stated"
	}
	return "unknown"
}
