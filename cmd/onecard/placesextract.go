package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"onecard/internal/gb"
)

type placesExtractCommand struct {
	Files   []string `arg:"" type:"existingfile" help:"CSV files of one yearly table with the columns code and name. 年表文件。"`
	Edition string   `required:"" placeholder:"YYYY-MM-DD" help:"Closing day of the yearly table. 截止日。"`
	Source  string   `required:"" help:"Where the table is from. 出处。"`
	Onto    string   `help:"Table of earlier years to put it onto; without it what the program has. 在此表之上。"`
	Fresh   bool     `help:"Begin a table with this year. 从这一年新建。"`
	Prefix  string   `default:"63" help:"First digits of the province. 省代码。"`
	Out     string   `required:"" type:"path" placeholder:"FILE" help:"Where to write. 输出文件。"`
}

// Run turns a yearly table of townships and communities into the data file that
// the program has and that "places load" takes.
func (c *placesExtractCommand) Run(out streams) error {
	table, err := c.onto()
	if err != nil {
		return err
	}
	year := gb.Yearly{Source: c.Source}
	if year.Edition, err = gb.ParseDate(c.Edition); err != nil {
		return fmt.Errorf("edition: %w", err)
	}
	for _, path := range c.Files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := year.ReadYearly(bytes.NewReader(text), c.Prefix); err != nil {
			return err
		}
	}
	if err := table.Add(year, gb.Divisions()); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := table.Write(&text); err != nil {
		return err
	}
	if _, err := gb.ParseLocalities(bytes.NewReader(text.Bytes()), gb.Divisions()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.Out, "%s：%d 个代码 codes，共 %d 行 rows\n", year.Edition, len(year.Names), len(table.Rows))
	return errors.Join(os.WriteFile(c.Out, text.Bytes(), 0o644), err)
}

func (c *placesExtractCommand) onto() (*gb.Localities, error) {
	if c.Fresh {
		return &gb.Localities{}, nil
	}
	text := gb.LocalitiesFile()
	if c.Onto != "" {
		var err error
		if text, err = os.ReadFile(c.Onto); err != nil {
			return nil, err
		}
	}
	return gb.ParseLocalities(bytes.NewReader(text), gb.Divisions())
}
