package registry

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Fields of a person that are shown masked unless somebody asks for them with a
// reason (脱敏字段).
var maskedFields = []string{"address", "idNumber", "phone"}

// Unmask returns fields of a person in clear (查看明文). Who asked, from where,
// for which fields and why is recorded in the same transaction: without the
// record nothing is shown. Errors: ErrInvalid, ErrNotFound.
func (db *DB) Unmask(ctx context.Context, actor Actor, id uuid.UUID, fields []string, reason string) (map[string]string, error) {
	if err := checkReason(reason); err != nil {
		return nil, err
	}
	for _, field := range fields {
		if !slices.Contains(maskedFields, field) {
			return nil, &FieldError{Field: "fields", ZH: "应为 " + strings.Join(maskedFields, "、"), EN: "among " + strings.Join(maskedFields, ", ")}
		}
	}
	values := map[string]string{}
	err := db.InTx(ctx, actor, func(tx *Tx) error {
		person, err := tx.PersonByID(id)
		if err != nil {
			return err
		}
		for _, field := range fields {
			switch field {
			case "idNumber":
				values[field] = person.Number()
			case "phone":
				values[field] = person.Phone
			case "address":
				values[field] = person.Address
			}
		}
		return tx.Audit("person.unmasked", "person:"+id.String(), map[string]string{"fields": strings.Join(fields, " "), "reason": reason})
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}
