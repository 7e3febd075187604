package api

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// words are a rule in both languages.
type words struct{ zh, en string }

var (
	required     = words{"必填", "required"}
	unknownField = words{"没有这个字段", "there is no such field"}
	wrongForm    = words{"格式不对", "wrong form"}
)

// invalidRequest names the fields that the validator found fault with and the
// rules that they break. Neither values nor the schema are repeated: the
// validator's own texts hold both.
func invalidRequest(err error) error {
	var found []FieldProblem
	collect(err, "", &found)
	return &fieldsError{fields: sorted(found)}
}

// collect walks through what the validator returns: lists of errors, each
// about a parameter or the body. place is where the value lies that the error
// is about.
func collect(err error, place string, found *[]FieldProblem) {
	add := func(field string, rule words) {
		*found = append(*found, FieldProblem{Field: field, Zh: rule.zh, En: rule.en})
	}
	switch e := err.(type) { // by its own type: what it wraps is about a part of it
	case openapi3.MultiError:
		for _, each := range e {
			collect(each, place, found)
		}
	case *openapi3filter.RequestError:
		if e.Parameter != nil {
			place = e.Parameter.Name
		}
		if errors.Is(e.Err, openapi3filter.ErrInvalidRequired) || errors.Is(e.Err, openapi3filter.ErrInvalidEmptyValue) {
			add(place, required)
			return
		}
		collect(e.Err, place, found)
	case *openapi3.SchemaError:
		if e.SchemaField != "properties" {
			add(join(place, e.JSONPointer()), ruleOf(e))
			return
		}
		for _, name := range unknownNames(e) {
			add(join(place, append(e.JSONPointer(), name)), unknownField)
		}
	default:
		add(place, wrongForm)
	}
}

// unknownNames returns the names in an object that its schema does not have.
func unknownNames(err *openapi3.SchemaError) []string {
	object, _ := err.Value.(map[string]any)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if err.Schema.Properties[name] == nil {
			names = append(names, nameable(name))
		}
	}
	return names
}

var nameForm = regexp.MustCompile(`^[A-Za-z][A-Za-z_-]{0,39}$`)

// nameable returns a name that a client made up, if it can be no data.
func nameable(name string) string {
	if nameForm.MatchString(name) {
		return name
	}
	return "?"
}

// join writes a place in a request as people do: items[0].fen.
func join(place string, pointer []string) string {
	for _, step := range pointer {
		switch _, err := strconv.Atoi(step); {
		case err == nil:
			place += "[" + step + "]"
		case place == "":
			place = step
		default:
			place += "." + step
		}
	}
	return place
}

// ruleOf puts the rule that a value broke into words.
func ruleOf(err *openapi3.SchemaError) words {
	schema := err.Schema
	switch err.SchemaField {
	case "required":
		return required
	case "nullable":
		return words{"不能为 null", "must not be null"}
	case "type":
		return typeRule(schema)
	case "enum":
		return enumRule(schema)
	case "pattern":
		return patternRule(schema)
	case "format":
		return formatRule(schema)
	case "minLength", "maxLength":
		return lengthRule(schema)
	case "minItems", "maxItems":
		return between(float64(schema.MinItems), number(schema.MaxItems), "项", "items")
	case "minimum", "maximum":
		return between(deref(schema.Min, 0), schema.Max, "", "")
	default:
		return wrongForm
	}
}

func typeRule(schema *openapi3.Schema) words {
	for name, rule := range map[string]words{
		openapi3.TypeString:  {"应为文字", "must be text"},
		openapi3.TypeInteger: {"应为整数", "must be a whole number"},
		openapi3.TypeArray:   {"应为列表", "must be a list"},
		openapi3.TypeObject:  {"应为对象", "must be an object"},
		openapi3.TypeBoolean: {"应为 true 或 false", "must be true or false"},
	} {
		if schema.Type.Is(name) {
			return rule
		}
	}
	return wrongForm
}

func enumRule(schema *openapi3.Schema) words {
	var allowed []string
	for _, value := range schema.Enum {
		allowed = append(allowed, fmt.Sprint(value))
	}
	list := strings.Join(allowed, ", ")
	return words{"应为其中之一：" + list, "must be one of: " + list}
}

// patternRule takes the words beside the pattern in the contract.
func patternRule(schema *openapi3.Schema) words {
	rule, _ := schema.Extensions["x-rule"].(map[string]any)
	zh, _ := rule["zh"].(string)
	en, _ := rule["en"].(string)
	if zh == "" || en == "" {
		return wrongForm
	}
	return words{"应为" + zh, "must be " + en}
}

func formatRule(schema *openapi3.Schema) words {
	switch schema.Format {
	case "uuid":
		return words{"应为 UUID", "must be a UUID"}
	case "int64":
		return words{"应为整数", "must be a whole number"}
	default:
		return wrongForm
	}
}

func lengthRule(schema *openapi3.Schema) words {
	return between(float64(schema.MinLength), number(schema.MaxLength), "个字符", "characters")
}

func between(low float64, high *float64, unitZH, unitEN string) words {
	from := strconv.FormatFloat(low, 'f', -1, 64)
	if high == nil {
		return words{strings.TrimSpace("至少 " + from + " " + unitZH), strings.TrimSpace("at least " + from + " " + unitEN)}
	}
	to := strconv.FormatFloat(*high, 'f', -1, 64)
	if from == to {
		return words{strings.TrimSpace("应为 " + from + " " + unitZH), strings.TrimSpace("must be " + from + " " + unitEN)}
	}
	return words{
		strings.TrimSpace("应为 " + from + " 至 " + to + " " + unitZH),
		strings.TrimSpace("must be " + from + " to " + to + " " + unitEN),
	}
}

func number(n *uint64) *float64 {
	if n == nil {
		return nil
	}
	f := float64(*n)
	return &f
}

func deref[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
