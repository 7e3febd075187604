package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/api/client"
)

// deskClient works a counter's page as its script does in a browser: over the
// loopback interface, with a cookie, as one operator.
type deskClient struct {
	base string
	http *http.Client
}

func newDeskClient(base string) (*deskClient, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("cookie jar: %w", err)
	}
	return &deskClient{base: base, http: &http.Client{Jar: jar, Timeout: time.Minute}}, nil
}

// call sends a request to the page's interface; a problem comes back as the
// error.
func (d *deskClient) call(ctx context.Context, method, path string, body, into any) error {
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, d.base+path, &payload)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if method != http.MethodGet {
		request.Header.Set("Idempotency-Key", uuid.NewString())
	}
	answer, err := d.http.Do(request)
	if err != nil {
		return fmt.Errorf("the counter does not answer: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		problem := &client.Problem{}
		if err := json.NewDecoder(answer.Body).Decode(problem); err != nil {
			return fmt.Errorf("counter answered %s", answer.Status)
		}
		return problem
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

func (d *deskClient) signIn(ctx context.Context, login, password string) error {
	return d.call(ctx, http.MethodPost, "/api/sign-in", client.SignIn{Login: login, Password: password}, nil)
}

// deskState is what the page shows live, as far as the journey looks at it.
type deskState struct {
	Platform bool   `json:"platform"`
	Reader   string `json:"reader"`
	Card     struct {
		Kind string `json:"kind"`
	} `json:"card"`
}

// waitFor reads the page's live state until ok holds.
func (d *deskClient) waitFor(ctx context.Context, ok func(deskState) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+"/api/events", nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	answer, err := d.http.Do(request)
	if err != nil {
		return fmt.Errorf("the counter does not answer: %w", err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		data, isData := strings.CutPrefix(lines.Text(), "data: ")
		if !isData {
			continue
		}
		var state deskState
		if err := json.Unmarshal([]byte(data), &state); err != nil {
			return fmt.Errorf("decode state: %w", err)
		}
		if ok(state) {
			return nil
		}
	}
	return errors.Join(errors.New("the counter did not come into the expected state"), ctx.Err())
}
