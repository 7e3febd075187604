package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"onecard/api/pki"
	"onecard/internal/rig"
	"onecard/registry/sample"
)

// runCommand is the main job on one machine: the platform with the sample
// province, virtual cards behind the real PC/SC service, a county counter, a
// pharmacy and a hospital; one card from the application to the loss report;
// and then the web page until Ctrl-C.
type runCommand struct {
	Data      string `default:"data" type:"path" help:"Directory of the trial. 试用数据目录。"`
	Database  string `env:"ONECARD_DATABASE" placeholder:"DSN" help:"postgres://… instead of the embedded database. 改用 PostgreSQL。"`
	Reader    string `default:"virtual" enum:"virtual,system" help:"virtual: own pcscd with virtual cards; system: this machine's readers. 虚拟或本机读卡器。"`
	Listen    string `default:"127.0.0.1:8443" placeholder:"HOST:PORT" help:"Address of the platform. 平台地址。"`
	Page      string `default:"127.0.0.1:8480" placeholder:"HOST:PORT" help:"Address of the county counter's page; the terminals take the next ports. 柜台页面地址。"`
	Profiles  string `type:"path" env:"ONECARD_PROFILES" placeholder:"DIR" help:"Directory of further card profiles. 卡规范文件目录。"`
	Issuance  string `type:"path" env:"ONECARD_ISSUANCE" placeholder:"FILE" help:"Parameters of issuance. 发卡参数文件。"`
	NoJourney bool   `help:"Start everything without issuing a card. 只启动，不走流程。"`
}

// post is a place with a reader in the trial.
type post struct {
	name        string
	kind        string // of its program: counter, pharmacy, hospital
	workstation string
	slot        int // of the virtual readers; all but the county counter share one
	zh          string
}

var posts = []post{
	{"counter", "counter", "W-O630102-01", 0, "县柜台"},
	{"pharmacy", "pharmacy", "W-P630102001-01", 1, "药店"},
	{"hospital", "hospital", "W-H630102001-01", 1, "医院"},
	{"office", "counter", "W-O630000-01", 1, "省中心"},
}

// trial is everything that `onecard run` has started.
type trial struct {
	command  *runCommand
	out      io.Writer
	children children
	rig      *rig.Rig          // nil with the machine's own readers
	socket   string            // the keeper's; empty with the keys in the platform's process
	config   string            // file with the line to the bank; empty without one
	pages    map[string]string // address by name of post
	logins   map[string]string // password by login
	began    time.Time
}

// Run starts everything, walks the journey and stays up until ctx ends.
func (c *runCommand) Run(ctx context.Context, out streams) (err error) {
	t := &trial{command: c, out: out.Out, pages: map[string]string{}, logins: map[string]string{}, began: time.Now()}
	t.children.logs = filepath.Join(c.Data, "logs")
	defer func() {
		t.printf("\n停止 stopping …\n")
		err = errors.Join(err, t.stop())
		t.printf("已全部停止 everything has stopped.\n")
	}()
	for _, step := range t.steps() {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s %s: %w", step.zh, step.en, err)
		}
		t.printf("✔ %s  %s  (%.2f s)\n", step.zh, step.en, time.Since(began).Seconds())
	}
	if t.rig != nil && !c.NoJourney {
		if err := t.walk(ctx); err != nil {
			return err
		}
	}
	if err := t.announce(); err != nil {
		return err
	}
	return t.children.wait(ctx)
}

// startStep is one thing that is started.
type startStep struct {
	zh, en string
	do     func(context.Context) error
}

func (t *trial) steps() []startStep {
	readers := startStep{"启动读卡服务和虚拟读卡器", "PC/SC service with virtual readers", t.startReaders}
	if t.command.Reader == "system" {
		readers = startStep{"使用本机的读卡服务和读卡器", "this machine's PC/SC service and readers", t.useReaders}
	}
	steps := []startStep{{"准备：密钥", "keys", t.prepareKeys}}
	if _, err := beside("keeper"); err == nil {
		steps = append(steps, startStep{"启动密钥保管进程", "the keeper of keys, in its own process", t.startKeeper})
	}
	steps = append(steps, startStep{"准备：数据库、示例省、工作站证书", "database, sample province, certificates", t.prepare}, readers)
	if _, err := beside("partnersim"); err == nil {
		steps = append(steps, startStep{"启动合作银行", "a bank", t.startBank})
	}
	return append(steps, []startStep{
		{"启动省平台", "the platform", t.startPlatform},
		{"启动县柜台、药店、医院、省中心终端", "county counter, pharmacy, hospital, provincial office", t.startCounters},
	}...)
}

func (t *trial) printf(format string, args ...any) { fmt.Fprintf(t.out, format, args...) }

func (t *trial) stop() error {
	err := t.children.stop()
	if t.rig != nil {
		err = errors.Join(err, t.rig.Stop())
	}
	if t.socket != "" {
		err = errors.Join(err, os.RemoveAll(filepath.Dir(t.socket)))
	}
	return errors.Join(err, remove(t.file(runFile)))
}

// runFile tells other programs on this machine what is running.
const runFile = "run.json"

func (t *trial) file(parts ...string) string {
	return filepath.Join(append([]string{t.command.Data}, parts...)...)
}

// settings is the platform's configuration of the trial.
func (t *trial) settings() (config, error) {
	flags := map[string]any{"data": t.command.Data, "listen": t.command.Listen, "trial": true}
	for key, value := range map[string]string{
		"database": t.command.Database, "keeper.socket": t.socket, "profiles": t.command.Profiles, "issuance": t.command.Issuance,
	} {
		if value != "" {
			flags[key] = value
		}
	}
	return load("", func() []string { return nil }, flags)
}

// prepareKeys makes the directories and the keys: on a second run nothing.
func (t *trial) prepareKeys(context.Context) error {
	for _, dir := range []string{"logs", "cards", "keys"} {
		if err := os.MkdirAll(t.file(dir), 0o700); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
	config, err := t.settings()
	if err != nil {
		return err
	}
	if err := makeTransportKey(t.transportKey()); err != nil {
		return err
	}
	if _, err := os.Stat(config.keyFile()); errors.Is(err, os.ErrNotExist) {
		if err := initKeys(config, t.transportKey()); err != nil {
			return err
		}
	}
	if err := completeKeys(config, t.transportKey()); err != nil {
		return err
	}
	return importLaboratory(config, t.transportKey())
}

// prepare fills the database and enrols the workstations: on a second run it
// loads nothing.
func (t *trial) prepare(ctx context.Context) error {
	config, err := t.settings()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(t.file("logs", "prepare.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	defer log.Close()
	p, err := openRecords(ctx, config, newLogger(log, config.Log))
	if err != nil {
		return err
	}
	return errors.Join(t.fill(ctx, p), p.close())
}

// fill loads the sample province and enrols the workstations of the posts.
func (t *trial) fill(ctx context.Context, p *platform) error {
	if err := p.loadSample(ctx); err != nil {
		return err
	}
	province, err := sample.Read()
	if err != nil {
		return err
	}
	for _, operator := range province.Operators {
		t.logins[operator.Login] = operator.Password
	}
	for _, post := range posts {
		if err := t.enrol(ctx, p, post.workstation); err != nil {
			return err
		}
	}
	return p.handOver(t.file("bank", "province"))
}

// enrol gives a workstation of the trial a new certificate: the database may be
// another one than that of the run before.
func (t *trial) enrol(ctx context.Context, p *platform, id string) error {
	dir := t.file("workstations", id)
	for _, name := range []string{pki.FileCA, pki.FileCertificate, pki.FileKey} {
		if err := remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return p.enrol(ctx, id, dir)
}

func (t *trial) transportKey() string { return t.file("keys", "transport.key") }

// useReaders leaves the readers to the counters, which find them by themselves.
func (t *trial) useReaders(context.Context) error { return nil }

// startReaders starts a PC/SC service of our own.
func (t *trial) startReaders(ctx context.Context) error {
	cardsim, err := beside("cardsim")
	if err != nil {
		return err
	}
	t.rig, err = rig.Start(ctx, rig.Config{Cardsim: cardsim, Env: []string{"CARDSIM_PROFILES=" + t.command.Profiles}})
	return err
}

// beside finds a program that was built together with this one.
func beside(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("own path: %w", err)
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("缺少程序 %s，请先 make build the program is missing, run make build: %w", path, err)
	}
	return path, nil
}

func (t *trial) startPlatform(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("own path: %w", err)
	}
	// Taken by another program, the address is refused with the clearest words
	// before a child is started.
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", t.command.Listen)
	if err != nil {
		return &listenError{address: t.command.Listen, err: err}
	}
	if err := listener.Close(); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := remove(t.file(addressFile)); err != nil {
		return err
	}
	args := []string{"serve", "--trial", "--data", t.command.Data, "--listen", t.command.Listen}
	if t.command.Database != "" {
		args = append(args, "--database", t.command.Database)
	}
	if t.socket != "" {
		args = append(args, "--keeper-socket", t.socket)
	}
	if t.config != "" {
		args = append(args, "--config", t.config)
	}
	// The settings of the trial are its flags alone.
	environment := []string{"ONECARD_DATABASE=", "ONECARD_KEEPER_SOCKET=", "ONECARD_PROFILES=" + t.command.Profiles, "ONECARD_ISSUANCE=" + t.command.Issuance}
	platform, err := t.children.start("platform", self, environment, args...)
	if err != nil {
		return err
	}
	address := ""
	if err := platform.ready(ctx, func(context.Context) error {
		address, err = readAddress(t.file(addressFile))
		return err
	}); err != nil {
		return err
	}
	t.pages["platform"] = "https://" + address
	return nil
}

// announce prints the way in and leaves it in a file.
func (t *trial) announce() error {
	state := map[string]any{"pages": t.pages, "logins": t.logins, "transportKey": t.transportKey()}
	if t.rig != nil {
		state["control"] = t.rig.Control()
	}
	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return fmt.Errorf("run file: %w", err)
	}
	t.printf("\n从启动到此 %.1f 秒 since the start.\n\n", time.Since(t.began).Seconds())
	for _, post := range posts {
		t.printf("  %s %s\n", padRight(post.zh+"页面 "+post.name, 22), t.pages[post.name])
	}
	if bank := t.pages["bank"]; bank != "" {
		t.printf("  合作银行账簿 bank      %s/accounts（模拟 simulated）\n", bank)
	}
	t.printf("  省平台接口 platform    %s/openapi.yaml（需工作站证书的客户端 for clients with a certificate）\n\n  示例登录 sample log-ins\n", t.pages["platform"])
	province, err := sample.Read()
	if err != nil {
		return err
	}
	for _, operator := range province.Operators {
		t.printf("    %-10s %-16s %s %s\n", operator.Login, operator.Password, padRight(operator.Name, 10), strings.Join(operator.Roles, ", "))
	}
	if t.rig != nil {
		t.printf("\n  插入空白卡 insert a blank:\n    bin/cardsim blank --card %s --serial 0000B001 --transport-key-file %s\n    bin/cardsim insert --control %s --slot 0 --card %s\n",
			t.file("cards", "mine.card"), t.transportKey(), t.rig.Control(), t.file("cards", "mine.card"))
	}
	t.printf("\nCtrl-C 停止全部 stops everything.\n")
	return os.WriteFile(t.file(runFile), text, 0o600)
}

// next returns the address whose port lies n above; port 0 stays 0.
func next(address string, n int) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("address %s: %w", address, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", fmt.Errorf("address %s: %w", address, err)
	}
	if number != 0 {
		number += n
	}
	return net.JoinHostPort(host, strconv.Itoa(number)), nil
}
