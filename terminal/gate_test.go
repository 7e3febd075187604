package terminal_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"onecard/api/client"
)

// fault is what becomes of a request on the line.
type fault int

const (
	lineGood fault = iota
	lineAway       // the platform does not get the request
	lineDeaf       // the platform does what it is asked, the answer is lost
	lineSick       // it does it, and then says that it is out of order
	lineHTML       // it does it, and something between answers a page
)

// gate is the line between terminals and the platform, and what can happen to
// it: from a request on, or to the requests of one path.
type gate struct {
	next http.Handler

	mu    sync.Mutex
	fault fault
	path  string // whose requests are meant; empty for all
	left  int    // how many of them pass before
	asked []string
	sent  []string // the bodies of requests
	alter func(turn *client.Turn)
}

// set lets the requests whose path contains a text fail, after some passed.
func (g *gate) set(fault fault, path string, after int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault, g.path, g.left = fault, path, after
}

// change has what a turn of chip work says altered on its way.
func (g *gate) change(alter func(turn *client.Turn)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alter = alter
}

// mend makes the line good again.
func (g *gate) mend() { g.set(lineGood, "", 0) }

// count says how many requests of a path the platform got.
func (g *gate) count(path string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, asked := range g.asked {
		if strings.Contains(asked, path) {
			n++
		}
	}
	return n
}

// bodies returns those of the requests since it was last asked.
func (g *gate) bodies() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := strings.Join(g.sent, "\n")
	g.sent = nil
	return all
}

func (g *gate) pass(r *http.Request) fault {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return lineAway
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sent = append(g.sent, string(body))
	fate := lineGood
	if g.fault != lineGood && strings.Contains(r.URL.Path, g.path) {
		if g.left == 0 {
			fate = g.fault
		} else {
			g.left--
		}
	}
	if fate != lineAway {
		g.asked = append(g.asked, r.Method+" "+r.URL.Path)
	}
	return fate
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fate := g.pass(r)
	switch fate {
	case lineGood:
		g.hand(w, r)
		return
	case lineAway:
		panic(http.ErrAbortHandler)
	}
	g.next.ServeHTTP(httptest.NewRecorder(), r)
	switch fate {
	case lineSick:
		w.Header().Set("Content-Type", client.ProblemType)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"type":"urn:onecard:problem:outcome-unknown","code":"outcome-unknown","status":503,"title":"提交结果未知","titleEn":"the outcome is unknown"}`))
	case lineHTML:
		http.Error(w, "<html>bad gateway</html>", http.StatusBadGateway)
	default:
		panic(http.ErrAbortHandler)
	}
}

// hand lets a request through, and its answer altered where that is wanted.
func (g *gate) hand(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	alter := g.alter
	g.mu.Unlock()
	if alter == nil || !strings.Contains(r.URL.Path, "/v1/chip-sessions") {
		g.next.ServeHTTP(w, r)
		return
	}
	recorder := httptest.NewRecorder()
	g.next.ServeHTTP(recorder, r)
	body := recorder.Body.Bytes()
	var turn client.Turn
	if err := json.Unmarshal(body, &turn); err == nil {
		alter(&turn)
		if changed, err := json.Marshal(turn); err == nil {
			body = changed
		}
	}
	w.Header().Set("Content-Type", recorder.Header().Get("Content-Type"))
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(body)
}
