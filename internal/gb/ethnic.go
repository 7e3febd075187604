package gb

import (
	"slices"
	"strings"
)

// EthnicGroup is a row of GB/T 3304-1991 (中国各民族名称的罗马字母拼写法和代码).
type EthnicGroup struct {
	// Code is two digits.
	Code string
	// Name is the Chinese name without 族, as the chip's code tables have it.
	Name string
	// Roman is the name in Latin letters by the standard; English for 97 and 98.
	Roman string
	// Letters are the standard's two letters; none for 97 and 98.
	Letters string
}

// ethnicGroups is table 3 of the standard, and the two codes which population
// and insurance systems add to it.
var ethnicGroups = []EthnicGroup{
	{"01", "汉", "Han", "HA"}, {"02", "蒙古", "Mongol", "MG"}, {"03", "回", "Hui", "HU"},
	{"04", "藏", "Zang", "ZA"}, {"05", "维吾尔", "Uygur", "UG"}, {"06", "苗", "Miao", "MH"},
	{"07", "彝", "Yi", "YI"}, {"08", "壮", "Zhuang", "ZH"}, {"09", "布依", "Buyei", "BY"},
	{"10", "朝鲜", "Chosen", "CS"}, {"11", "满", "Man", "MA"}, {"12", "侗", "Dong", "DO"},
	{"13", "瑶", "Yao", "YA"}, {"14", "白", "Bai", "BA"}, {"15", "土家", "Tujia", "TJ"},
	{"16", "哈尼", "Hani", "HN"}, {"17", "哈萨克", "Kazak", "KZ"}, {"18", "傣", "Dai", "DA"},
	{"19", "黎", "Li", "LI"}, {"20", "傈僳", "Lisu", "LS"}, {"21", "佤", "Va", "VA"},
	{"22", "畲", "She", "SH"}, {"23", "高山", "Gaoshan", "GS"}, {"24", "拉祜", "Lahu", "LH"},
	{"25", "水", "Sui", "SU"}, {"26", "东乡", "Dongxiang", "DX"}, {"27", "纳西", "Naxi", "NX"},
	{"28", "景颇", "Jingpo", "JP"}, {"29", "柯尔克孜", "Kirgiz", "KG"}, {"30", "土", "Tu", "TU"},
	{"31", "达斡尔", "Daur", "DU"}, {"32", "仫佬", "Mulao", "ML"}, {"33", "羌", "Qiang", "QI"},
	{"34", "布朗", "Blang", "BL"}, {"35", "撒拉", "Salar", "SL"}, {"36", "毛南", "Maonan", "MN"},
	{"37", "仡佬", "Gelao", "GL"}, {"38", "锡伯", "Xibe", "XB"}, {"39", "阿昌", "Achang", "AC"},
	{"40", "普米", "Pumi", "PM"}, {"41", "塔吉克", "Tajik", "TA"}, {"42", "怒", "Nu", "NU"},
	{"43", "乌孜别克", "Uzbek", "UZ"}, {"44", "俄罗斯", "Russ", "RS"}, {"45", "鄂温克", "Ewenki", "EW"},
	{"46", "德昂", "Deang", "DE"}, {"47", "保安", "Bonan", "BN"}, {"48", "裕固", "Yugur", "YG"},
	{"49", "京", "Gin", "GI"}, {"50", "塔塔尔", "Tatar", "TT"}, {"51", "独龙", "Derung", "DR"},
	{"52", "鄂伦春", "Oroqen", "OR"}, {"53", "赫哲", "Hezhen", "HZ"}, {"54", "门巴", "Monba", "MB"},
	{"55", "珞巴", "Lhoba", "LB"}, {"56", "基诺", "Jino", "JN"},
	{"97", "其他", "Others", ""}, {"98", "外国血统中国籍人士", "Foreign descent, Chinese nationality", ""},
}

// EthnicGroups returns all groups by code.
func EthnicGroups() []EthnicGroup { return slices.Clone(ethnicGroups) }

// EthnicByCode returns the group with the code; another text is a *FormatError
// of ErrUnknownCode.
func EthnicByCode(code string) (EthnicGroup, error) {
	return findEthnic(func(g EthnicGroup) bool { return g.Code == code })
}

// EthnicByName returns the group with the Chinese name, with or without 族.
func EthnicByName(name string) (EthnicGroup, error) {
	name = strings.TrimSuffix(name, "族")
	return findEthnic(func(g EthnicGroup) bool { return g.Name == name })
}

// findEthnic returns the first group that is wanted.
func findEthnic(wanted func(EthnicGroup) bool) (EthnicGroup, error) {
	i := slices.IndexFunc(ethnicGroups, wanted)
	if i < 0 {
		return EthnicGroup{}, &FormatError{subjectEthnic, ErrUnknownCode, 0, " 01 至 56、97、98", "01 to 56, 97 or 98"}
	}
	return ethnicGroups[i], nil
}
