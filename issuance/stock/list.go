package stock

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"onecard/internal/sheet"
	"onecard/registry"
)

// Slot is a card at its position in a box.
type Slot struct {
	Slot int    // from 1
	Card string // serial of a blank, number of a finished card
}

// NewBox is a box as it is packed (装箱单).
type NewBox struct {
	Label string // batch-box-carton, such as 29211-5-3
	Seal  string // 封签号
	Cards []Slot
}

// Delivery is what a maker has sent (送货清单).
type Delivery struct {
	Maker   string // institution
	Kind    string // Blank or Finished
	Product string // of blanks
	List    string // SHA-256 of the list in hexadecimal: it is taken once
	Boxes   []NewBox
}

// What a list may say.
var (
	serialForm = regexp.MustCompile(`^[0-9A-Za-z]{4,64}$`)
	labelForm  = regexp.MustCompile(`^[0-9A-Za-z]{1,16}(-[0-9]{1,6}){0,2}$`)
	sealForm   = regexp.MustCompile(`^[0-9A-Za-z-]{1,40}$`)
)

const (
	maxSlot  = 100_000
	maxCards = 200_000 // of a list
)

// check refuses boxes that are not of the form asked for or name a card or a
// position twice.
func checkBoxes(boxes []NewBox, sealed bool) error {
	cards, labels := map[string]bool{}, map[string]bool{}
	for n, b := range boxes {
		wrong := func(field, zh, en string) error {
			return &registry.FieldError{Field: fmt.Sprintf("boxes[%d].%s", n, field), ZH: zh, EN: en}
		}
		switch {
		case !labelForm.MatchString(b.Label):
			return wrong("label", "箱号应如 29211-5-3（批次-箱-盒）", "a label such as 29211-5-3 (batch-box-carton)")
		case labels[b.Label]:
			return wrong("label", "箱号重复", "a label stands twice")
		case (sealed || b.Seal != "") && !sealForm.MatchString(b.Seal):
			return wrong("seal", "封签号应为 1 至 40 个字母、数字或 -", "a seal number of 1 to 40 letters, digits or -")
		case len(b.Cards) == 0:
			return wrong("cards", "箱内没有卡", "no card in the box")
		}
		labels[b.Label] = true
		slots := map[int]bool{}
		for i, c := range b.Cards {
			field := fmt.Sprintf("cards[%d]", i)
			switch {
			case !serialForm.MatchString(c.Card):
				return wrong(field, "序列号或卡号应为 4 至 64 个字母、数字", "a serial or card number of 4 to 64 letters and digits")
			case cards[c.Card]:
				return wrong(field, "卡重复列出", "a card is listed twice")
			case c.Slot < 1 || c.Slot > maxSlot || slots[c.Slot]:
				return wrong(field, "箱位应为正整数且不重复", "positions are positive and stand once")
			}
			cards[c.Card], slots[c.Slot] = true, true
		}
	}
	if len(cards) == 0 || len(cards) > maxCards {
		return &registry.FieldError{Field: "boxes", ZH: "应有 1 至 200000 张卡", EN: "1 to 200000 cards"}
	}
	return nil
}

// headings are the columns of a list by the names that they go under.
var headings = map[string][]string{
	"serial":  {"serial", "序列号", "芯片序列号", "卡号"},
	"product": {"product", "产品", "产品型号"},
	"box":     {"box", "箱位", "装箱位置"},
	"seal":    {"seal", "封签", "封签号"},
}

// ListError says what is wrong with which line of a list.
type ListError struct {
	Line   int64
	ZH, EN string
}

func (e *ListError) Error() string {
	return fmt.Sprintf("清单第 %d 行：%s / line %d of the list: %s", e.Line, e.ZH, e.Line, e.EN)
}

// Unwrap returns registry.ErrInvalid.
func (e *ListError) Unwrap() error { return registry.ErrInvalid }

// ReadList reads a maker's list (CSV or Excel): a card a line with serial,
// product and box, the position batch-box-carton-slot such as 29211-5-3-1, and
// if need be the seal of the box. All cards are of one product.
func ReadList(path string) (Delivery, error) {
	info, err := sheet.Examine(path)
	if err != nil {
		return Delivery{}, err
	}
	file, err := sheet.Open(path, info, sheet.Options{})
	if err != nil {
		return Delivery{}, err
	}
	defer file.Close()
	d := Delivery{List: hex.EncodeToString(info.Digest[:])}
	column := map[string]int{}
	for name, known := range headings {
		column[name] = slices.IndexFunc(file.Header(), func(h string) bool { return slices.Contains(known, strings.ToLower(h)) })
		if column[name] < 0 && name != "seal" {
			return Delivery{}, &ListError{1, "缺少列 " + known[1], "column " + known[0] + " is missing"}
		}
	}
	for {
		row, err := file.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Delivery{}, err
		}
		if row.Err != nil {
			return Delivery{}, &ListError{row.Number, row.Err.ZH, row.Err.EN}
		}
		line := map[string]string{}
		for name, at := range column {
			if at >= 0 {
				line[name] = row.Cells[at]
			}
		}
		if err := d.add(line); err != nil {
			return Delivery{}, &ListError{row.Number, err.ZH, err.EN}
		}
	}
	return d, checkBoxes(d.Boxes, false)
}

// add takes a line of the list.
func (d *Delivery) add(line map[string]string) *registry.FieldError {
	label, slot, ok := cutSlot(line["box"])
	switch {
	case !ok:
		return &registry.FieldError{Field: "box", ZH: "箱位应如 29211-5-3-1（批次-箱-盒-位）", EN: "a position such as 29211-5-3-1 (batch-box-carton-slot)"}
	case line["product"] == "" || len(line["product"]) > 64 || d.Product != "" && d.Product != line["product"]:
		return &registry.FieldError{Field: "product", ZH: "一份清单只能有一种产品", EN: "a list is of one product"}
	}
	d.Product = line["product"]
	n := len(d.Boxes) - 1
	if n < 0 || d.Boxes[n].Label != label { // the lines of a box stand together in most lists
		n = slices.IndexFunc(d.Boxes, func(b NewBox) bool { return b.Label == label })
	}
	if n < 0 {
		d.Boxes = append(d.Boxes, NewBox{Label: label, Seal: line["seal"]})
		n = len(d.Boxes) - 1
	}
	if d.Boxes[n].Seal != line["seal"] {
		return &registry.FieldError{Field: "seal", ZH: "同一箱的封签号不一致", EN: "two seals of one box"}
	}
	d.Boxes[n].Cards = append(d.Boxes[n].Cards, Slot{Slot: slot, Card: line["serial"]})
	return nil
}

// cutSlot parts a position into the box and the slot in it.
func cutSlot(position string) (label string, slot int, ok bool) {
	at := strings.LastIndexByte(position, '-')
	if at < 0 {
		return "", 0, false
	}
	slot, err := strconv.Atoi(position[at+1:])
	return position[:at], slot, err == nil && slot >= 1 && slot <= maxSlot
}
