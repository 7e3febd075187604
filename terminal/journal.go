package terminal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"onecard/api/client"
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
	return &Journal{dir: dir, out: map[uuid.UUID]bool{}}, nil
}

func (j *Journal) path(id uuid.UUID) string { return filepath.Join(j.dir, id.String()+".json") }

// Begin gives the transaction its id and serial number and stores the request.
func (j *Journal) Begin(now time.Time, proof uuid.UUID, visit Visit) (client.NewTransaction, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
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
		Serial: serial, Date: now.In(beijing).Format(time.DateOnly),
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
		return fmt.Errorf("end transaction: %w", err)
	}
	return nil
}

// Open returns the transactions whose end is not known and whose answer nobody
// waits for.
func (j *Journal) Open() ([]uuid.UUID, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var open []uuid.UUID
	for _, entry := range entries {
		if id, err := uuid.Parse(strings.TrimSuffix(entry.Name(), ".json")); err == nil && !j.out[id] {
			open = append(open, id)
		}
	}
	return open, nil
}

const serialFile = "serial"

func (j *Journal) nextSerial() (int64, error) {
	var serial int64
	stored, err := os.ReadFile(filepath.Join(j.dir, serialFile))
	if err == nil {
		_, err = fmt.Sscanf(string(stored), "%d", &serial)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read serial number: %w", err)
	}
	serial++
	return serial, j.write(serialFile, fmt.Appendf(nil, "%d\n", serial))
}

// write puts a file in place as a whole: after a power cut the old or the new
// contents are there.
func (j *Journal) write(name string, contents []byte) error {
	file, err := os.CreateTemp(j.dir, ".new-*")
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

// beijing is the one legal time of the country; it knows no summer time.
var beijing = time.FixedZone("CST", 8*60*60)
