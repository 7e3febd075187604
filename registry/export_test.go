package registry

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
