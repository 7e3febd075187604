package main

import (
	"strings"

	"golang.org/x/text/width"
)

// columns returns how many columns of a terminal a text takes: two for a
// Chinese character.
func columns(text string) int {
	n := 0
	for _, r := range text {
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

func blanks(text string, wanted int) string { return strings.Repeat(" ", max(0, wanted-columns(text))) }

func padRight(text string, wanted int) string { return text + blanks(text, wanted) }

func padLeft(text string, wanted int) string { return blanks(text, wanted) + text }
