package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// part is a value of a primary key, in the form in which the cursor keeps it.
type part struct {
	Text   *string `json:"t,omitempty"`
	Number *int64  `json:"n,omitempty"`
	Bytes  []byte  `json:"b,omitempty"`
}

// Cursor writes a primary key down, for a run that may be stopped.
func Cursor(key []any) (string, error) {
	parts := make([]part, len(key))
	for i, value := range key {
		switch v := value.(type) {
		case string:
			parts[i].Text = &v
		case int64:
			parts[i].Number = &v
		case []byte:
			parts[i].Bytes = v
		default:
			return "", fmt.Errorf("registry: a primary key of %T", value)
		}
	}
	text, err := json.Marshal(parts)
	return string(text), err
}

// Position reads what [Cursor] wrote; none for nothing.
func Position(text string) ([]any, error) {
	if text == "" {
		return nil, nil
	}
	var parts []part
	if err := json.Unmarshal([]byte(text), &parts); err != nil {
		return nil, fmt.Errorf("registry: the place of a run: %w", err)
	}
	key := make([]any, len(parts))
	for i, p := range parts {
		switch {
		case p.Text != nil:
			key[i] = *p.Text
		case p.Number != nil:
			key[i] = *p.Number
		default:
			key[i] = p.Bytes
		}
	}
	return key, nil
}

// Pause waits, unless ctx ends before.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Left is how long a run that has begun at an instant will take for the rest, if
// it goes on as it did; 0: nobody can say, or nothing is left.
func Left(begun time.Time, done, rest int64) time.Duration {
	if done <= 0 || rest <= 0 {
		return 0
	}
	return time.Duration(float64(time.Since(begun)) / float64(done) * float64(rest)).Round(time.Second)
}
