package sheet

import (
	"errors"
	"fmt"
	"io"

	"github.com/xuri/excelize/v2"
)

// WriteExcel writes lines as an Excel file in which every cell is text: a
// spreadsheet neither shortens a number of 18 digits nor takes a cell for a
// formula.
func WriteExcel(out io.Writer, lines [][]string) (err error) {
	book := excelize.NewFile()
	defer func() { err = errors.Join(err, book.Close()) }()
	text, err := book.NewStyle(&excelize.Style{NumFmt: 49}) // "@"
	if err != nil {
		return fmt.Errorf("excel: %w", err)
	}
	stream, err := book.NewStreamWriter(book.GetSheetName(0))
	if err != nil {
		return fmt.Errorf("excel: %w", err)
	}
	for n, line := range lines {
		cells := make([]any, len(line))
		for i, value := range line {
			cells[i] = excelize.Cell{StyleID: text, Value: value}
		}
		at, err := excelize.CoordinatesToCellName(1, n+1)
		if err == nil {
			err = stream.SetRow(at, cells)
		}
		if err != nil {
			return fmt.Errorf("excel: row %d: %w", n+1, err)
		}
	}
	if err := stream.Flush(); err != nil {
		return fmt.Errorf("excel: %w", err)
	}
	if err := book.Write(out); err != nil {
		return fmt.Errorf("excel: %w", err)
	}
	return nil
}
