package registry

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Fields of a person that are shown masked unless somebody asks for them with a
// reason (脱敏字段).
var maskedFields = []string{"address", "addresses", "guardians", "householdNumber", "idNumber", "phone"}

// Unmask returns fields of a person in clear (查看明文). Who asked, from where,
// for which fields and why is recorded in the same transaction: without the
// record nothing is shown. Further addresses come as addresses.<kind>, numbers
// of guardians as guardians.<relation>. Errors: ErrInvalid, ErrNotFound.
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
			case "householdNumber":
				values[field] = person.Household
			case "addresses":
				err = tx.unmaskAddresses(id, values)
			case "guardians":
				err = tx.unmaskGuardians(id, values, reason)
			}
			if err != nil {
				return err
			}
		}
		return tx.Audit("person.unmasked", "person:"+id.String(), map[string]string{"fields": strings.Join(fields, " "), "reason": reason})
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

func (tx *Tx) unmaskAddresses(person uuid.UUID, values map[string]string) error {
	addresses, err := tx.db.AddressesAt(tx.ctx, person, tx.now)
	for _, a := range addresses {
		values["addresses."+a.Kind] = a.Text
	}
	return err
}

// unmaskGuardians also records the showing for guardians with a file of their own.
func (tx *Tx) unmaskGuardians(ward uuid.UUID, values map[string]string, reason string) error {
	guardians, err := tx.db.GuardiansAt(tx.ctx, ward, tx.now)
	if err != nil {
		return err
	}
	for _, g := range guardians {
		values["guardians."+g.Relation] = g.Number
		if g.Person == nil {
			continue
		}
		if err := tx.Audit("person.unmasked", "person:"+g.Person.String(), map[string]string{"fields": "idNumber", "reason": reason}); err != nil {
			return err
		}
	}
	return nil
}
