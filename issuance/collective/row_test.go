package collective

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/internal/sheet"
	"onecard/registry"
)

// FuzzRow: whatever stands in a row, it is taken or refused in words.
func FuzzRow(f *testing.F) {
	f.Add("11010519491231002X", "扎西", "藏族", "称多县", "2020-1-2", "长期")
	f.Add("=1+1", "", "99", "x", "45000", "9999")
	header := []string{"证件号码", "姓名", "民族", "行政区划", "有效期起", "有效期止"}
	columns, err := layoutOf(header)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, number, name, ethnic, place, from, until string) {
		told, err := columns.read(sheet.Row{Number: 2, Cells: []string{number, name, ethnic, place, from, until}}, gb.Date{})
		var field *registry.FieldError
		switch {
		case err == nil:
			require.NotEmpty(t, told.person.Name)
			require.False(t, told.number.IsZero())
		case !errors.As(err, &field) || field.ZH == "" || field.EN == "":
			t.Fatal(err)
		}
	})
}

// TestFormulas: no cell is one that a spreadsheet would compute.
func TestFormulas(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, writeSheet(&out, [][]string{{"=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "扎西"}}))
	cells := strings.Split(strings.TrimPrefix(strings.TrimSpace(out.String()), "\uFEFF"), ",")
	require.Len(t, cells, 6)
	for _, cell := range cells[:5] {
		require.True(t, strings.HasPrefix(strings.Trim(cell, `"`), "'"), cell)
	}
	require.Equal(t, "扎西", cells[5])
}
