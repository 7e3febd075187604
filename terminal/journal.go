package terminal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"onecard/api/client"
	"onecard/internal/gb"
)

// Journal keeps the transactions of this terminal whose end is not known yet,
// one small file each, and the terminal's serial number (终端交易序号). A file is
// on the disk before the transaction leaves; it is removed when the end is
// known. It holds no name and no identity number.
type Journal struct {
	dir string
	mu  sync.Mutex
	out map[uuid.UUID]bool // waiting for their answer right now
}

// OpenJournal opens the journal in a directory, making it where it is absent.
func OpenJournal(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	// What a power cut left of a file that was not in its place yet.
	unfinished, err := filepath.Glob(filepath.Join(dir, freshFile))
	for _, path := range unfinished {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return &Journal{dir: dir, out: map[uuid.UUID]bool{}}, nil
}

func (j *Journal) path(id uuid.UUID) string { return filepath.Join(j.dir, id.String()+".json") }

// Begin gives the transaction its id and serial number and stores the request.
func (j *Journal) Begin(now time.Time, proof uuid.UUID, visit Visit) (client.NewTransaction, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	request, err := j.begin(now, proof, visit)
	if err != nil && !errors.Is(err, ErrUnknownEnd) {
		err = ErrJournal.Because(err)
	}
	return request, err
}

func (j *Journal) begin(now time.Time, proof uuid.UUID, visit Visit) (client.NewTransaction, error) {
	var none client.NewTransaction
	id, err := visit.ID, error(nil)
	if id == uuid.Nil {
		if id, err = uuid.NewV7(); err != nil {
			return none, fmt.Errorf("make transaction id: %w", err)
		}
	}
	if _, err := os.Stat(j.path(id)); err == nil {
		return none, ErrUnknownEnd // it was sent before
	}
	serial, err := j.nextSerial()
	if err != nil {
		return none, err
	}
	request := client.NewTransaction{
		Id: id, Business: client.NewTransactionBusiness(visit.Business), Proof: proof,
		Serial: serial, Date: now.In(gb.Beijing).Format(time.DateOnly),
	}
	items, err := json.Marshal(visit.Items)
	if err != nil {
		return none, fmt.Errorf("encode items: %w", err)
	}
	if err := json.Unmarshal(items, &request.Items); err != nil {
		return none, fmt.Errorf("encode items: %w", err)
	}
	for _, item := range visit.Items {
		request.TotalFen += item.Fen
	}
	stored, err := json.Marshal(request)
	if err != nil {
		return none, fmt.Errorf("encode transaction: %w", err)
	}
	if err := j.write(id.String()+".json", stored); err != nil {
		return none, err
	}
	j.out[id] = true
	return request, nil
}

// Leave says that nobody waits for the transaction's answer any longer.
func (j *Journal) Leave(id uuid.UUID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.out, id)
}

// End forgets a transaction whose end is known.
func (j *Journal) End(id uuid.UUID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := os.Remove(j.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ErrJournal.Because(fmt.Errorf("end transaction: %w", err))
	}
	return nil
}

// Open returns the transactions whose end is not known and whose answer nobody
// waits for. A file that is named like a transaction's and is none is an error
// that names it; the transactions are returned beside it.
func (j *Journal) Open() ([]uuid.UUID, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, ErrJournal.Because(fmt.Errorf("read journal: %w", err))
	}
	var open []uuid.UUID
	var broken []error
	for _, entry := range entries {
		id, err := transactionOf(entry.Name())
		switch {
		case errors.Is(err, errNoTransaction):
		case err != nil:
			broken = append(broken, fmt.Errorf("journal file %s: %w", filepath.Join(j.dir, entry.Name()), err))
		case !j.out[id]:
			open = append(open, id)
		}
	}
	if len(broken) > 0 {
		return open, ErrJournal.Because(errors.Join(broken...))
	}
	return open, nil
}

// errNoTransaction: a file of the directory has nothing to do with transactions.
var errNoTransaction = errors.New("not a transaction")

// transactionOf reads the name of a transaction's file, of which there is one
// form: other ways to write an id are not this journal's.
func transactionOf(name string) (uuid.UUID, error) {
	text, ok := strings.CutSuffix(name, ".json")
	if !ok {
		return uuid.Nil, errNoTransaction
	}
	id, err := uuid.Parse(text)
	if err == nil && id.String() != text {
		err = errors.New("the id is not in its usual form")
	}
	return id, err
}

const serialFile = "serial"

func (j *Journal) nextSerial() (int64, error) {
	path := filepath.Join(j.dir, serialFile)
	stored, err := os.ReadFile(path)
	var serial int64
	if err == nil {
		serial, err = parseSerial(stored)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read serial number in %s: %w", path, err)
	}
	serial++
	return serial, j.write(serialFile, fmt.Appendf(nil, "%d\n", serial))
}

// parseSerial reads the last serial number that was given out. One that cannot
// be read is not guessed: the platform refuses a number that it has seen.
func parseSerial(stored []byte) (int64, error) {
	serial, err := strconv.ParseInt(strings.TrimSuffix(string(stored), "\n"), 10, 64)
	if err == nil && (serial < 1 || serial == math.MaxInt64) {
		err = fmt.Errorf("%d: %w", serial, strconv.ErrRange)
	}
	return serial, err
}

// freshFile is the pattern of files on their way into their place.
const freshFile = ".new-*"

// write puts a file in place as a whole: after a power cut the old or the new
// contents are there.
func (j *Journal) write(name string, contents []byte) error {
	file, err := os.CreateTemp(j.dir, freshFile)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	_, err = file.Write(contents)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(j.dir, name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write journal: %w", err), os.Remove(file.Name()))
	}
	return syncDir(j.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
