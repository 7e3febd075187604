package cmd_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"onecard/internal/gb"
)

// canaries are the personal data that the test plants: nobody else has them.
type canaries struct{ number, name, tibetan, phone, address, guardian, account, secondNumber, secondName string }

func planted(t *testing.T) canaries {
	t.Helper()
	birth, err := gb.ParseDate("1877-07-07")
	require.NoError(t, err)
	first, err := gb.NewIDNumber("630102", birth, 771)
	require.NoError(t, err)
	second, err := gb.NewIDNumber("630102", birth, 773)
	require.NoError(t, err)
	return canaries{
		number: first.String(), name: "更尕才仁·罗松桑毛", tibetan: "ཀུན་དགའ་ཚེ་རིང་ཟངས་མོ", phone: "13977707770", address: "城东区金丝雀路七十七号院",
		guardian: "卓玛拉毛·金丝雀", account: "6227000077707770777", secondNumber: second.String(), secondName: "尕藏扎西·金雀儿",
	}
}

func (c canaries) all() []string {
	return []string{c.number, c.name, c.tibetan, c.phone, c.address, c.guardian, c.account, c.secondNumber, c.secondName}
}

// forms returns the bytes by which a value would be seen: in the encodings of
// the province's systems, each as it is, in hexadecimal, in Base64 at each of
// its three offsets, and as JSON and a URL would have it.
func forms(t *testing.T, value string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{"JSON": []byte(escaped(value)), "URL": []byte(url.QueryEscape(value))}
	for name, e := range map[string]encoding.Encoding{
		"UTF-8": encoding.Nop, "GBK": simplifiedchinese.GBK, "GB 18030": simplifiedchinese.GB18030,
		"UTF-16LE": unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "UTF-16BE": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	} {
		text, err := e.NewEncoder().Bytes([]byte(value))
		if err != nil {
			continue // GBK has no Tibetan
		}
		found[name] = text
		found[name+" hex"] = []byte(hex.EncodeToString(text))
		found[name+" HEX"] = bytes.ToUpper([]byte(hex.EncodeToString(text)))
		for offset := range 3 {
			coded := base64.StdEncoding.EncodeToString(append(make([]byte, offset), text...))
			// Without the letters that the neighbours have a part in.
			found[fmt.Sprint(name, " Base64 ", offset)] = []byte(strings.TrimRight(coded, "=")[(offset*8+5)/6 : (offset+len(text))*8/6])
		}
	}
	return found
}

// escaped writes a text as JSON in ASCII.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String()
}

// wanted is what to look for: the bytes by what they are.
type wanted map[string][]byte

func sought(t *testing.T, values []string) wanted {
	t.Helper()
	all := wanted{}
	for i, value := range values {
		for form, text := range forms(t, value) {
			all[fmt.Sprintf("value %d as %s", i, form)] = text
		}
	}
	return all
}

// in returns what of it stands in a content.
func (w wanted) in(content []byte) (found []string) {
	for form, text := range w {
		if bytes.Contains(content, text) {
			found = append(found, form)
		}
	}
	return found
}

// search names the files, by form, in which one of the values stands.
func search(t *testing.T, root string, values []string) []string {
	t.Helper()
	wanted := sought(t, values)
	var where []string
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, form := range wanted.in(content) {
			where = append(where, strings.TrimPrefix(path, root)+": "+form)
		}
		return err
	}))
	return where
}

// watched runs the programs with all that they write below one directory: data,
// temporary files, what they print.
type watched struct {
	t    *testing.T
	root string
	c    canaries
	runs int
}

func (w *watched) command(arguments ...string) *exec.Cmd {
	w.t.Helper()
	bin, err := programs()
	require.NoError(w.t, err)
	w.runs++
	out, err := os.Create(filepath.Join(w.root, fmt.Sprintf("out-%02d-%s.txt", w.runs, arguments[0])))
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = out.Close() })
	command := exec.CommandContext(w.t.Context(), filepath.Join(bin, "onecard"), append(arguments, "--trial", "--log", "debug", "--data", filepath.Join(w.root, "data"))...)
	command.Env = append(os.Environ(), "TMPDIR="+filepath.Join(w.root, "tmp"), "HOME="+w.root,
		"ONECARD_STORES_EXCHANGE=sqlite:"+filepath.Join(w.root, "exchange.db"), "ONECARD_STORES_DECISION=sqlite:"+filepath.Join(w.root, "decision.db"))
	command.Stdout, command.Stderr = out, out
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return command
}

func (w *watched) run(arguments ...string) {
	w.t.Helper()
	if err := w.command(arguments...).Run(); err != nil {
		text, _ := os.ReadFile(filepath.Join(w.root, fmt.Sprintf("out-%02d-%s.txt", w.runs, arguments[0])))
		w.t.Fatalf("onecard %s: %v\n%s", strings.Join(arguments, " "), err, text)
	}
}

// killed starts a program and kills it when it has printed that.
func (w *watched) killed(printed string, arguments ...string) {
	w.t.Helper()
	command := w.command(arguments...)
	require.NoError(w.t, command.Start())
	require.Eventually(w.t, func() bool {
		text, _ := os.ReadFile(filepath.Join(w.root, fmt.Sprintf("out-%02d-%s.txt", w.runs, arguments[0])))
		return strings.Contains(string(text), printed)
	}, 30*time.Second, 10*time.Millisecond)
	require.NoError(w.t, command.Process.Kill())
	require.Error(w.t, command.Wait())
}

// up starts a program that serves and returns its address and what ends it.
func (w *watched) up(address func() string, arguments ...string) (at string, end func()) {
	w.t.Helper()
	command := w.command(arguments...)
	require.NoError(w.t, command.Start())
	require.Eventually(w.t, func() bool { at = address(); return at != "" }, 30*time.Second, 20*time.Millisecond)
	return at, func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		require.NoError(w.t, command.Wait())
	}
}

// table is a file of the pension system: a good row, and rows whose values stand
// in wrong columns or are wrong themselves.
func (w *watched) table(path string) {
	c := w.c
	heading := "个人编号,姓名,证件类型,公民身份号码,性别,民族,出生日期,户口性质,户口所在地行政区划,户籍地址,通讯地址,邮政编码,移动电话,参保险种,参保状态,单位编号,单位名称,参加工作日期,开户银行,银行账号,藏文姓名,户号,与户主关系,监护人姓名,监护人证件号码,生存状态"
	row := func(number, name, sex, birth, phone, place string) string {
		return strings.Join([]string{"P7770777", name, "居民身份证", number, sex, "藏族", birth, "农业户口", place, "", c.address, "815000", phone, "养老", "正常参保", "", "", "1999/7/1", "建设银行", c.account, c.tibetan, "H7", "", c.guardian, c.secondNumber, ""}, ",")
	}
	lines := []string{
		heading, row(c.number, c.name, "男", "1877-07-07", c.phone, "632721"),
		row(c.number, c.secondName, "男", "1877-07-07", c.phone, "632721"), // the number with another name
		row(c.name, c.number, "男", "1877-07-07", c.phone, "632721"),       // exchanged
		row(c.secondNumber[:17]+"0", c.secondName, c.phone, c.name, c.address, c.guardian),
	}
	text, err := simplifiedchinese.GB18030.NewEncoder().String(strings.Join(lines, "\r\n") + "\r\n")
	require.NoError(w.t, err)
	require.NoError(w.t, os.WriteFile(path, []byte(text), 0o600))
}

// caller speaks HTTP with a certificate from a directory.
type caller struct {
	t      *testing.T
	client *http.Client
	base   string
	token  string
	keys   int
}

func newCaller(t *testing.T, dir, base string) *caller {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	require.NoError(t, err)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "workstation.pem"), filepath.Join(dir, "workstation.key"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{t: t, client: &http.Client{Transport: transport}, base: base}
}

func (c *caller) do(method, path, body string) (int, string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	c.keys++
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", fmt.Sprintf("canary-%08d", c.keys))
	request.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := c.client.Do(request)
	require.NoError(c.t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(c.t, err)
	return answer.StatusCode, string(text)
}

// TestNothingPersonalOutside plants personal data through the programs as they
// are run, the right way and wrong, and then looks for it in everything that
// they wrote: databases with their logs, exchange and decision store, what they
// printed, temporary files, the export of the audit log, answers that refuse.
func TestNothingPersonalOutside(t *testing.T) {
	t.Parallel()
	w := &watched{t: t, root: t.TempDir(), c: planted(t)}
	outside := t.TempDir() // what holds personal data by purpose, and the keys of callers
	require.NoError(t, os.Mkdir(filepath.Join(w.root, "tmp"), 0o700))
	w.run("keys", "init")
	w.run("sample", "load")
	w.run("workstation", "enrol", "W-O630102-01", "--out", filepath.Join(outside, "desk"))
	w.run("exchange", "peer", "police", "--topics", "police.check", "--sends", "police.result", "--out", filepath.Join(outside, "police"))
	address := func() string {
		text, _ := os.ReadFile(filepath.Join(w.root, "data", "platform.address"))
		return strings.TrimSpace(string(text))
	}
	at, end := w.up(address, "serve", "--listen", "127.0.0.1:0")
	w.desk(newCaller(t, filepath.Join(outside, "desk"), "https://"+at))

	w.table(filepath.Join(outside, "old.csv"))
	rejects := filepath.Join(w.root, "rejects.csv")
	w.run("import", filepath.Join(outside, "old.csv"), "--mapping", "pension", "--rejects", rejects)
	refused, err := os.ReadFile(rejects)
	require.NoError(t, err)
	require.Greater(t, bytes.Count(refused, []byte("\n")), 4, "rows were refused")
	w.run("duplicates", "scan")
	w.run("check", "police", "--out", filepath.Join(outside, "check.csv"))
	w.run("keys", "rotate", "DATA")
	w.killed("已读 read", "keys", "reseal", "--batch", "1", "--rate", "50")
	w.run("keys", "reseal")
	w.run("decision", "take")
	w.run("audit", "export", "--out", filepath.Join(w.root, "audit"))
	w.peer(filepath.Join(outside, "police"))

	require.Empty(t, search(t, w.root, w.c.all()))
	end()
	require.Empty(t, search(t, w.root, w.c.all()), "after the end")

	require.NotEmpty(t, search(t, outside, []string{w.c.number}), "the file for the police tells the number, by purpose")
	require.NotEmpty(t, search(t, w.root, []string{"W-O630102-01"}), "the search finds what is stored in clear")
	for _, path := range []string{rejects, filepath.Join(outside, "check.csv")} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), path)
	}
}

// desk registers a resident at the counter and does everything wrong as well.
func (w *watched) desk(c *caller) {
	w.t.Helper()
	status, text := c.do("POST", "/v1/sign-in", `{"login":"zhangying","password":"Zhangying-2026"}`)
	require.Equal(w.t, http.StatusOK, status, text)
	var session struct{ Token string }
	require.NoError(w.t, json.Unmarshal([]byte(text), &session))
	c.token = session.Token
	body := func(change map[string]string) string {
		fields := map[string]string{"idNumber": w.c.number, "name": w.c.name, "nameTibetan": w.c.tibetan, "ethnic": "04", "phone": w.c.phone, "address": w.c.address, "place": "630102"}
		for name, value := range change {
			fields[name] = value
		}
		text, err := json.Marshal(fields)
		require.NoError(w.t, err)
		return string(text)
	}
	status, text = c.do("POST", "/v1/persons", body(nil))
	require.Equal(w.t, http.StatusCreated, status, text)
	var person struct{ ID string }
	require.NoError(w.t, json.Unmarshal([]byte(text), &person))
	for _, q := range []string{w.c.number, w.c.phone, w.c.name} {
		status, text = c.do("GET", "/v1/persons?q="+url.QueryEscape(q), "")
		require.Equal(w.t, http.StatusOK, status, text)
		require.Contains(w.t, text, person.ID)
	}
	status, text = c.do("POST", "/v1/persons/"+person.ID+"/unmask", `{"fields":["phone","idNumber","address"],"reason":"电话通知领卡"}`)
	require.Equal(w.t, http.StatusOK, status, text)
	require.Contains(w.t, text, w.c.number)

	var refusals strings.Builder
	for _, wrong := range [][3]string{
		{"POST", "/v1/persons", body(nil)}, // a second time
		{"POST", "/v1/persons", body(map[string]string{"idNumber": w.c.number[:17] + "?"})},
		{"POST", "/v1/persons", body(map[string]string{"phone": w.c.phone + w.c.address})},
		{"POST", "/v1/persons", body(map[string]string{"name": w.c.name + "\u200b"})},
		{"POST", "/v1/persons", body(map[string]string{"place": w.c.number})},
		{"POST", "/v1/persons", body(map[string]string{w.c.guardian: w.c.phone})},
		{"POST", "/v1/persons", body(nil)[:80]},
		{"GET", "/v1/persons?q=" + url.QueryEscape(w.c.name+"*"), ""},
		{"GET", "/v1/persons?" + w.c.phone + "=" + url.QueryEscape(w.c.name), ""},
		{"GET", "/v1/persons/" + url.PathEscape(w.c.name), ""},
		{"GET", "/" + w.c.number, ""},
		{"POST", "/v1/persons/" + person.ID + "/corrections", `{"version":1,"reason":"r","phone":"` + w.c.address + `"}`},
		{"POST", "/v1/sign-in", `{"login":"` + w.c.phone + `","password":"` + w.c.number + `"}`},
		{"GET", "/healthz", ""}, {"GET", "/readyz", ""}, {"GET", "/metrics", ""},
	} {
		status, text := c.do(wrong[0], wrong[1], wrong[2])
		fmt.Fprintf(&refusals, "%d %s\n", status, text)
	}
	require.Contains(w.t, refusals.String(), "422 ")
	require.Contains(w.t, refusals.String(), "409 ")
	require.NoError(w.t, os.WriteFile(filepath.Join(w.root, "refusals.txt"), []byte(refusals.String()), 0o600))
}

// peer lets the police fetch what it is asked, and send what is wrong.
func (w *watched) peer(dir string) {
	w.t.Helper()
	printed := filepath.Join(w.root, fmt.Sprintf("out-%02d-exchange.txt", w.runs+1))
	at, end := w.up(func() string {
		text, _ := os.ReadFile(printed)
		_, address, _ := strings.Cut(string(text), "https://")
		address, _, _ = strings.Cut(address, "\n")
		return address
	}, "exchange", "serve", "--listen", "127.0.0.1:0")
	c := newCaller(w.t, dir, "https://"+at)
	var fetched string
	require.Eventually(w.t, func() bool {
		_, fetched = c.do("GET", "/v1/messages", "")
		return strings.Contains(fetched, "police.check")
	}, 10*time.Second, 100*time.Millisecond)
	_, refused := c.do("POST", "/v1/messages", `{"id":"`+w.c.number+`","topic":"`+w.c.name+`","body":"`+w.c.phone+`"}`)
	_, unknown := c.do("GET", "/v1/messages/"+url.PathEscape(w.c.name), "")
	require.NoError(w.t, os.WriteFile(filepath.Join(w.root, "peer.txt"), []byte(fetched+refused+unknown), 0o600))
	end()
}

// TestSearchFinds is the control of the search: it finds a value in each form,
// wherever it stands.
func TestSearchFinds(t *testing.T) {
	t.Parallel()
	for i, value := range planted(t).all() {
		looking := sought(t, []string{value})
		for form, text := range forms(t, value) {
			require.NotEmpty(t, looking.in(append([]byte("before "), text...)), "value %d as %s", i, form)
		}
		for offset := range 3 {
			coded := base64.StdEncoding.EncodeToString([]byte("xyz"[:offset] + value + "and more"))
			require.NotEmpty(t, looking.in([]byte(coded)), "value %d in Base64 at %d", i, offset)
		}
		require.Empty(t, looking.in([]byte("nothing of it")))
	}
}
