package collective

import (
	"errors"

	"onecard/card"
	"onecard/issuance"
	"onecard/registry"
)

// words says in words why a row was refused or is a draft; false for an error
// that is not the row's.
func words(err error) (code, zh, en string, known bool) {
	var field *registry.FieldError
	var refusal *issuance.Error
	var encode *card.EncodeError
	switch {
	case errors.As(err, &refusal):
		return refusal.Code, refusal.Text.ZH, refusal.Text.EN, true
	case errors.As(err, &field):
		name := field.Field
		if names := columns()[name]; len(names) > 0 {
			name = names[0]
		}
		return "invalid", name + "：" + field.ZH, field.Field + ": " + field.EN, true
	case errors.As(err, &encode): // the words without the character, which is of a name
		return "not-on-chip", encode.Element.ZH + "：芯片无法写入", encode.Element.EN + ": the chip cannot hold it", true
	case errors.Is(err, registry.ErrDuplicate):
		return "duplicate", "号码已登记", "the number is registered already", true
	}
	return "", "", "", false
}
