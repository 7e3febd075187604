package bank

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/encoding/simplifiedchinese"

	"onecard/internal/signed"
)

// label is the first line of a file; total the last.
type label struct {
	Protocol string    `json:"protocol"`
	Kind     string    `json:"kind"`
	Bank     string    `json:"bank"`
	Batch    string    `json:"batch"`
	MadeAt   time.Time `json:"madeAt"`
}

type total struct {
	label
	Pieces    int    `json:"pieces"`
	Rows      int    `json:"rows"`
	AmountFen int64  `json:"amountFen"`
	Digest    string `json:"digest"`
}

var errFile = errors.New("sim/bank: not a whole file of the province to this bank")

// readFile returns a file's label and the fields of its rows, verified.
func (b *Bank) readFile(path string) (label, [][]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return label{}, nil, err
	}
	sum := sha256.Sum256(raw)
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	if !strings.Contains(filepath.Base(path), hex.EncodeToString(sum[:])) || len(lines) < 3 {
		return label{}, nil, errFile
	}
	var first label
	var last total
	if err := errors.Join(b.openLine(lines[0], &first), b.openLine(lines[len(lines)-1], &last)); err != nil {
		return label{}, nil, err
	}
	open, err := b.config.Open()
	if err != nil {
		return label{}, nil, err
	}
	var content []byte
	for _, line := range lines[1 : len(lines)-1] {
		piece, err := signed.Unseal(line, open)
		if err != nil {
			return label{}, nil, err
		}
		content = append(content, piece...)
	}
	sum = sha256.Sum256(content)
	if last.label != first || first.Protocol != protocol || first.Bank != b.config.Code || last.Digest != hex.EncodeToString(sum[:]) {
		return label{}, nil, errFile
	}
	text, err := simplifiedchinese.GB18030.NewDecoder().Bytes(content)
	if err != nil {
		return label{}, nil, err
	}
	var rows [][]string
	for _, record := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if fields := strings.Split(record, "|"); fields[0] == "D" {
			rows = append(rows, fields[2:])
		}
	}
	if len(rows) != last.Rows {
		return label{}, nil, errFile
	}
	return first, rows, nil
}

func (b *Bank) openLine(line string, into any) error {
	now := b.config.Now()
	payload, err := signed.Open(line, b.config.ProvinceRoots, func([]byte) (time.Time, error) { return now, nil })
	if err != nil {
		return err
	}
	return json.Unmarshal(payload, into)
}

// OpenFile carries out an account-opening file and writes its return into a
// directory. The same file again has the same accounts.
func (b *Bank) OpenFile(path, directory string) (string, error) {
	first, rows, err := b.readFile(path)
	if err != nil {
		return "", err
	}
	if first.Kind != "account-open" {
		return "", errFile
	}
	answers, err := b.openRows(rows)
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	if len(answers) > 1 && b.strikes(b.faults.Repeat) {
		answers[len(answers)-1] = answers[0]
	}
	b.mu.Unlock()
	return b.writeFile(directory, label{Kind: "account-return", Batch: first.Batch}, answers)
}

// openRows opens the accounts of a file's rows and saves the books once.
func (b *Bank) openRows(rows [][]string) (answers [][]string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, row := range rows {
		body, err := json.Marshal(map[string]string{"application": row[1], "cardNumber": row[2], "name": row[3], "idType": row[4], "idNumber": row[5], "phone": row[6]})
		if err != nil {
			return nil, err
		}
		order, err := uuid.Parse(row[0])
		if err != nil {
			return nil, err
		}
		answer, _ := b.once(order, "account.open", body)
		name := row[3]
		if answer.Result == "done" && b.strikes(b.faults.Misnames) {
			name += "某"
		}
		answers = append(answers, []string{row[0], row[2], name, row[5], answer.Told.Account, answer.Result, answer.Code, answer.Text})
	}
	return answers, b.save()
}

// Forge alters the files that the bank writes from now on; nil ends it.
func (b *Bank) Forge(alter func(batch *string, rows [][]string) [][]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forge = alter
}

// Statement writes the statement of a day: all accounts, and the fees that were
// booked on it.
func (b *Bank) Statement(day, directory string) (string, error) {
	b.mu.Lock()
	var rows [][]string
	for _, number := range sortedKeys(b.books.Accounts) {
		rows = append(rows, []string{"A", number, b.books.Accounts[number].State})
	}
	for _, order := range sortedKeys(b.books.Bookings) {
		if booking := b.books.Bookings[order]; booking.Day == day {
			rows = append(rows, []string{"F", order, booking.Operation, booking.Receipt, strconv.FormatInt(booking.AmountFen, 10)})
		}
	}
	b.mu.Unlock()
	return b.writeFile(directory, label{Kind: "statement", Batch: day}, rows)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

const pieceSize = 32 << 10

// writeFile writes a file, or half of it when that is the fault.
func (b *Bank) writeFile(directory string, first label, rows [][]string) (string, error) {
	b.mu.Lock()
	if b.forge != nil {
		rows = b.forge(&first.Batch, rows)
	}
	b.mu.Unlock()
	first.Protocol, first.Bank, first.MadeAt = protocol, b.config.Code, b.config.Now()
	last := total{label: first, Rows: len(rows)}
	var content bytes.Buffer
	fmt.Fprintf(&content, "H|%s|%s|%s|%s\n", first.Kind, first.Bank, first.Batch, first.MadeAt.In(beijing).Format("20060102"))
	for i, row := range rows {
		if row[0] == "F" {
			amount, err := strconv.ParseInt(row[4], 10, 64)
			if err != nil {
				return "", err
			}
			if row[2] == "fee.refund" {
				amount = -amount
			}
			last.AmountFen += amount
		}
		fmt.Fprintf(&content, "D|%d|%s\n", i+1, strings.Join(row, "|"))
	}
	b.mu.Lock()
	if b.strikes(b.faults.WrongAmounts) && first.Kind == "statement" {
		last.AmountFen++
	}
	half := b.strikes(b.faults.HalfFile)
	b.mu.Unlock()
	fmt.Fprintf(&content, "T|%d|%d\n", len(rows), last.AmountFen)
	file, err := b.seal(first, last, content.Bytes())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(file)
	if half {
		file = file[:len(file)/2]
	}
	path := filepath.Join(directory, fmt.Sprintf("%s_%s_%s_%x.ocf", first.Kind, first.Bank, first.Batch, sum))
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, file, 0o600)
}

// seal makes the lines of a file from its content, cut between records.
func (b *Bank) seal(first label, last total, content []byte) ([]byte, error) {
	with, err := b.config.Sign()
	if err != nil {
		return nil, err
	}
	encoded, err := simplifiedchinese.GB18030.NewEncoder().Bytes(content)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(encoded)
	last.Digest = hex.EncodeToString(sum[:])
	line, err := signed.Sign(first, with)
	if err != nil {
		return nil, err
	}
	file := bytes.NewBufferString(line + "\n")
	records := bufio.NewReader(bytes.NewReader(encoded))
	var piece []byte
	for {
		record, err := records.ReadBytes('\n')
		piece = append(piece, record...)
		if len(piece) >= pieceSize || err != nil && len(piece) > 0 {
			sealed, err := signed.Seal(piece, b.config.ProvinceSeal)
			if err != nil {
				return nil, err
			}
			file.WriteString(sealed + "\n")
			last.Pieces++
			piece = piece[:0]
		}
		if err != nil {
			break
		}
	}
	if line, err = signed.Sign(last, with); err != nil {
		return nil, err
	}
	file.WriteString(line + "\n")
	return file.Bytes(), nil
}
