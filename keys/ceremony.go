package keys

import (
	"bytes"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// ceremonyFormat is the format and version of a ceremony's record.
const ceremonyFormat = "onecard-ceremony/1"

// Ceremony is a key ceremony (密钥仪式): two or three custodians enter their
// components one after another, each in a session of their own; then all of
// them are there to combine the key. What has happened so far lies in a
// directory, so that days may pass between two sessions: the record in clear,
// which holds no key, and each component sealed with its custodian's passphrase
// and bound to the record.
type Ceremony struct {
	dir    string
	record Record
	random io.Reader
	now    func() time.Time
	// stretch makes keys from passphrases: argon2id.
	stretch stretch
}

// Record is the record of a ceremony (密钥仪式记录): who, when, check values.
type Record struct {
	Format string `json:"format"`
	// ID tells this ceremony from every other.
	ID string `json:"id"`
	// Key is what the ceremony makes, Version which version of it.
	Key     Spec `json:"key"`
	Version int  `json:"version"`
	// Custodians is how many components there are.
	Custodians int       `json:"custodians"`
	Begun      time.Time `json:"begun"`
	Components []Entered `json:"components"`
	// Finished is when the key was taken into the keeper, and its check value.
	Finished   time.Time `json:"finished,omitzero"`
	CheckValue string    `json:"checkValue,omitempty"`
	Method     string    `json:"method,omitempty"`
}

// Entered is a component that has been entered.
type Entered struct {
	// Number is the component's, from 1.
	Number int `json:"number"`
	// Custodian is who keeps it (保管人): a staff number, not a name.
	Custodian string `json:"custodian"`
	// Generated components were made here, others came on paper.
	Generated  bool      `json:"generated"`
	CheckValue string    `json:"checkValue"`
	At         time.Time `json:"at"`
}

// custodianForm is the form of a custodian's staff number.
var custodianForm = regexp.MustCompile(`^[A-Za-z0-9._-]{2,32}$`)

// BeginCeremony begins a ceremony in a new directory, for that version of a key
// and two or three custodians.
func BeginCeremony(dir string, spec Spec, version, custodians int, random io.Reader, now func() time.Time) (*Ceremony, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	if version < 1 || version > maxVersion {
		return nil, keyError(spec.Name, version, inputError("version", fmt.Sprintf("1–%d", maxVersion)))
	}
	if custodians < 2 || custodians > 3 {
		return nil, inputError("保管人 custodians", "2–3")
	}
	if spec.Usage == FieldEncryption || spec.Usage == BlindIndex {
		return nil, keyError(spec.Name, version, ErrWrongUsage)
	}
	id := make([]byte, 8)
	if _, err := io.ReadFull(random, id); err != nil {
		return nil, fmt.Errorf("keys: random: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	c := &Ceremony{dir: dir, random: random, now: now, stretch: argon2id, record: Record{
		Format: ceremonyFormat, ID: hex.EncodeToString(id), Key: spec, Version: version,
		Custodians: custodians, Begun: now().UTC().Truncate(time.Second), Components: []Entered{},
	}}
	content, err := c.record.encode()
	if err != nil {
		return nil, err
	}
	return c, writeNew(c.path(recordFile), content)
}

// recordFile is the name of the record in the directory.
const recordFile = "record.json"

func (c *Ceremony) path(name string) string { return filepath.Join(c.dir, name) }

func (c *Ceremony) componentFile(number int) string {
	return c.path(fmt.Sprintf("component-%d.sealed", number))
}

// ResumeCeremony goes on with a ceremony that was begun in the directory.
func ResumeCeremony(dir string, random io.Reader, now func() time.Time) (*Ceremony, error) {
	c := &Ceremony{dir: dir, random: random, now: now, stretch: argon2id}
	content, err := readPrivate(c.path(recordFile))
	if err != nil {
		return nil, err
	}
	if c.record, err = parseRecord(content); err != nil {
		return nil, fmt.Errorf("keys: %s: %w", c.path(recordFile), err)
	}
	return c, nil
}

// encode writes the record in its canonical form.
func (r Record) encode() ([]byte, error) {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return append(content, '\n'), nil
}

// parseRecord reads exactly what encode writes.
func parseRecord(content []byte) (Record, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	var r Record
	if err := decoder.Decode(&r); err != nil || r.Format != ceremonyFormat {
		return Record{}, ErrFormat
	}
	canonical, err := r.encode()
	if err != nil || !bytes.Equal(canonical, content) || r.Key.check() != nil ||
		r.Version < 1 || r.Version > maxVersion || r.Custodians < 2 || r.Custodians > 3 || len(r.Components) > r.Custodians {
		return Record{}, ErrTampered
	}
	for i, e := range r.Components {
		if e.Number != i+1 || !custodianForm.MatchString(e.Custodian) {
			return Record{}, ErrTampered
		}
	}
	return r, nil
}

// Record returns what has happened so far.
func (c *Ceremony) Record() Record {
	record := c.record
	record.Components = slices.Clone(record.Components)
	return record
}

// Next returns the number of the component that is entered next, and whether
// there is one.
func (c *Ceremony) Next() (number int, ok bool) {
	return len(c.record.Components) + 1, len(c.record.Components) < c.record.Custodians && c.record.Finished.IsZero()
}

// Admit says whether that custodian may enter the next component: each has one
// only, so that nobody knows two.
func (c *Ceremony) Admit(custodian string) error {
	if _, ok := c.Next(); !ok {
		return fmt.Errorf("keys: %w", ErrCeremony)
	}
	if !custodianForm.MatchString(custodian) {
		return inputError("保管人 custodian", "工号，2 至 32 个字母、数字 staff number, 2 to 32 letters or digits")
	}
	if slices.ContainsFunc(c.record.Components, func(e Entered) bool { return e.Custodian == custodian }) {
		return inputError("保管人 custodian", "每人只能有一个分量 one component each")
	}
	return nil
}

// Enter takes the next custodian's component in and seals it with the
// custodian's passphrase.
func (c *Ceremony) Enter(custodian string, component Component, generated bool, passphrase []byte) error {
	if err := c.Admit(custodian); err != nil {
		return err
	}
	if component.value == nil || component.spec != c.record.Key {
		return fmt.Errorf("keys: 分量 component: %w", ErrInput)
	}
	kcv, _, err := component.CheckValue()
	if err != nil {
		return err
	}
	number, _ := c.Next()
	entered := Entered{Number: number, Custodian: custodian, Generated: generated, CheckValue: kcv, At: c.now().UTC().Truncate(time.Second)}
	associated, err := c.record.associated(entered)
	if err != nil {
		return err
	}
	sealed, err := c.stretch.seal(passphrase, component.value(), associated, c.random)
	if err != nil {
		return err
	}
	// A file left by a session that broke off before its record is not one.
	if err := os.Remove(c.componentFile(number)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("keys: %w", err)
	}
	if err := writeNew(c.componentFile(number), sealed); err != nil {
		return err
	}
	next := c.Record()
	next.Components = append(next.Components, entered)
	return c.rewrite(next)
}

// associated returns what binds a sealed component to the ceremony.
func (r Record) associated(e Entered) ([]byte, error) {
	return json.Marshal(struct {
		ID         string
		Key        Spec
		Version    int
		Custodians int
		Entered    Entered
	}{r.ID, r.Key, r.Version, r.Custodians, e})
}

func (c *Ceremony) rewrite(next Record) error {
	content, err := next.encode()
	if err != nil {
		return err
	}
	if _, err := parseRecord(content); err != nil {
		return err
	}
	if err := replace(c.path(recordFile), content); err != nil {
		return err
	}
	c.record = next
	return nil
}

// Open returns a component that was entered, given its custodian's passphrase.
func (c *Ceremony) Open(number int, passphrase []byte) (Component, error) {
	if number < 1 || number > len(c.record.Components) {
		return Component{}, fmt.Errorf("keys: %w", ErrCeremony)
	}
	entered := c.record.Components[number-1]
	sealed, err := readPrivate(c.componentFile(number))
	if err != nil {
		return Component{}, err
	}
	associated, err := c.record.associated(entered)
	if err != nil {
		return Component{}, err
	}
	value, err := c.stretch.open(passphrase, sealed, associated)
	if err != nil {
		return Component{}, fmt.Errorf("keys: 分量 component %d: %w", number, err)
	}
	component := Component{spec: c.record.Key, value: hide(value)}
	kcv, _, err := component.CheckValue()
	if err != nil || kcv != entered.CheckValue || len(value) != c.record.Key.size() {
		return Component{}, fmt.Errorf("keys: 分量 component %d: %w", number, ErrTampered)
	}
	return component, nil
}

// Combine returns the key that all components together make, as a component
// that is whole. Components that are equal, or whose key is a weak one, are
// ErrInput.
func (c *Ceremony) Combine(components ...Component) (Component, error) {
	if len(components) != c.record.Custodians || !c.record.Finished.IsZero() {
		return Component{}, fmt.Errorf("keys: %w", ErrCeremony)
	}
	value := make([]byte, c.record.Key.size())
	for i, component := range components {
		if component.value == nil || component.spec != c.record.Key || slices.ContainsFunc(components[:i], component.Equal) {
			clear(value)
			return Component{}, inputError("分量 components", "不得相同 must differ")
		}
		subtle.XORBytes(value, value, component.value())
	}
	if weak(c.record.Key.Algorithm, value) {
		clear(value)
		return Component{}, inputError("密钥 key", "弱密钥，请重新生成分量 weak, make new components")
	}
	return Component{spec: c.record.Key, value: hide(value)}, nil
}

// weak tells a key of zeroes, and a 3DES key whose two halves are one, which is
// single DES. The lowest bit of each byte of a DES key does not count.
func weak(algorithm Algorithm, value []byte) bool {
	if algorithm != TripleDES {
		return subtle.ConstantTimeCompare(value, make([]byte, len(value))) == 1
	}
	var different byte
	for i := range len(value) / 2 {
		different |= (value[i] ^ value[len(value)/2+i]) &^ 1
	}
	return different == 0
}

// holds tells whether the keeper has exactly that key: a ceremony that broke
// off after it was stored is ended the second time.
func (k *Keeper) holds(key Component, version int) bool {
	h, err := k.look(Key{Name: key.spec.Name, Version: version})
	return err == nil && h.Spec == key.spec && subtle.ConstantTimeCompare(h.value(), key.value()) == 1
}

// Accept takes the key of a ceremony into the keeper and ends the ceremony: its
// record says so, and the sealed components are removed. The custodians keep
// theirs on paper, or destroy them, as the rules say.
func (k *Keeper) Accept(c *Ceremony, key Component) error {
	if key.value == nil || key.spec != c.record.Key || !c.record.Finished.IsZero() {
		return fmt.Errorf("keys: %w", ErrCeremony)
	}
	kcv, method, err := key.CheckValue()
	if err != nil {
		return err
	}
	err = k.insert(key.spec, c.record.Version, slices.Clone(key.value()))
	if err != nil && !k.holds(key, c.record.Version) {
		return err
	}
	next := c.Record()
	next.Finished, next.CheckValue, next.Method = c.now().UTC().Truncate(time.Second), kcv, method
	if err := c.rewrite(next); err != nil {
		return err
	}
	for _, e := range next.Components {
		if err := os.Remove(c.componentFile(e.Number)); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	}
	return syncDirectory(c.dir)
}
