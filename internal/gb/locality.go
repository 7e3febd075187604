package gb

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

//go:embed localities.csv
var localitiesFile []byte

// Localities is the townships (乡级) and communities (村级) of a province with
// their history, as localities.csv tells them.
type Localities struct {
	// Edition is the closing day of the newest yearly table that went in.
	Edition Date
	// Source says where the rows come from.
	Source string
	// Rows are in the order of their codes, the older first.
	Rows []Division
}

// LocalitiesFile returns the embedded data file.
func LocalitiesFile() []byte { return slices.Clone(localitiesFile) }

var embeddedPlaces = sync.OnceValues(func() (*Table, error) {
	localities, err := ParseLocalities(bytes.NewReader(localitiesFile), Divisions())
	if err != nil {
		return nil, err
	}
	return Divisions().With(localities), nil
})

// Places returns the embedded table with its townships and communities. That it
// parses is held by a test; a build with a broken file has the divisions alone.
func Places() *Table {
	table, err := embeddedPlaces()
	if err != nil {
		return Divisions()
	}
	return table
}

// With returns the table with townships and communities below its counties.
func (t *Table) With(localities *Localities) *Table {
	return newTable(slices.Concat(t.rows, localities.Rows))
}

// localityColumns is the header of the data file.
var localityColumns = []string{"code", "name", "valid_from", "valid_to", "successor"}

// The lines of the data file's head that are read.
const (
	editionMark = "# edition: "
	sourceMark  = "# source: "
)

// ParseLocalities reads townships and communities in the form of
// localities.csv, whose head explains the columns, and checks them: every code
// lies in a division of the table or in a township of the file that is valid at
// the same time, no code is valid twice on one day, a successor is valid when
// its predecessor ends. The error is ErrTable and names the line of the file.
func ParseLocalities(r io.Reader, divisions *Table) (*Localities, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, localityError(0, err.Error(), err.Error())
	}
	found, err := localityHead(text)
	if err != nil {
		return nil, err
	}
	lines, err := found.read(text)
	if err != nil {
		return nil, err
	}
	table := divisions.With(found)
	for i, row := range found.Rows {
		if err := table.checkLocality(row, lines[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func localityHead(text []byte) (*Localities, error) {
	var found Localities
	for line := range strings.Lines(string(text)) {
		if day, ok := strings.CutPrefix(line, editionMark); ok {
			if err := found.Edition.UnmarshalText([]byte(strings.TrimSpace(day))); err != nil {
				return nil, localityError(0, "edition 不是日期", "edition: not a day")
			}
		}
		if source, ok := strings.CutPrefix(line, sourceMark); ok {
			found.Source = strings.TrimSpace(source)
		}
		if !strings.HasPrefix(line, "#") {
			break
		}
	}
	if found.Edition.IsZero() || found.Source == "" {
		return nil, localityError(0, "文件开头应有 “# edition: 截止日” 和 “# source: 出处”", "the head of the file must have an edition and a source")
	}
	return &found, nil
}

// read reads the rows and returns the lines on which they stand.
func (l *Localities) read(text []byte) ([]int, error) {
	reader := csv.NewReader(bytes.NewReader(text))
	reader.Comment = '#'
	reader.FieldsPerRecord = len(localityColumns)
	header, err := reader.Read()
	if err != nil || !slices.Equal(header, localityColumns) {
		return nil, localityError(0, "表头应为 "+strings.Join(localityColumns, ","), "the header is another")
	}
	var lines []int
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		line := 0
		if len(record) > 0 {
			line, _ = reader.FieldPos(0)
		}
		if err != nil {
			return nil, localityError(line, fmt.Sprintf("应有 %d 列", len(localityColumns)), err.Error())
		}
		row, err := parseLocality(record, line)
		if err != nil {
			return nil, err
		}
		row.Source = l.Source
		l.Rows, lines = append(l.Rows, row), append(lines, line)
	}
}

func localityError(line int, zh, en string) error {
	if line == 0 {
		return fmt.Errorf("乡村表 table of localities: %w: %s；%s", ErrTable, zh, en)
	}
	return fmt.Errorf("乡村表第 %d 行 table of localities, line %d: %w: %s；%s", line, line, ErrTable, zh, en)
}

func parseLocality(record []string, line int) (Division, error) {
	d := Division{Code: record[0], Name: record[1], Successor: record[4], Kind: StatisticsCode, Assumed: true}
	switch {
	case !isPlace(d.Code) || len(d.Code) == 6:
		return d, localityError(line, "代码应为 9 位（乡级）或 12 位（村级）数字", "code: 9 or 12 digits")
	case d.Name == "":
		return d, localityError(line, "名称为空", "name: empty")
	case d.From.UnmarshalText([]byte(record[2])) != nil || d.To.UnmarshalText([]byte(record[3])) != nil:
		return d, localityError(line, "valid_from、valid_to 应为 YYYY-MM-DD 或空", "valid_from, valid_to: YYYY-MM-DD or nothing")
	case !d.To.IsZero() && !d.From.Before(d.To):
		return d, localityError(line, "valid_to 应晚于 valid_from", "valid_to is not after valid_from")
	case d.To.IsZero() && d.Successor != "":
		return d, localityError(line, "仍有效的代码不应有承继者", "successor: the code is still valid")
	}
	d.Level, d.Parent = Township, upper(d.Code)
	if len(d.Code) == 12 {
		d.Level = Community
	}
	return d, nil
}

// checkLocality compares a row with the others.
func (t *Table) checkLocality(d Division, line int) error {
	if err := t.once(d); err != nil {
		return localityError(line, "代码 "+d.Code+" 重复", "the code stands twice for one time")
	}
	if d.Successor != "" {
		if next, ok := t.At(d.Successor, d.To); !ok || next.Level != d.Level {
			return localityError(line, "承继者 "+d.Successor+" 在 "+d.To.String()+" 不是有效的同级代码", "successor: not valid then, or of another level")
		}
	}
	for _, i := range t.byCode[d.Parent] {
		parent := t.rows[i]
		if (parent.To.IsZero() || d.From.Before(parent.To)) && (d.To.IsZero() || parent.From.Before(d.To)) {
			return nil
		}
	}
	return localityError(line, "上级代码 "+d.Parent+" 不存在或同期无效", "the place above is not known or not valid at the same time")
}
