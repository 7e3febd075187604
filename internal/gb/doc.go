// Package gb knows the national codes (国家标准代码) that a social security card
// and its papers carry, and nothing else: it has no state, no I/O and no
// business rule.
//
//   - [IDNumber]: the citizen's identity number, GB 11643-1999 公民身份号码, which
//     is the social security number (社会保障号码);
//   - [CardNumber]: the nine characters printed on the card (卡号), with the
//     check character of GB 11714-1997;
//   - [Table]: the divisions of Qinghai (GB/T 2260 行政区划代码) with the dates
//     between which a code was valid and the code that followed it;
//   - [EthnicGroup]: GB/T 3304-1991 民族代码; [Sex]: GB/T 2261.1-2003 性别代码;
//   - [Date]: a day of the calendar, without time and zone;
//   - [NormaliseName]: one form for every way a name is typed.
//
// Values are parsed at the entrance into types which cannot be wrong. An error
// is a [*FormatError]: it says what is wrong and where, in Chinese and English,
// and never repeats the value, which may be personal data.
package gb
