package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// following is a table whose rows go with a person from one file to the other.
type following struct {
	table string
	owner string   // column of the person
	key   []string // columns by which a row is known among those of the person
	// unless is the condition under which a row stays where it is, because the
	// other file (@to) has its like or it would be about itself.
	unless string
	sealed []string // columns, without _sealed, that are sealed for the person
	bound  []string // columns of the row that they are sealed for
}

// follows is all that changes hands when two files become one. Rows that are
// sealed for their person are sealed anew.
var follows = []following{
	{table: "cards", owner: "person_id", key: []string{"id"}},
	{table: "bank_accounts", owner: "person_id", key: []string{"id"}},
	{table: "insured", owner: "person_id", key: []string{"kind", "place"},
		unless: "EXISTS (SELECT 1 FROM insured other WHERE other.person_id = @to AND other.kind = insured.kind AND other.place = insured.place)"},
	{table: "person_numbers", owner: "person_id", key: []string{"system", "number_index"},
		sealed: []string{"number"}, bound: []string{"person_id"}},
	{table: "old_cards", owner: "person_id", key: []string{"pool", "number_index"},
		sealed: []string{"number"}, bound: []string{"pool", "person_id"}},
	{table: "addresses", owner: "person_id", key: []string{"id"},
		unless: "EXISTS (SELECT 1 FROM addresses other WHERE other.person_id = @to AND other.kind = addresses.kind)"},
	{table: "guardians", owner: "ward_id", key: []string{"relation"},
		unless: "(guardian_id IS NOT NULL AND guardian_id = @to) OR EXISTS (SELECT 1 FROM guardians other WHERE other.ward_id = @to AND other.relation = guardians.relation)",
		sealed: []string{"name", "number"}, bound: []string{"ward_id", "relation"}},
	{table: "guardians", owner: "guardian_id", key: []string{"ward_id", "relation"}, unless: "ward_id = @to"},
	{table: "person_groups", owner: "person_id", key: []string{"label"},
		unless: "EXISTS (SELECT 1 FROM person_groups other WHERE other.person_id = @to AND other.label = person_groups.label)"},
	{table: "attachments", owner: "person_id", key: []string{"id"},
		unless: "kind = 'photo' AND state = 'valid' AND EXISTS (SELECT 1 FROM attachments other WHERE other.person_id = @to AND other.kind = 'photo' AND other.state = 'valid')"},
	{table: "peer_names", owner: "person_id", key: []string{"peer"},
		unless: "EXISTS (SELECT 1 FROM peer_names other WHERE other.person_id = @to AND other.peer = peer_names.peer)",
		sealed: []string{"bytes"}, bound: []string{"person_id", "peer"}},
}

// stays says of every other column that names a person why it is left alone
// when files are merged.
var stays = map[string]string{
	"persons.merged_into":              "the merge itself",
	"merges.kept_id":                   "the merge itself",
	"merges.absorbed_id":               "the merge itself",
	"duplicate_cases.first_id":         "a case is about the files as they were found",
	"duplicate_cases.second_id":        "a case is about the files as they were found",
	"applications.person_id":           "an application stays with the file for which it was made",
	"bank_fees.person_id":              "a fee stays with the file for which it was charged",
	"bank_orders.person_id":            "an order stays with the file for which it was given",
	"batch_items.person_id":            "a row of a batch stays with the file for which it was ordered",
	"transactions.person_id":           "a transaction stays with the file for which it was made",
	"insurance_insured.person_id":      "the back end's own record",
	"insurance_settlements.person_id":  "the back end's own record",
	"insurance_accumulators.person_id": "the back end's own record",
}

// name is what merge_moves calls it.
func (f following) name() string {
	if f.owner == "person_id" {
		return f.table
	}
	return f.table + "." + f.owner
}

// followingRow is a row by the names of its columns.
type followingRow map[string]any

// keyOf is the key of a row as one text.
func (f following) keyOf(row followingRow) string {
	parts := make([]string, len(f.key))
	for i, column := range f.key {
		parts[i] = fmt.Sprint(row[column])
		if digest, ok := row[column].([]byte); ok {
			parts[i] = fmt.Sprintf("%x", digest)
		}
	}
	return strings.Join(parts, "/")
}

// boundTo is the row for which its values are sealed while a person owns it.
func (f following) boundTo(row followingRow, person uuid.UUID) string {
	parts := make([]string, len(f.bound))
	for i, column := range f.bound {
		if parts[i] = fmt.Sprint(row[column]); column == f.owner {
			parts[i] = person.String()
		}
	}
	return strings.Join(parts, "/")
}

// rowsOf reads what belongs to a person. With another file's id, what has to
// stay is left out.
func (tx *Tx) rowsOf(f following, person uuid.UUID, to *uuid.UUID) (rows []followingRow, err error) {
	columns := slices.Concat([]string{f.owner}, f.key, f.bound)
	for _, name := range f.sealed {
		columns = append(columns, name+"_sealed")
	}
	slices.Sort(columns)
	columns = slices.Compact(columns)
	query := tx.gorm.Table(f.table).Select(columns).Where(f.owner+" = ?", person)
	if to != nil && f.unless != "" {
		query = query.Where("NOT ("+f.unless+")", map[string]any{"to": *to})
	}
	found, err := query.Rows()
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		row := followingRow{}
		for i, column := range columns {
			row[column] = values[i]
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

// pass gives a row from one file to the other.
func (tx *Tx) pass(f following, row followingRow, from, to uuid.UUID, reason string) error {
	values := map[string]any{f.owner: to}
	for _, name := range f.sealed {
		sealed, _ := row[name+"_sealed"].([]byte)
		if sealed == nil {
			continue
		}
		plain, err := tx.db.Unseal(tx.ctx, f.table+"."+name, f.boundTo(row, from), sealed)
		if err != nil {
			return err
		}
		if values[name+"_sealed"], err = tx.db.Seal(tx.ctx, f.table+"."+name, f.boundTo(row, to), plain); err != nil {
			return err
		}
	}
	query := tx.gorm.Table(f.table).Where(f.owner+" = ?", from)
	for _, column := range f.key {
		query = query.Where(column+" = ?", row[column])
	}
	return tx.changeOne(query.Updates(tx.Change(values, reason)))
}

// handOver moves what follows a person and notes each row.
func (tx *Tx) handOver(merge, from, to uuid.UUID, reason string) error {
	if err := tx.keepIndexes(); err != nil {
		return err
	}
	for _, f := range follows {
		rows, err := tx.rowsOf(f, from, &to)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := tx.pass(f, row, from, to, reason); err != nil {
				if errors.Is(err, ErrDuplicate) && f.table == "cards" {
					return ErrTwoCards
				}
				return err
			}
			if err := tx.gorm.Create(&moveRow{MergeID: merge, Kind: f.name(), RowKey: f.keyOf(row)}).Error; err != nil {
				return err
			}
		}
	}
	return nil
}

// handBack gives back what a merge moved and what is still where it was put.
func (tx *Tx) handBack(merge mergeRow, reason string) error {
	if err := tx.keepIndexes(); err != nil {
		return err
	}
	var moves []moveRow
	if err := tx.gorm.Where("merge_id = ?", merge.ID).Find(&moves).Error; err != nil {
		return err
	}
	moved := map[string]bool{}
	for _, move := range moves {
		moved[move.Kind+"/"+move.RowKey] = true
	}
	for _, f := range follows {
		rows, err := tx.rowsOf(f, merge.KeptID, nil)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if !moved[f.name()+"/"+f.keyOf(row)] {
				continue
			}
			if err := tx.pass(f, row, merge.KeptID, merge.AbsorbedID, reason); err != nil {
				return err
			}
		}
	}
	return nil
}
