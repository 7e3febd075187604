package registry

// SequenceOf is the migrations of one database.
var SequenceOf = sequenceOf
