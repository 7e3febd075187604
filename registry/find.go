package registry

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/internal/pinyin"
)

// Query is what a clerk knows of a person (查找条件). What is given must hold;
// at least a number, a telephone number, a name, or a day of birth with a place.
type Query struct {
	Number string  // citizen's number of 18 or 15 digits, another document's, or the person's number in another system
	Name   string  // 姓名
	Latin  string  // 拼音首字母, or the whole name in pinyin
	Phone  string  // 电话
	Birth  gb.Date // 出生日期
	Place  string  // division: the person's place lies in it
	Near   string  // the asker's own place: hits from there come first
}

// Hit is a person found, with how well it fits.
type Hit struct {
	Person Person
	Score  int
	Why    string // one of the Found…
}

// Why a person was found.
const (
	FoundNumber   = "number"   // 号码相同
	FoundFormer   = "former"   // 曾用号码、其他系统编号相同
	FoundPhone    = "phone"    // 电话相同
	FoundName     = "name"     // 姓名相同
	FoundDots     = "dots"     // 姓名除间隔号外相同
	FoundSound    = "sound"    // 姓名读音相同
	FoundInitials = "initials" // 拼音首字母相同
	FoundBirth    = "birth"    // 出生日期和地区相同
)

// Found is the answer to a Query, the best fit first.
type Found struct {
	Hits []Hit
	More bool // there are more than are shown: ask for the day of birth or the place
}

// MaxHits bounds the answer to a Query.
const MaxHits = 100

// Find returns the persons that fit a query. Every way leads through an index:
// its cost does not grow with the table. A file that was merged into another is
// shown as that other. The caller records the reading with [DB.RecordRead].
func (db *DB) Find(ctx context.Context, q Query) (Found, error) {
	s, err := db.newSearch(ctx, q)
	if err != nil {
		return Found{}, err
	}
	for _, way := range s.ways {
		if err := s.follow(way); err != nil {
			return Found{}, err
		}
	}
	// Who fits equally well stands in the order in which they were entered.
	slices.SortFunc(s.hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), bytes.Compare(a.Person.ID[:], b.Person.ID[:]))
	})
	if len(s.hits) > MaxHits {
		s.hits, s.more = s.hits[:MaxHits], true
	}
	return Found{Hits: s.hits, More: s.more}, nil
}

// way is one index to go through, and the test of what lies behind it: a digest
// may be that of another value.
type way struct {
	why    string
	score  int
	where  string
	digest []byte
	fits   func(Person) bool
}

type search struct {
	db    *DB
	ctx   context.Context
	q     Query
	place Scope
	near  Scope
	ways  []way
	hits  []Hit
	seen  map[uuid.UUID]bool
	more  bool
}

func (db *DB) newSearch(ctx context.Context, q Query) (*search, error) {
	s := &search{db: db, ctx: ctx, q: q, seen: map[uuid.UUID]bool{}}
	if q.Place != "" {
		var err error
		if s.place, err = db.Scope(ctx, q.Place); err != nil {
			return nil, err
		}
	}
	if q.Near != "" {
		var err error
		if s.near, err = db.Scope(ctx, q.Near); err != nil {
			return nil, err
		}
	}
	for _, text := range []struct{ field, value string }{{"number", q.Number}, {"name", q.Name}, {"latin", q.Latin}, {"phone", q.Phone}} {
		if strings.ContainsAny(text.value, "*?%_＊？％＿") {
			return nil, &FieldError{Field: text.field, ZH: "不支持通配符；可输入拼音首字母，或加出生日期、地区", EN: "wildcards are not searched for; try the first letters of the pinyin, or add day of birth or place"}
		}
	}
	plan := s.byName
	switch {
	case q.Number != "":
		plan = s.byNumber
	case q.Phone != "":
		plan = s.byPhone
	case q.Name == "" && q.Latin == "":
		plan = s.byBirth
	}
	return s, plan()
}

// add notes a way to go.
func (s *search) add(why string, score int, where, purpose, value string, length int, fits func(Person) bool) error {
	digest, err := s.db.Index(s.ctx, purpose, []byte(value))
	if err != nil {
		return err
	}
	if length > 0 {
		digest = digest[:length]
	}
	s.ways = append(s.ways, way{why: why, score: score, where: where, digest: digest, fits: fits})
	return nil
}

func (s *search) byNumber() error {
	number := strings.ToUpper(strings.Join(strings.Fields(s.q.Number), ""))
	citizen, err := parseNumber(number)
	key := citizen.String()
	if err != nil {
		if citizens := len(number) == 18 && strings.Trim(number[:17], "0123456789") == ""; citizens || !documentForm.MatchString(number) {
			return invalid("number", err) // a citizen's number that was mistyped
		}
		key = number
		for idType, citizens := range documents {
			if citizens {
				continue
			}
			fits := func(p Person) bool { return p.Document == number }
			if err := s.add(FoundNumber, 200, "id_number_index = ?", columnIDNumber, numberKey(idType, number), 0, fits); err != nil {
				return err
			}
		}
	} else if err := s.add(FoundNumber, 200, "id_number_index = ?", columnIDNumber, key, 0, func(p Person) bool { return p.IDNumber == citizen }); err != nil {
		return err
	}
	any := func(Person) bool { return true } // sixteen bytes of the digest are enough
	where := "id IN (SELECT person_id FROM person_numbers WHERE number_index = ?)"
	return s.add(FoundFormer, 150, where, columnOtherNumber, key, numberIndex, any)
}

func (s *search) byPhone() error {
	return s.add(FoundPhone, 90, "phone_index = ?", columnPhone, s.q.Phone, shortIndex, func(p Person) bool { return p.Phone == s.q.Phone })
}

func (s *search) byBirth() error {
	if s.q.Birth.IsZero() || s.q.Place == "" {
		return &FieldError{Field: "name", ZH: "请输入号码、电话、姓名，或出生日期加地区", EN: "give a number, a telephone number, a name, or a day of birth with a place"}
	}
	s.ways = []way{{why: FoundBirth, score: 30, fits: func(Person) bool { return true }}}
	return nil
}

func (s *search) byName() error {
	if s.q.Latin != "" && s.q.Name == "" {
		return s.byLatin(strings.ToLower(strings.Join(strings.Fields(s.q.Latin), "")))
	}
	name, err := gb.NormaliseName(s.q.Name)
	if err != nil {
		return invalid("name", err)
	}
	if err := s.add(FoundName, 100, "name_index = ?", columnName, name, shortIndex, func(p Person) bool { return p.Name == name }); err != nil {
		return err
	}
	sound := pinyin.Sound(name)
	return s.add(FoundSound, 70, "sound_index = ?", columnSound, sound, shortIndex, func(p Person) bool { return pinyin.Sound(p.Name) == sound })
}

// maxInitials is how many letters are looked for as initials: more are a name.
const maxInitials = 8

func (s *search) byLatin(typed string) error {
	if sound, ok := pinyin.SoundOf(typed); ok && len(typed) > 3 {
		err := s.add(FoundSound, 70, "sound_index = ?", columnSound, sound, shortIndex, func(p Person) bool { return pinyin.Sound(p.Name) == sound })
		if err != nil {
			return err
		}
	}
	if len(typed) > maxInitials {
		return s.add(FoundName, 100, "name_index = ?", columnName, s.q.Latin, shortIndex, func(p Person) bool { return p.Name == s.q.Latin })
	}
	return s.add(FoundInitials, 40, "initials_index = ?", columnInitials, typed, shortIndex, func(p Person) bool { return pinyin.Initials(p.Name) == typed })
}

// follow goes one way: first in the asker's own place, then everywhere else.
func (s *search) follow(w way) error {
	if s.q.Near != "" && w.digest != nil && !s.near.Whole() {
		if err := s.read(w, func(db *gorm.DB) *gorm.DB { return s.near.In(db, "place", "locality") }); err != nil {
			return err
		}
	}
	if len(s.hits) > MaxHits {
		return nil
	}
	return s.read(w, func(db *gorm.DB) *gorm.DB { return db })
}

func (s *search) read(w way, narrow func(*gorm.DB) *gorm.DB) error {
	query := narrow(s.db.Read(s.ctx))
	if w.where != "" {
		query = query.Where(w.where, w.digest)
	}
	if s.q.Place != "" {
		query = s.place.In(query, "place", "locality")
	}
	if !s.q.Birth.IsZero() {
		query = query.Where("birth = ?", s.q.Birth.String())
	}
	var rows []personRow
	if err := query.Limit(MaxHits + 1).Find(&rows).Error; err != nil {
		return err
	}
	s.more = s.more || len(rows) > MaxHits
	// Each way meets those whom another has found: they are not opened again.
	rows = slices.DeleteFunc(rows, func(row personRow) bool { return s.seen[row.ID] })
	persons, err := s.db.openPersons(s.ctx, rows)
	if err != nil {
		return err
	}
	for _, person := range persons {
		if !w.fits(person) || s.seen[person.ID] {
			continue
		}
		s.seen[person.ID] = true
		if person.MergedInto != nil {
			if person, err = s.db.kept(s.ctx, person); err != nil {
				return err
			}
			if s.seen[person.ID] {
				continue
			}
			s.seen[person.ID] = true
		}
		s.hits = append(s.hits, s.rank(w, person))
	}
	return nil
}

// rank scores a person: how it was found, then what speaks for it besides.
func (s *search) rank(w way, person Person) Hit {
	hit := Hit{Person: person, Score: w.score, Why: w.why}
	if w.why == FoundSound && s.q.Name != "" && letters(person.Name) == letters(s.q.Name) {
		hit.Why, hit.Score = FoundDots, 95
	}
	if s.q.Near != "" && s.near.Covers(person.Place, person.Locality) {
		hit.Score += 8
	} else if s.q.Near != "" && s.db.prefecture(person.Place) == s.db.prefecture(s.q.Near[:6]) {
		hit.Score += 4
	}
	if person.Living() {
		hit.Score += 2
	}
	return hit
}

// letters is a name without dots and spaces.
func letters(name string) string {
	return strings.NewReplacer("·", "", " ", "", "•", "", "・", "", "‧", "", "．", "", ".", "").Replace(name)
}

// kept follows merges to the file that is kept.
func (db *DB) kept(ctx context.Context, person Person) (Person, error) {
	for person.MergedInto != nil {
		var err error
		if person, err = db.PersonByID(ctx, *person.MergedInto); err != nil {
			return Person{}, err
		}
	}
	return person, nil
}

// PersonsByName returns the persons of a name, however its dots and spaces are
// typed and whichever characters it is written with, the best fit first, at
// most [MaxHits]. None is no error.
func (db *DB) PersonsByName(ctx context.Context, name string) ([]Person, error) {
	found, err := db.Find(ctx, Query{Name: name})
	if err != nil {
		return nil, err
	}
	persons := make([]Person, len(found.Hits))
	for i, hit := range found.Hits {
		persons[i] = hit.Person
	}
	return persons, nil
}
