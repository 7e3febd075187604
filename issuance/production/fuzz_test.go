package production

import (
	"errors"
	"strings"
	"testing"
)

const (
	seedHead = `{"format":"onecard-return/1","batch":"B-1","supplier":"lab-300","production":"00","records":1,"made":0,"spoiled":1,"keyErrors":0,"at":"2026-03-02T01:00:00Z"}`
	seedRow  = `{"number":"100000008","result":"spoiled","atr":"3B6D000000814E43318697639900000001","cardID":"","chipSerial":"","specVersion":"","maker":"lab-300","reason":"x","at":"2026-03-02T01:00:00Z"}`
	seedEnd  = `{"end":true,"records":1}`
)

// FuzzReturn reads any text as a return: it is either refused as one, or its
// counts are those of the records that were given.
func FuzzReturn(f *testing.F) {
	for _, seed := range []string{
		"", seedHead, seedHead + "\n" + seedRow + "\n" + seedEnd, seedHead + "\n" + seedRow, seedHead + "\n" + seedRow + "\n" + seedRow + "\n" + seedEnd,
		seedHead + "\n" + seedEnd, strings.Replace(seedHead, `"records":1`, `"records":-1`, 1) + "\n" + seedRow + "\n" + seedEnd,
		seedHead + "\n" + strings.Replace(seedRow, "spoiled", "made", 1) + "\n" + seedEnd, seedHead + "\n" + seedRow + "\n" + seedEnd + "\n" + seedRow,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var n int64
		head, err := readReturn(strings.NewReader(text), func(_ returnHead, at int64, _ returnRecord) error {
			if n++; at != n {
				t.Fatalf("record %d is given as %d", n, at)
			}
			return nil
		})
		switch {
		case err != nil && !errors.Is(err, ErrReturn):
			t.Fatalf("another error: %v", err)
		case err == nil && (head.Records != n || head.Made+head.Spoiled+head.KeyErrors != n):
			t.Fatalf("%+v for %d records", head, n)
		}
	})
}

// TestReadReturn: the whole one is read, every other seed is refused.
func TestReadReturn(t *testing.T) {
	t.Parallel()
	none := func(returnHead, int64, returnRecord) error { return nil }
	if _, err := readReturn(strings.NewReader(seedHead+"\n"+seedRow+"\n"+seedEnd+"\n"), none); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "no end": seedHead + "\n" + seedRow, "after the end": seedHead + "\n" + seedRow + "\n" + seedEnd + "\n" + seedRow,
		"unknown field": seedHead + "\n" + strings.Replace(seedRow, `"maker"`, `"marker"`, 1) + "\n" + seedEnd,
		"too long":      seedHead + "\n" + strings.Replace(seedRow, `"x"`, `"`+strings.Repeat("x", maxLine)+`"`, 1) + "\n" + seedEnd,
		"made, nothing read back": strings.NewReplacer(`"spoiled":1`, `"spoiled":0`, `"made":0`, `"made":1`).Replace(seedHead) + "\n" +
			strings.Replace(seedRow, `"result":"spoiled"`, `"result":"made"`, 1) + "\n" + seedEnd,
	} {
		if _, err := readReturn(strings.NewReader(text), none); !errors.Is(err, ErrReturn) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
