package maker

import "time"

// The lines of a production file, as far as a machine needs them.
type head struct {
	Format, Batch, Kind, Supplier, Product, SpecVersion, Algorithm, Environment string

	Keys     []slot
	Elements []struct {
		Path             string
		SFI, Record, Tag byte
		Length           int
	}
	Records int
}

// slot is a key of the card with how it is loaded.
type slot struct {
	Name, Key, CheckValue string
	Version, Scope        int
	ID, Usage, Tries      byte
}

type record struct {
	Seq                 int
	Number, ATR, CardID string
	Values, Keys        []string
	Account             string
	Face                struct {
		PhotoType string
		Photo     []byte
	}
	End     bool // of the last line
	Records int
}

// manifest is what is signed of a file.
type manifest struct {
	Format   string    `json:"format"`
	Kind     string    `json:"kind"`
	Batch    string    `json:"batch"`
	Supplier string    `json:"supplier"`
	Name     string    `json:"name"`
	Digest   string    `json:"digest"`
	Size     int64     `json:"size"`
	Records  int64     `json:"records"`
	At       time.Time `json:"at"`
}

// answer is the head of a return, result a record of it.
type answer struct {
	Format     string    `json:"format"`
	Batch      string    `json:"batch"`
	Supplier   string    `json:"supplier"`
	Production string    `json:"production"`
	Records    int64     `json:"records"`
	Made       int64     `json:"made"`
	Spoiled    int64     `json:"spoiled"`
	KeyErrors  int64     `json:"keyErrors"`
	At         time.Time `json:"at"`
}

type result struct {
	Number      string    `json:"number"`
	Result      string    `json:"result"`
	ATR         string    `json:"atr"`
	CardID      string    `json:"cardID"`
	ChipSerial  string    `json:"chipSerial"`
	SpecVersion string    `json:"specVersion"`
	Maker       string    `json:"maker"`
	Read        []string  `json:"read,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	At          time.Time `json:"at"`
}

type end struct {
	End     bool  `json:"end"`
	Records int64 `json:"records"`
}

// chips is the list of blanks.
type chips struct {
	Format   string     `json:"format"`
	Supplier string     `json:"supplier"`
	At       time.Time  `json:"at"`
	Chips    []oneBlank `json:"chips"`
}

type oneBlank struct {
	ATR    string `json:"atr"`
	Prefix string `json:"prefix"`
}
