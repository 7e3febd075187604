package ministry

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"onecard/registry"
)

//go:embed schema.yaml
var builtIn []byte

// Schema is the ministry's interface as data (接口规范).
type Schema struct {
	Assumed  bool               `yaml:"assumed"`
	Version  string             `yaml:"version"`
	Sender   string             `yaml:"sender"`
	Path     string             `yaml:"path"`
	Messages map[string]Message `yaml:"messages"`
	// Answers maps the ministry's codes to events of [Copies].
	Answers map[string]string            `yaml:"answers"`
	Tables  map[string]map[string]string `yaml:"tables"`
}

// Message is a kind of message.
type Message struct {
	Code   string  `yaml:"code"`
	Rows   bool    `yaml:"rows"` // it has any number of rows
	Fields []Field `yaml:"fields"`
}

// Field is an item of a message: our name, the indicator under which it travels.
type Field struct {
	Name     string `yaml:"name"`
	Code     string `yaml:"code"`
	Length   int    `yaml:"length"` // in characters
	Required bool   `yaml:"required"`
	Table    string `yaml:"table"` // of codes, ours to the ministry's
}

// ErrSchema: a schema by which nothing can be sent.
var ErrSchema = errors.New("部级接口规范有误 wrong schema of the ministry's interface")

// kinds are the messages that the adapter sends.
var kinds = []string{"register", "status", "query", "statistics", "list"}

// ParseSchema reads a schema and checks it.
func ParseSchema(text []byte) (*Schema, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var s Schema
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return &s, nil
}

// BuiltIn returns the schema of the program.
func BuiltIn() (*Schema, error) { return ParseSchema(builtIn) }

func (s *Schema) check() error {
	if s.Version == "" || s.Sender == "" || s.Path == "" {
		return errors.New("version, sender, path")
	}
	for _, kind := range kinds {
		m, ok := s.Messages[kind]
		if !ok || m.Code == "" || len(m.Fields) == 0 {
			return fmt.Errorf("messages: %s: code and fields", kind)
		}
		names, codes := map[string]bool{}, map[string]bool{}
		for _, f := range m.Fields {
			if f.Name == "" || f.Code == "" || names[f.Name] || codes[f.Code] || f.Length <= 0 || f.Table != "" && s.Tables[f.Table] == nil {
				return fmt.Errorf("messages: %s: field %q: name and code once each, a length, a table that there is", kind, f.Name)
			}
			names[f.Name], codes[f.Code] = true, true
		}
	}
	for code, event := range s.Answers {
		if _, ok := Copies.Rule(Sent, event); !ok {
			return fmt.Errorf("answers: %s: no event %q", code, event)
		}
	}
	return nil
}

// encode makes the items of a message from values by our names. What does not fit
// is refused by name: nothing is cut off.
func (s *Schema) encode(kind string, values map[string]string) (map[string]string, error) {
	items := make(map[string]string, len(values))
	used := 0
	for _, f := range s.Messages[kind].Fields {
		value, given := values[f.Name]
		if given {
			used++
		}
		if value == "" {
			if f.Required {
				return nil, &registry.FieldError{Field: f.Name, ZH: "部级接口必填", EN: "the ministry's interface needs it"}
			}
			continue
		}
		if f.Table != "" {
			theirs, ok := s.Tables[f.Table][value]
			if !ok {
				return nil, &registry.FieldError{Field: f.Name, ZH: "部级代码表中没有对应的代码", EN: "the ministry's table has no such code"}
			}
			value = theirs
		}
		if utf8.RuneCountInString(value) > f.Length {
			return nil, &registry.FieldError{Field: f.Name, ZH: fmt.Sprintf("部级接口至多 %d 个字", f.Length), EN: fmt.Sprintf("%d characters at most in the ministry's interface", f.Length)}
		}
		items[f.Code] = value
	}
	if used != len(values) {
		return nil, fmt.Errorf("%w: messages: %s: a value that it has no field for", ErrSchema, kind)
	}
	return items, nil
}
