package production

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
)

// The forms of the files. docs/production.md describes them for the maker.
const (
	formatProduction = "onecard-production/1"
	formatReturn     = "onecard-return/1"
	formatOutcome    = "onecard-outcome/1"
	formatManifest   = "onecard-manifest/1"
)

// manifest is what is signed of a file: its digest, and what it is.
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

// productionHead is the first line of a production file (制卡数据文件): what all
// its records have in common.
type productionHead struct {
	Format      string        `json:"format"`
	Batch       string        `json:"batch"`
	Kind        string        `json:"kind"`
	Supplier    string        `json:"supplier"`
	Product     string        `json:"product"`
	SpecVersion string        `json:"specVersion"`
	Algorithm   string        `json:"algorithm"`   // sm4 or 3des
	Environment string        `json:"environment"` // name of the application, hexadecimal
	DeliveryKey headKey       `json:"deliveryKey"`
	Keys        []headKey     `json:"keys"`     // in the order of loading, and of each record's keys
	Elements    []headElement `json:"elements"` // in the order of writing, and of each record's values
	Records     int64         `json:"records"`
	At          time.Time     `json:"at"`
}

// headKey is a key with how it is loaded. The check value is that of the
// province's key, by which both sides know that they speak of the same.
type headKey struct {
	Name       string `json:"name"`
	Key        string `json:"key,omitempty"`
	Version    int    `json:"version,omitempty"`
	CheckValue string `json:"checkValue"`
	Method     string `json:"method"`
	Scope      int    `json:"scope"`
	ID         byte   `json:"id"`
	Usage      byte   `json:"usage"`
	Tries      byte   `json:"tries"`
}

// headElement is where an element is written.
type headElement struct {
	Path   string `json:"path"`
	SFI    byte   `json:"sfi"`
	Record byte   `json:"record"`
	Tag    byte   `json:"tag"`
	Length int    `json:"length"`
}

// productionRecord is one card.
type productionRecord struct {
	Seq     int64    `json:"seq"`
	Number  string   `json:"number"`  // 卡号
	ATR     string   `json:"atr"`     // of the chip that it is to be made on
	CardID  string   `json:"cardID"`  // 卡识别码, whole
	Values  []string `json:"values"`  // of the elements, hexadecimal
	Face    face     `json:"face"`    // 卡面
	Account string   `json:"account"` // 银行账号, or empty
	Keys    []string `json:"keys"`    // key blocks (TR-31)

	elements []headElement // where the values go; the same for all
}

// face is what is printed.
type face struct {
	Name        string `json:"name"`
	NameTibetan string `json:"nameTibetan,omitempty"`
	IDNumber    string `json:"idNumber"`
	Number      string `json:"number"`
	IssuedOn    string `json:"issuedOn"`
	ExpiresOn   string `json:"expiresOn"`
	PhotoType   string `json:"photoType,omitempty"` // image/jpeg or image/png
	Photo       []byte `json:"photo,omitempty"`     // Base64
}

// returnHead is the first line of a return (回盘文件).
type returnHead struct {
	Format     string    `json:"format"`
	Batch      string    `json:"batch"`
	Supplier   string    `json:"supplier"`
	Production string    `json:"production"` // digest of the file that it answers
	Records    int64     `json:"records"`
	Made       int64     `json:"made"`
	Spoiled    int64     `json:"spoiled"`
	KeyErrors  int64     `json:"keyErrors"`
	At         time.Time `json:"at"`
}

// The results of a card.
const (
	resultMade     = "made"
	resultSpoiled  = "spoiled"
	resultKeyError = "key-error"
)

// returnRecord is what became of one card.
type returnRecord struct {
	Number      string    `json:"number"`
	Result      string    `json:"result"`
	ATR         string    `json:"atr"`         // 复位信息
	CardID      string    `json:"cardID"`      // 卡识别码 as read back; of a made card
	ChipSerial  string    `json:"chipSerial"`  // of a made card
	SpecVersion string    `json:"specVersion"` // as read back; of a made card
	Maker       string    `json:"maker"`
	Read        []string  `json:"read,omitempty"` // values of the elements as read back; of a made card
	Reason      string    `json:"reason,omitempty"`
	At          time.Time `json:"at"`
}

// outcomeHead and outcomeRecord are what the maker is told of a return (回盘结果).
type outcomeHead struct {
	Format   string    `json:"format"`
	Batch    string    `json:"batch"`
	Supplier string    `json:"supplier"`
	Return   string    `json:"return"` // digest
	Records  int64     `json:"records"`
	At       time.Time `json:"at"`
}

type outcomeRecord struct {
	Number  string `json:"number"`
	Outcome string `json:"outcome"` // accepted, repeated, refused
	Reason  string `json:"reason,omitempty"`
}

// fileEnd is the last line of each file.
type fileEnd struct {
	End     bool  `json:"end"`
	Records int64 `json:"records"`
}

// errTrailing: more than one value.
var errTrailing = errors.New("more than one JSON value")

// strictJSON decodes one value and nothing else; unknown fields are refused.
func strictJSON(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

// unverified returns the payload of a JWS of which nothing is certain yet: it
// only tells whose certificate to check it with.
func unverified(token string) ([]byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errTrailing
	}
	return base64.RawURLEncoding.DecodeString(parts[1])
}
