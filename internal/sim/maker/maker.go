package maker

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/internal/signed"
)

// Maker is a card maker with its plant. Dir holds blanks/, cards/ and spoiled/ as
// images that cardsim presents, and journal/ with what was done.
type Maker struct {
	Supplier  string
	Dir       string
	Pair      *tls.Certificate
	Delivery  []byte   // key of delivery
	Transport [16]byte // of the blanks
	Profiles  []*profile.Profile
	Roots     *x509.CertPool    // who signs for the province
	Province  *x509.Certificate // to which the return is sealed
	Faults    Faults
	Now       func() time.Time
}

// Faults are what goes wrong in the plant. The same seed spoils the same cards.
type Faults struct {
	SpoilOneIn int // 0: none
	Seed       uint64
	Half       bool // the return is cut off
	Duplicate  bool // a row of the return stands twice
	Counts     bool // the head's counts are wrong
	StopAfter  int  // the power fails after so many cards; 0: never
}

// errStopped: the plant stopped before the batch was made.
var errStopped = errors.New("断电 the power failed")

func (m *Maker) path(kind, name string) string { return filepath.Join(m.Dir, kind, name) }

func (m *Maker) prepare() error {
	var all error
	for _, kind := range []string{"blanks", "cards", "faces", "spoiled", "journal", "out"} {
		all = errors.Join(all, os.MkdirAll(filepath.Join(m.Dir, kind), 0o700))
	}
	return all
}

// Blanks buys blank chips, numbered from first, and returns the signed list of
// them (芯片清单).
func (m *Maker) Blanks(version string, first uint32, count int) (string, error) {
	p, err := profile.ByVersion(m.Profiles, version)
	if err != nil {
		return "", err
	}
	list := chips{Format: "onecard-chips/1", Supplier: m.Supplier, At: m.Now().UTC(), Chips: []oneBlank{}}
	for i := range uint32(count) {
		n := first + i
		serial := [4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		image, err := chip.Blank(p, serial, m.Transport)
		if err != nil {
			return "", err
		}
		atr := fmt.Sprintf("%X", []byte(image.ATR))
		if err := m.store("blanks", atr, image); err != nil {
			return "", err
		}
		list.Chips = append(list.Chips, oneBlank{atr, fmt.Sprintf("%X", []byte(image.Records["SSSE/EF05"][0][:12]))})
	}
	return signed.Sign(list, m.Pair)
}

// store puts a chip's image into a place; one that is there stays.
func (m *Maker) store(kind, name string, image *chip.Image) error {
	if err := m.prepare(); err != nil {
		return err
	}
	err := chip.File(m.path(kind, name+".json")).Create(image)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Make makes the cards of a production file and returns the path of the return.
// It may be started again after a stop: what was made is made.
func (m *Maker) Make(ctx context.Context, path string) (string, error) {
	told, err := m.verified(path)
	if err != nil {
		return "", err
	}
	done, err := m.journal(told.Digest)
	if err != nil {
		return "", err
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	plain, err := signed.OpenParcel(file, m.Pair)
	if err != nil {
		return "", err
	}
	results, err := m.makeAll(ctx, json.NewDecoder(bufio.NewReader(plain)), told, done)
	if err != nil {
		return "", err
	}
	return m.write(told, results)
}

// verified checks the province's signature of a file.
func (m *Maker) verified(path string) (told manifest, err error) {
	token, err := os.ReadFile(filepath.Join(filepath.Dir(path), signed.ManifestName(filepath.Base(path))))
	if err != nil {
		return told, err
	}
	payload, err := signed.Open(string(token), m.Roots, func([]byte) (time.Time, error) { return m.Now(), nil })
	if err != nil {
		return told, err
	}
	if err := json.Unmarshal(payload, &told); err != nil {
		return told, err
	}
	digest, _, err := signed.Digest(path)
	if err == nil && (digest != told.Digest || told.Kind != "production" || told.Supplier != m.Supplier) {
		err = signed.ErrParcel
	}
	return told, err
}

// journal returns what was done of a file before.
func (m *Maker) journal(digest string) (map[string]result, error) {
	done := map[string]result{}
	text, err := os.Open(m.path("journal", digest))
	if errors.Is(err, fs.ErrNotExist) {
		return done, m.prepare()
	}
	if err != nil {
		return nil, err
	}
	defer text.Close()
	for lines := json.NewDecoder(text); ; {
		var r result
		switch err := lines.Decode(&r); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return done, nil
		case err != nil:
			return nil, err
		}
		done[r.Number] = r
	}
}

// makeAll makes each card that the journal does not have.
func (m *Maker) makeAll(ctx context.Context, lines *json.Decoder, told manifest, done map[string]result) ([]result, error) {
	j := &job{Maker: m}
	if err := j.begin(lines); err != nil {
		return nil, err
	}
	journal, err := os.OpenFile(m.path("journal", told.Digest), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer journal.Close()
	random := rand.New(rand.NewPCG(m.Faults.Seed, uint64(len(told.Digest))))
	var results []result
	for made := 0; ; {
		var r record
		if err := lines.Decode(&r); err != nil {
			return nil, err
		}
		if r.End {
			if r.Records != len(results) || r.Records != j.head.Records {
				return nil, signed.ErrParcel
			}
			return results, nil
		}
		spoil := m.Faults.SpoilOneIn > 0 && random.IntN(m.Faults.SpoilOneIn) == 0
		one, known := done[r.Number]
		if !known {
			if made++; m.Faults.StopAfter > 0 && made > m.Faults.StopAfter {
				return nil, errStopped
			}
			one = j.card(ctx, r, spoil)
			if err := json.NewEncoder(journal).Encode(one); err != nil {
				return nil, err
			}
		}
		results = append(results, one)
	}
}

// begin reads the head.
func (j *job) begin(lines *json.Decoder) (err error) {
	if err := lines.Decode(&j.head); err != nil {
		return err
	}
	if j.head.Format != "onecard-production/1" || j.head.Supplier != j.Supplier {
		return fmt.Errorf("format %q for supplier %q", j.head.Format, j.head.Supplier)
	}
	if j.profile, err = profile.ByVersion(j.Profiles, j.head.SpecVersion); err != nil {
		return err
	}
	if j.suite, err = suiteOf(j.head.Algorithm); err != nil {
		return err
	}
	j.environment, err = hex.DecodeString(j.head.Environment)
	return err
}

// card makes one card, or spoils it.
func (j *job) card(ctx context.Context, r record, spoil bool) result {
	one := result{Number: r.Number, Result: "made", ATR: r.ATR, Maker: j.Supplier, At: j.Now().UTC()}
	image, read, err := j.onChip(ctx, r, spoil)
	switch {
	case errors.Is(err, errKey):
		one.Result, one.Reason = "key-error", err.Error()
	case err != nil:
		one.Result, one.Reason = "spoiled", err.Error()
	case spoil:
		one.Result, one.Reason = "spoiled", "印刷污损 misprinted"
	default:
		if err := j.print(r); err != nil {
			one.Result, one.Reason = "spoiled", err.Error()
			break
		}
		one.Read, one.CardID, one.ChipSerial, one.SpecVersion = read, read[0], r.ATR[len(r.ATR)-8:], j.head.SpecVersion
	}
	kind, name := "cards", r.Number
	if one.Result != "made" {
		kind, name = "spoiled", r.ATR
	}
	if image != nil {
		if err := errors.Join(j.store(kind, name, image), os.Remove(j.path("blanks", r.ATR+".json"))); err != nil && one.Result == "made" {
			one.Result, one.Reason = "spoiled", err.Error()
		}
	}
	if len(one.Reason) > 200 {
		one.Reason = one.Reason[:200]
	}
	return one
}

// onChip takes the blank that the record names and makes the card on it.
func (j *job) onChip(ctx context.Context, r record, spoil bool) (*chip.Image, []string, error) {
	image, err := chip.File(j.path("blanks", r.ATR+".json")).Load()
	if err != nil {
		return nil, nil, err
	}
	c, err := chip.New(j.Profiles, steady{image}, nil)
	if err != nil {
		return nil, nil, err
	}
	read, err := j.personalise(ctx, c, r)
	return image, read, err
}

// steady is the memory of a chip in a machine whose power never fails: the chip
// works on the image itself, which is stored when the card is finished.
type steady struct{ image *chip.Image }

// Load implements chip.Store.
func (s steady) Load() (*chip.Image, error) { return s.image, nil }

// Save implements chip.Store.
func (s steady) Save(*chip.Image) error { return nil }

// write writes the return (回盘文件), sealed and signed, with the faults that are
// switched on.
func (m *Maker) write(told manifest, results []result) (string, error) {
	out := answer{Format: "onecard-return/1", Batch: told.Batch, Supplier: m.Supplier, Production: told.Digest, At: m.Now().UTC()}
	if m.Faults.Duplicate && len(results) > 0 {
		results = append(results, results[0])
	}
	for _, r := range results {
		out.Records++
		switch r.Result {
		case "made":
			out.Made++
		case "spoiled":
			out.Spoiled++
		default:
			out.KeyErrors++
		}
	}
	if m.Faults.Counts {
		out.Made++
	}
	return m.Return(out.Batch, out, results)
}

// Return seals and signs a return of that head and those records.
func (m *Maker) Return(batch string, head any, results []result) (string, error) {
	dir := filepath.Join(m.Dir, "out")
	parcel, err := signed.NewParcel(dir, "return", m.Province)
	if err != nil {
		return "", err
	}
	lines := json.NewEncoder(parcel)
	err = lines.Encode(head)
	for i := 0; err == nil && i < len(results); i++ {
		err = lines.Encode(results[i])
	}
	if err == nil {
		err = lines.Encode(end{true, int64(len(results))})
	}
	if err != nil {
		return "", errors.Join(err, parcel.Discard())
	}
	name, digest, err := parcel.Finish()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	size := parcel.Size()
	told := manifest{"onecard-manifest/1", "return", batch, m.Supplier, name, digest, size, int64(len(results)), m.Now().UTC()}
	if err := signed.WriteManifest(dir, name, told, m.Pair); err != nil {
		return "", err
	}
	if m.Faults.Half {
		err = os.Truncate(path, size/2)
	}
	return path, err
}
