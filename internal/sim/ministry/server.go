package ministry

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"onecard/internal/signed"
)

// Faults are what goes wrong, each for a share of the messages (0 to 1), by a
// seed: the same seed makes the same faults in the same order of messages.
type Faults struct {
	Seed           uint64        `default:"1" help:"Seed of the faults. 随机种子。"`
	Slow           time.Duration `help:"Every answer waits so long. 应答延迟。"`
	Down           float64       `help:"Share that is answered with 503. 不可用的比例。"`
	Hang           float64       `help:"Share that is never answered. 不应答的比例。"`
	Garbage        float64       `help:"Share that is answered with nonsense. 乱码的比例。"`
	Late           float64       `help:"Share that is taken, but whose answer is lost. 已受理而应答丢失的比例。"`
	Unknown        float64       `help:"Share that is answered 99, to be asked again. 答“未知”的比例。"`
	Another        float64       `help:"Share that is answered as if to another message. 答非所问的比例。"`
	DuplicateEvery int           `help:"Every so many-th question and first registration is answered: has a card elsewhere. 每第几个答他省有卡。"`
}

// Reply is an answer.
type Reply struct {
	ID       string   `json:"id"`
	Code     string   `json:"code"`
	Text     string   `json:"text"`
	Province string   `json:"province,omitempty"`
	Version  int64    `json:"version,omitempty"`
	Cards    []listed `json:"cards,omitempty"`
}

type listed struct {
	Card    string `json:"card"`
	Status  string `json:"status"`
	Version int64  `json:"version"`
}

// envelope is a message.
type envelope struct {
	Version string              `json:"version"`
	Sender  string              `json:"sender"`
	ID      string              `json:"id"`
	Message string              `json:"message"`
	At      time.Time           `json:"at"`
	Items   map[string]string   `json:"items"`
	Rows    []map[string]string `json:"rows"`
}

// Server answers messages. Province are the roots of what provinces sign.
type Server struct {
	Store    *Store
	Province *x509.CertPool

	mu     sync.Mutex
	faults Faults
	random *rand.Rand
	asked  int
}

// NewServer returns a server with its faults.
func NewServer(store *Store, province *x509.CertPool, faults Faults) *Server {
	s := &Server{Store: store, Province: province}
	s.SetFaults(faults)
	return s
}

// SetFaults changes what goes wrong from now on.
func (s *Server) SetFaults(faults Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.random = faults, rand.New(rand.NewPCG(faults.Seed, 0))
}

// draw decides what goes wrong with the next message.
func (s *Server) draw() (fault string, slow time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range []struct {
		name  string
		share float64
	}{{"down", s.faults.Down}, {"hang", s.faults.Hang}, {"garbage", s.faults.Garbage}, {"late", s.faults.Late}, {"unknown", s.faults.Unknown}, {"another", s.faults.Another}} {
		if f.share > 0 && s.random.Float64() < f.share {
			return f.name, s.faults.Slow
		}
	}
	return "", s.faults.Slow
}

// ServeHTTP takes a signed message and answers it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
	if err != nil {
		return
	}
	fault, slow := s.draw()
	select {
	case <-time.After(slow):
	case <-r.Context().Done():
		return
	}
	switch fault {
	case "down":
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	case "hang":
		<-r.Context().Done()
		return
	case "garbage":
		_, _ = io.WriteString(w, "\x00\xff<html>超时</html>")
		return
	}
	reply, err := s.take(string(token), fault == "unknown")
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusForbidden)
	case fault == "late":
		panic(http.ErrAbortHandler) // taken, and the line breaks
	default:
		if fault == "another" {
			reply.ID = "00000000-0000-0000-0000-000000000000"
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(reply)
	}
}

// take opens a message and does what it says, once for an id.
func (s *Server) take(token string, unknown bool) (Reply, error) {
	payload, err := signed.Open(token, s.Province, func(payload []byte) (time.Time, error) {
		var m envelope
		err := json.Unmarshal(payload, &m)
		return m.At, err
	})
	if err != nil {
		return Reply{}, err
	}
	var m envelope
	if err := json.Unmarshal(payload, &m); err != nil {
		return Reply{}, err
	}
	if unknown {
		return Reply{ID: m.ID, Code: "99", Text: "未知"}, nil
	}
	s.Store.mu.Lock()
	defer s.Store.mu.Unlock()
	if answered, ok := s.Store.answers[m.ID]; ok {
		return answered, nil
	}
	switch m.Message {
	case "CKK01", "CKK02":
		return s.card(m)
	case "CKK03":
		reply := Reply{ID: m.ID, Code: "00", Text: "无他省卡"}
		if s.elsewhere() {
			reply.Code, reply.Text, reply.Province = "02", "他省已有卡", "540000"
		}
		return reply, nil
	case "CKK04":
		reply := Reply{ID: m.ID, Code: "00", Text: "成功"}
		return reply, s.Store.keep(entry{ID: m.ID, Reply: reply, Statistics: m.Rows})
	case "CKK05":
		return s.list(m), nil
	}
	return Reply{ID: m.ID, Code: "10", Text: "无此交易"}, nil
}

// elsewhere says whether the next question is answered: has a card elsewhere.
func (s *Server) elsewhere() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.faults.DuplicateEvery > 0 && s.asked%s.faults.DuplicateEvery == 0
}

// card takes a registration or a status. An older version never takes the place
// of a newer one.
func (s *Server) card(m envelope) (Reply, error) {
	version, err := strconv.ParseInt(m.Items["VER"], 10, 64)
	number := m.Items["AAZ500"]
	if err != nil || len(number) != 9 || m.Items["AAZ502"] == "" || m.Items["AAC003"] == "" {
		return Reply{ID: m.ID, Code: "10", Text: "数据不合格"}, nil
	}
	known, there := s.Store.cards[number]
	reply := Reply{ID: m.ID, Code: "00", Text: "成功"}
	switch {
	case m.Message == "CKK02" && !there:
		return Reply{ID: m.ID, Code: "10", Text: "卡未注册"}, nil
	case there && version <= known.Version:
		return Reply{ID: m.ID, Code: "03", Text: fmt.Sprintf("部级已有版本 %d", known.Version), Version: known.Version}, nil
	case !there && s.elsewhere():
		return Reply{ID: m.ID, Code: "02", Text: "他省已有卡", Province: "540000"}, nil
	}
	card := Card{Number: number, Status: m.Items["AAZ502"], Version: version, Items: m.Items}
	return reply, s.Store.keep(entry{ID: m.ID, Reply: reply, Card: &card})
}

func (s *Server) list(m envelope) Reply {
	reply := Reply{ID: m.ID, Code: "00", Text: "成功"}
	for number, c := range s.Store.cards {
		if number > m.Items["FROM"] && (m.Items["TO"] == "" || number <= m.Items["TO"]) {
			reply.Cards = append(reply.Cards, listed{c.Number, c.Status, c.Version})
		}
	}
	return reply
}
