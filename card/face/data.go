package face

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg" // the forms of photographs
	_ "image/png"
	"strings"

	"onecard/internal/gb"
)

// Data is what is printed (卡面数据集). It holds personal data: not for logs.
type Data struct {
	Name        string  // 姓名 AAC003
	NameTibetan string  // 藏文姓名, may be empty
	Number      string  // 社会保障号码 AAC002, or the number of the holder's other document
	Birth       gb.Date // says whether a photograph is needed
	CardNumber  string  // 卡号 AAZ500
	IssuedOn    gb.Date // 发卡日期 AAZ503
	ExpiresOn   gb.Date // 有效期限 AAZ162
	Issuer      string  // 发卡机构
	Bank        string  // 银行 and 银行卡号 on one line, may be empty
	Photo       []byte  // 照片, JPEG or PNG; may be empty for small children
}

// A FieldError says which field cannot be printed and why.
type FieldError struct{ Field, ZH, EN string }

func (e *FieldError) Error() string { return e.Field + "：" + e.ZH + " / " + e.EN }

// fields are the values by the names that a layout uses.
func (d Data) fields() map[string]string {
	return map[string]string{
		"name": d.Name, "nameTibetan": d.NameTibetan, "number": d.Number, "cardNumber": d.CardNumber, "issuer": d.Issuer, "bank": d.Bank,
		"issuedOn": "发卡 " + day(d.IssuedOn), "validity": day(d.IssuedOn) + " — " + day(d.ExpiresOn),
	}
}

// mayBeEmpty are the fields that not every card has.
var mayBeEmpty = map[string]bool{"nameTibetan": true, "bank": true}

func day(d gb.Date) string { return strings.ReplaceAll(d.String(), "-", ".") }

// check says what is missing before anything is drawn.
func (d Data) check(photoFrom int) error {
	for name, value := range d.fields() {
		if value == "" && !mayBeEmpty[name] {
			return &FieldError{name, "不能为空", "must not be empty"}
		}
	}
	if len(d.Photo) > 0 || d.Birth.Age(d.IssuedOn) < photoFrom {
		return nil
	}
	return &FieldError{"photo", fmt.Sprintf("没有照片，满 %d 岁须有照片", photoFrom), fmt.Sprintf("no photograph: needed from the age of %d", photoFrom)}
}

// Limits of a photograph in pixels: sharp enough on the card, and no bomb.
const (
	leastPixels = 100
	mostPixels  = 4000
)

// photoKind returns what a photograph is encoded as.
func photoKind(photo []byte) (string, error) {
	config, kind, err := image.DecodeConfig(bytes.NewReader(photo))
	if err != nil {
		return "", &FieldError{"photo", "照片无法识别，应为 JPEG 或 PNG", "not a photograph in JPEG or PNG"}
	}
	if min(config.Width, config.Height) < leastPixels || max(config.Width, config.Height) > mostPixels {
		return "", &FieldError{"photo", fmt.Sprintf("照片每边应为 %d 至 %d 像素", leastPixels, mostPixels), fmt.Sprintf("each side must have %d to %d pixels", leastPixels, mostPixels)}
	}
	return kind, nil
}
