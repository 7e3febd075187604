package indicator

import (
	"io"

	"golang.org/x/text/transform"

	"onecard/registry"
)

// OfPerson returns what is recorded of a person as a record.
func OfPerson(p registry.Person) Record {
	return Record{
		"person": p.ID.String(), "idType": p.IDType, "idNumber": p.Number(), "name": p.Name, "nameTibetan": p.NameTibetan,
		"sex": string(p.Sex), "ethnic": p.Ethnic, "birth": p.Birth.String(), "nationality": p.Nationality, "place": p.Place,
		"address": p.Address, "phone": p.Phone, "householdKind": p.HouseholdKind, "life": p.Life,
	}
}

// Writer returns a writer that puts text into a file for the peer, in its
// encoding; UTF-8 with a mark at the beginning, as spreadsheets want it. Close
// does not close the file.
func (t *Table) Writer(file io.Writer) (io.WriteCloser, error) {
	if t.encoding != nil {
		return transform.NewWriter(file, t.encoding.NewEncoder()), nil
	}
	_, err := io.WriteString(file, "\uFEFF")
	return transform.NewWriter(file, transform.Nop), err
}
