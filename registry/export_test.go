package registry

import "slices"

// SequenceOf is the migrations of one database.
var SequenceOf = sequenceOf

// Dealt returns the columns naming a person that a merge moves or leaves alone.
func Dealt() map[string]bool {
	dealt := map[string]bool{}
	for _, f := range follows {
		dealt[f.table+"."+f.owner] = true
	}
	for column := range stays {
		dealt[column] = false
	}
	return dealt
}

// MovingColumns are the columns whose digests go to a new version of the key.
func MovingColumns() map[string]bool {
	moving := map[string]bool{}
	for _, t := range digestTables {
		for _, c := range t.columns {
			moving[t.name+"."+c.name] = true
		}
	}
	moving["bank_statement_rows.account_index"] = slices.Contains(passingIndexes, "bank_statement_rows")
	return moving
}
