package indicator

import (
	"io"
	"slices"

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

// NameBytes returns the very bytes under which a message of the topic tells a peer the
// name in a record, for [registry.Tx.TellName]; ok is false where it tells none.
func (t *Table) NameBytes(topic, peer string, record Record) (name registry.PeerName, ok bool, err error) {
	if !slices.Contains(t.Messages[topic], fieldName) {
		return registry.PeerName{}, false, nil
	}
	told, err := t.value(fieldName, record[fieldName])
	if err != nil {
		return registry.PeerName{}, false, err
	}
	name = registry.PeerName{Peer: peer, Encoding: t.Encoding}
	_, name.Cut = t.text(t.Fields[fieldName], record[fieldName])
	name.Bytes, err = t.encode(told)
	return name, err == nil, err
}

const fieldName = "name"

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
