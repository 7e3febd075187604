package registry

import "log/slog"

// What these hold is nobody's to log: a log tells whose file it was.

// LogValue returns the person's id.
func (p Person) LogValue() slog.Value { return slog.StringValue("person:" + p.ID.String()) }

// LogValue returns nothing of the person.
func (NewPerson) LogValue() slog.Value { return slog.StringValue("person") }

// LogValue returns nothing of what was told.
func (Reported) LogValue() slog.Value { return slog.StringValue("told") }

// LogValue returns the case's id and rule.
func (c DuplicateCase) LogValue() slog.Value {
	return slog.StringValue("case:" + c.ID.String() + " " + c.Rule)
}
