package sample

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
	"onecard/registry"
)

//go:embed province.yaml
var provinceFile []byte

//go:embed residents.yaml
var residentsFile []byte

// ErrNotTrial: the database is not marked as one for trials.
var ErrNotTrial = errors.New("数据库未标记为试用，不装入示例数据 the database is not marked for trials, no sample data loaded")

// loader is the actor of what is loaded.
var loader = registry.Actor{Operator: "sample", Place: "630000"}

// Operator is an operator with the printed password.
type Operator struct {
	registry.Operator `yaml:",inline"`
	Password          string
}

// Province is the sample province.
type Province struct {
	Institutions []registry.Institution
	Workstations []registry.Workstation
	Operators    []Operator
	Residents    []registry.NewPerson `yaml:"-"`
}

// resident is an entry of residents.yaml.
type resident struct {
	Name     string
	Tibetan  string
	Ethnic   string
	Area     string
	Birth    gb.Date
	Sequence int
	Phone    string
	Place    string
	Address  string
}

// Read returns the sample province from the files of this package.
func Read() (Province, error) {
	var province Province
	if err := decode(provinceFile, &province); err != nil {
		return Province{}, fmt.Errorf("sample: province.yaml: %w", err)
	}
	var residents []resident
	if err := decode(residentsFile, &residents); err != nil {
		return Province{}, fmt.Errorf("sample: residents.yaml: %w", err)
	}
	for _, r := range residents {
		number, err := gb.NewIDNumber(r.Area, r.Birth, r.Sequence)
		if err != nil {
			return Province{}, fmt.Errorf("sample: residents.yaml: %w", err)
		}
		province.Residents = append(province.Residents, registry.NewPerson{
			IDNumber: number.String(), Name: r.Name, NameTibetan: r.Tibetan, Ethnic: r.Ethnic,
			Phone: r.Phone, Address: r.Address, Place: r.Place,
		})
	}
	return province, nil
}

// decode reads YAML and refuses fields that it does not know.
func decode(file []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	return decoder.Decode(into)
}

// Load puts the sample province into a database marked for trials, or returns
// [ErrNotTrial]. What is there already stays as it is.
func Load(ctx context.Context, db *registry.DB) error {
	if trial, err := db.Trial(ctx); err != nil {
		return fmt.Errorf("sample: %w", err)
	} else if !trial {
		return ErrNotTrial
	}
	province, err := Read()
	if err != nil {
		return err
	}
	for _, step := range province.steps(ctx, db) {
		if err := step.run(ctx, db); err != nil {
			return fmt.Errorf("sample: %s: %w", step.what, err)
		}
	}
	return nil
}

// step adds one thing unless it is there.
type step struct {
	what string // for errors: no personal data
	find func() error
	add  func(tx *registry.Tx) error
}

func (s step) run(ctx context.Context, db *registry.DB) error {
	if err := s.find(); !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	err := db.InTx(ctx, loader, s.add)
	if errors.Is(err, registry.ErrDuplicate) {
		return nil // another has loaded it meanwhile
	}
	return err
}

func (p Province) steps(ctx context.Context, db *registry.DB) []step {
	var steps []step
	for _, institution := range p.Institutions {
		steps = append(steps, step{
			what: "institution " + institution.ID,
			find: func() error { _, err := db.Institution(ctx, institution.ID); return err },
			add:  func(tx *registry.Tx) error { return tx.AddInstitution(institution) },
		})
	}
	for _, workstation := range p.Workstations {
		steps = append(steps, step{
			what: "workstation " + workstation.ID,
			find: func() error { _, err := db.Workstation(ctx, workstation.ID); return err },
			add:  func(tx *registry.Tx) error { return tx.AddWorkstation(workstation) },
		})
	}
	for _, operator := range p.Operators {
		steps = append(steps, step{
			what: "operator " + operator.Login,
			find: func() error { _, err := db.Operator(ctx, operator.Login); return err },
			add:  func(tx *registry.Tx) error { return tx.AddOperator(operator.Operator, operator.Password) },
		})
	}
	for i, person := range p.Residents {
		steps = append(steps, step{
			what: fmt.Sprintf("resident %d", i+1),
			find: func() error { return findResident(ctx, db, person) },
			add:  func(tx *registry.Tx) error { _, err := tx.AddPerson(person); return err },
		})
	}
	return steps
}

func findResident(ctx context.Context, db *registry.DB, person registry.NewPerson) error {
	number, err := gb.ParseIDNumber(person.IDNumber)
	if err != nil {
		return err
	}
	_, err = db.PersonByIDNumber(ctx, number)
	return err
}
