package authentication

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"onecard/card/profile"
)

//go:embed forms.yaml
var formsFile []byte

// form is one request with its answer as data (报文格式).
type form struct {
	Service                           string
	Title                             profile.Text
	Internal, External, Secure, Debit string // names of keys
	Fields, Optional, Answer          []string
	Source                            string
	Assumed                           bool
}

// forms is the file of forms.
type forms struct {
	Requests []form
	Commands map[string]map[string]string
	Debit    struct {
		Factor, MAC1, MAC2, TAC []string
		Assumed                 bool
	}
	Addresses map[string]string
}

// fixed returns the key that the form names itself, but the one of an internal
// authentication; empty where the request names it.
func (f *form) fixed() string { return f.External + f.Secure + f.Debit }

// fields calls visit for each field of the form.
func (f *form) fields(visit func(name string, needed bool)) {
	for _, name := range f.Fields {
		visit(name, !slices.Contains(f.Optional, name))
	}
}

// decodeYAML reads one strict document.
func decodeYAML(text []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	return nil
}

// parseForms reads the file of forms and refuses names that nobody knows.
func parseForms(text []byte) (*forms, error) {
	var f forms
	if err := decodeYAML(text, &f); err != nil {
		return nil, fmt.Errorf("authentication: forms: %w", err)
	}
	for _, line := range f.Requests {
		asked, answered := new(Message).named(), new(Answer).named()
		unknown := func(name string) bool { return asked[name] == nil }
		if slices.ContainsFunc(line.Fields, unknown) || slices.ContainsFunc(line.Answer, func(name string) bool { return answered[name] == nil }) {
			return nil, fmt.Errorf("authentication: forms: service %s: unknown field", line.Service)
		}
	}
	for algorithm, commands := range f.Commands {
		for _, header := range commands {
			if raw, err := hex.DecodeString(header); err != nil || len(raw) != 5 || header != strings.ToUpper(header) {
				return nil, fmt.Errorf("authentication: forms: commands of algorithm %s: five bytes in upper-case hexadecimal", algorithm)
			}
		}
	}
	terms := debitTerms(&request{})
	for _, name := range slices.Concat(f.Debit.Factor, f.Debit.MAC1, f.Debit.MAC2, f.Debit.TAC) {
		if _, ok := terms[name]; !ok {
			return nil, fmt.Errorf("authentication: forms: debit: unknown term %s", name)
		}
	}
	return &f, nil
}

// find returns the form of a request; key is the name of the key it names.
func (f *forms) find(service, key string) (*form, error) {
	var only *form
	for i := range f.Requests {
		line := &f.Requests[i]
		if line.Service != service {
			continue
		}
		if line.fixed() == "" || line.fixed() == key || line.Internal != "" {
			return line, nil
		}
		only = line
	}
	if only == nil {
		return nil, invalid("service", "应为 01、02、03 或 04", "01, 02, 03 or 04")
	}
	return nil, invalid("key", "此服务不用这个密钥", "the service does not work with this key")
}
