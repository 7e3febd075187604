package registry

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
)

// placeTableRow is a row of place_tables.
type placeTableRow struct {
	Digest   []byte    `gorm:"column:digest"`
	Edition  string    `gorm:"column:edition"`
	Source   string    `gorm:"column:source"`
	Content  []byte    `gorm:"column:content"`
	LoadedAt time.Time `gorm:"column:loaded_at"`
	LoadedBy string    `gorm:"column:loaded_by"`
}

// TableName implements gorm's schema.Tabler.
func (placeTableRow) TableName() string { return "place_tables" }

// knownPlaces is the table of places that is in force, by the digest of its
// file.
type knownPlaces struct {
	digest [sha256.Size]byte
	table  *gb.Table
}

var embeddedDigest = sync.OnceValue(func() [sha256.Size]byte { return sha256.Sum256(gb.LocalitiesFile()) })

// Today returns the day in China.
func (db *DB) Today() gb.Date { return gb.DayOf(db.Now()) }

// inForce chooses the file of localities that holds: the newest edition, and of
// those the last one loaded.
func inForce(query *gorm.DB) *gorm.DB {
	return query.Model(&placeTableRow{}).Order("edition DESC, loaded_at DESC").Limit(1)
}

// Places returns the table of all places: divisions, townships, communities.
// Another instance of the platform may have loaded a newer one: each call asks
// which it is.
func (db *DB) Places(ctx context.Context) (*gb.Table, error) {
	var digests [][]byte
	if err := inForce(db.Read(ctx)).Pluck("digest", &digests).Error; err != nil {
		return nil, fmt.Errorf("registry: places: %w", err)
	}
	if len(digests) == 0 {
		return gb.Places(), nil
	}
	digest := [sha256.Size]byte(digests[0])
	if digest == embeddedDigest() {
		return gb.Places(), nil
	}
	if known := db.places.Load(); known != nil && known.digest == digest {
		return known.table, nil
	}
	var row placeTableRow
	if err := db.Read(ctx).Where("digest = ?", digests[0]).Take(&row).Error; err != nil {
		return nil, fmt.Errorf("registry: places: %w", err)
	}
	localities, err := row.open()
	if err != nil {
		return nil, fmt.Errorf("registry: places: %w", err)
	}
	known := &knownPlaces{digest, gb.Divisions().With(localities)}
	db.places.Store(known)
	return known.table, nil
}

func (r placeTableRow) open() (*gb.Localities, error) {
	content, err := gzip.NewReader(bytes.NewReader(r.Content))
	if err != nil {
		return nil, err
	}
	return gb.ParseLocalities(content, gb.Divisions())
}

// PlacesLoaded is what the loading of a table of localities came to.
type PlacesLoaded struct {
	Edition gb.Date
	Codes   int // in the table
	Changed int // new ones, and those that changed or ended
}

// LoadPlaces loads a newer table of townships and communities, in the form of
// internal/gb/localities.csv. The same table again changes nothing. Errors: one
// that is gb.ErrTable and names the line; a *FieldError for a table that is
// older than the one in force or that has forgotten a code.
func (db *DB) LoadPlaces(ctx context.Context, actor Actor, text []byte) (PlacesLoaded, error) {
	localities, err := gb.ParseLocalities(bytes.NewReader(text), gb.Divisions())
	if err != nil {
		return PlacesLoaded{}, err
	}
	rows := localityRows(localities)
	done := PlacesLoaded{Edition: localities.Edition, Codes: len(rows)}
	var loaded int64
	digest := sha256.Sum256(text)
	if err := db.Read(ctx).Model(&placeTableRow{}).Where("digest = ?", digest[:]).Count(&loaded).Error; err != nil || loaded > 0 {
		return done, err
	}
	err = db.InTx(ctx, actor, func(tx *Tx) error {
		if err := newerPlaces(tx.gorm, localities, rows); err != nil {
			return err
		}
		if done.Changed, err = db.putPlaces(tx.gorm, localities, text, rows, actor.Operator, tx.now); err != nil {
			return err
		}
		return tx.Audit("places.loaded", "places", map[string]string{
			"edition": localities.Edition.String(), "digest": fmt.Sprintf("%x", digest), "codes": fmt.Sprint(done.Codes), "changed": fmt.Sprint(done.Changed),
		})
	})
	return done, err
}

// newerPlaces refuses a table that is older than the one in force, or that does
// not know a code that it knows: what is recorded would point to nothing.
func newerPlaces(db *gorm.DB, localities *gb.Localities, rows map[string]localityRow) error {
	var editions, codes []string
	if err := inForce(db).Pluck("edition", &editions).Error; err != nil {
		return err
	}
	if len(editions) > 0 && localities.Edition.String() < editions[0] {
		return &FieldError{Field: "edition", ZH: "不应早于现行的表（" + editions[0] + "）", EN: "not older than the table in force"}
	}
	if err := db.Model(&localityRow{}).Order("code").Pluck("code", &codes).Error; err != nil {
		return err
	}
	for _, code := range codes {
		if _, ok := rows[code]; !ok {
			return &FieldError{Field: "code", ZH: "表中缺少已登记的代码 " + code + "；失效的代码应保留并注明 valid_to", EN: "a code on record is missing; one that is no longer valid stays, with its valid_to"}
		}
	}
	return nil
}

// loadLocalities brings the localities up to what this program knows, unless a
// newer table was loaded.
func (db *DB) loadLocalities(ctx context.Context) error {
	var stored []placeTableRow
	if err := inForce(db.Read(ctx)).Select("digest, edition").Find(&stored).Error; err != nil {
		return err
	}
	if digest := embeddedDigest(); len(stored) > 0 && bytes.Equal(stored[0].Digest, digest[:]) {
		return nil
	}
	text := gb.LocalitiesFile()
	localities, err := gb.ParseLocalities(bytes.NewReader(text), gb.Divisions())
	if err != nil || len(stored) > 0 && localities.Edition.String() < stored[0].Edition {
		return err
	}
	return db.write.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		_, err := db.putPlaces(tx, localities, text, localityRows(localities), "onecard", db.Now())
		return err
	})
}

// putPlaces stores a table and brings the rows of localities up to it. It
// returns how many changed.
func (db *DB) putPlaces(tx *gorm.DB, localities *gb.Localities, text []byte, rows map[string]localityRow, by string, now time.Time) (int, error) {
	var stored []localityRow
	if err := tx.Find(&stored).Error; err != nil {
		return 0, err
	}
	changed := maps.Clone(rows)
	for _, row := range stored {
		if row.fields() == rows[row.Code].fields() {
			delete(changed, row.Code)
		}
	}
	if err := db.putLocalities(tx, slices.Collect(maps.Values(changed))); err != nil {
		return 0, err
	}
	var content bytes.Buffer
	compressed := gzip.NewWriter(&content)
	if _, err := io.Copy(compressed, bytes.NewReader(text)); err != nil {
		return 0, err
	}
	if err := compressed.Close(); err != nil {
		return 0, err
	}
	digest := sha256.Sum256(text)
	row := placeTableRow{Digest: digest[:], Edition: localities.Edition.String(), Source: localities.Source, Content: content.Bytes(), LoadedAt: now, LoadedBy: by}
	return len(changed), tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
}

// localityRow is a row of localities.
type localityRow struct {
	Code      string  `gorm:"column:code"`
	Name      string  `gorm:"column:name"`
	Level     string  `gorm:"column:level"`
	Division  string  `gorm:"column:division"`
	Township  *string `gorm:"column:township"`
	ValidFrom *string `gorm:"column:valid_from"`
	ValidTo   *string `gorm:"column:valid_to"`
	Successor *string `gorm:"column:successor"`
}

// TableName implements gorm's schema.Tabler.
func (localityRow) TableName() string { return "localities" }

func (r localityRow) fields() [8]string {
	return [8]string{r.Code, r.Name, r.Level, r.Division, deref(r.Township), deref(r.ValidFrom), deref(r.ValidTo), deref(r.Successor)}
}

// localityRows renders a table: one row for each code, as it was last.
func localityRows(localities *gb.Localities) map[string]localityRow {
	rows := map[string]localityRow{}
	for _, d := range localities.Rows { // the older first
		row := localityRow{
			Code: d.Code, Name: d.Name, Level: string(d.Level), Division: d.Code[:6],
			ValidFrom: optional(d.From.String()), ValidTo: optional(d.To.String()), Successor: optional(d.Successor),
		}
		if d.Level == gb.Community {
			row.Township = optional(d.Parent)
		}
		rows[d.Code] = row
	}
	return rows
}

// putLocalities writes rows in one statement: there are thousands, and each of
// its own would cost a start of the program a second.
func (db *DB) putLocalities(tx *gorm.DB, rows []localityRow) error {
	if len(rows) == 0 {
		return nil
	}
	slices.SortFunc(rows, func(a, b localityRow) int {
		return cmp.Or(cmp.Compare(len(a.Code), len(b.Code)), cmp.Compare(a.Code, b.Code))
	})
	values := make([][8]*string, len(rows))
	for i, r := range rows {
		values[i] = [8]*string{&r.Code, &r.Name, &r.Level, &r.Division, r.Township, r.ValidFrom, r.ValidTo, r.Successor}
	}
	text, err := json.Marshal(values)
	if err != nil {
		return errors.New("registry: localities")
	}
	from := "json_each(?) AS v WHERE true"
	if db.engine.dialect == goose.DialectPostgres {
		from = "jsonb_array_elements(CAST(? AS jsonb)) AS v(value) WHERE true"
	}
	columns := strings.Fields("code name level division township valid_from valid_to successor")
	parts := make([]string, len(columns))
	updates := make([]string, len(columns))
	for i, column := range columns {
		parts[i] = fmt.Sprintf("v.value ->> %d", i)
		updates[i] = column + " = excluded." + column
	}
	return tx.Exec(fmt.Sprintf("INSERT INTO localities (%s) SELECT %s FROM %s ON CONFLICT (code) DO UPDATE SET %s",
		strings.Join(columns, ", "), strings.Join(parts, ", "), from, strings.Join(updates[1:], ", ")), string(text)).Error
}
