package notice

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"onecard/internal/signed"
)

// Files is the gateway that puts each message into a file, from which the
// operator of a short-message service fetches it (文件式短信网关). Nothing lies there
// in the clear: a message is sealed to the certificate of whoever fetches.
type Files struct {
	Dir string
	To  func() (*tls.Certificate, error)
}

// Send implements Gateway. A message that lies there already is not written
// again.
func (f Files) Send(_ context.Context, m Message) error {
	certificate, err := f.To()
	if err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	sealed, err := signed.Seal(text, certificate.Leaf)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	path := filepath.Join(f.Dir, m.ID.String()+".jwe")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	// Whole or not at all, and on the disk before the message counts as sent.
	file, err := os.CreateTemp(f.Dir, ".new-*")
	if err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // after the rename it is gone
	_, err = file.WriteString(sealed)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	return nil
}

// Waiting opens the messages that lie in the directory, oldest first.
func (f Files) Waiting() ([]Message, error) {
	certificate, err := f.To()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(f.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	var messages []Message
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".jwe") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(f.Dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("notice: %w", err)
		}
		text, err := signed.Unseal(string(content), certificate)
		if err != nil {
			return nil, fmt.Errorf("notice: %s: %w", entry.Name(), err)
		}
		var m Message
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, fmt.Errorf("notice: %s: %w", entry.Name(), err)
		}
		messages = append(messages, m)
	}
	slices.SortStableFunc(messages, func(a, b Message) int { return a.At.Compare(b.At) })
	return messages, nil
}
