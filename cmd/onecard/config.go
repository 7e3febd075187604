package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"onecard/card/profile"
)

// config is what the platform is told. Every key stands in the file as it is
// here, in the environment as ONECARD_KEY, and most as a flag; flags beat the
// environment, which beats the file.
type config struct {
	Listen   string   `koanf:"listen"`   // address of the interface
	Names    []string `koanf:"names"`    // further names and addresses by which it is reached, for its certificate
	Data     string   `koanf:"data"`     // directory of keys, certificates and the embedded database
	Database string   `koanf:"database"` // sqlite:/path/file.db or postgres://…
	KEK      string   `koanf:"kek"`      // file of the key-encryption key
	Shares   []string `koanf:"shares"`   // instead of kek: the two files of its shares
	// Addresses are those of keys that no profile gives one, each NAME=ADDRESS
	// (密钥地址).
	Addresses []string       `koanf:"addresses"`
	Trial     bool           `koanf:"trial"`    // sample data, embedded database, software keys
	Log       string         `koanf:"log"`      // debug, info, warn or error
	Issuance  string         `koanf:"issuance"` // file of the parameters of issuance (发卡参数); default those built in
	Demands   string         `koanf:"demands"`  // file of what applications must bring (申领要求); default that built in, and nothing in a trial
	Profiles  string         `koanf:"profiles"` // directory of further card profiles: versions, local extensions (卡规范文件)
	Keeper    keeper         `koanf:"keeper"`   // keys in a process of their own
	Fonts     string         `koanf:"fonts"`    // directory of the fonts of the card's face (卡面字库); default that of the system
	Stores    storesConfig   `koanf:"stores"`   // the databases beside production
	Ministry  ministryConfig `koanf:"ministry"` // 部级持卡库
	Bank      []bankConfig   `koanf:"bank"`     // the banks that cards have accounts with (合作银行)
}

// profiles returns the card profiles that the platform knows.
func (c config) profiles() ([]*profile.Profile, error) { return profile.LoadWith(c.Profiles) }

// keeper says where the process is that keeps the keys. With it this program
// opens no key file. In the environment: ONECARD_KEEPER_SOCKET.
type keeper struct {
	Socket string `koanf:"socket"` // its Unix socket
	User   string `koanf:"user"`   // the user it runs as, by name or number; default this program's own
}

// owner returns the number of the user whom the keeper runs as.
func (k keeper) owner() (uint32, error) {
	name := cmp.Or(k.User, strconv.Itoa(os.Getuid()))
	id, err := strconv.ParseUint(name, 10, 32)
	if err == nil {
		return uint32(id), nil
	}
	found, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	id, err = strconv.ParseUint(found.Uid, 10, 32)
	return uint32(id), err
}

// settings are the flags that every command with a configuration has.
type settings struct {
	Config   string   `type:"path" placeholder:"FILE" help:"Configuration file, YAML. 配置文件。"`
	Data     *string  `type:"path" placeholder:"DIR" help:"Directory of keys, certificates and the embedded database; default data. 数据目录。"`
	Database *string  `placeholder:"DSN" help:"sqlite:FILE or postgres://…; default a file in the data directory. 数据库。"`
	KEK      *string  `name:"kek" type:"path" placeholder:"FILE" help:"File of the key-encryption key; default in the data directory. 密钥加密密钥文件。"`
	Shares   []string `type:"path" placeholder:"FILE" help:"The two files of its shares instead. 两个密钥分量文件。"`
	Socket   *string  `name:"keeper-socket" type:"path" placeholder:"FILE" help:"Socket of the keeper's process; then no key file is opened here. 密钥保管进程的套接字。"`
	Trial    bool     `help:"Trial: allow the embedded database, software keys and sample data. 试用模式。"`
	Log      *string  `placeholder:"LEVEL" help:"debug, info, warn or error; default info. 日志级别。"`
}

// given returns the flags that were given, by configuration key.
func (s settings) given() map[string]any {
	flags := map[string]any{}
	for key, flag := range map[string]*string{"data": s.Data, "database": s.Database, "kek": s.KEK, "keeper.socket": s.Socket, "log": s.Log} {
		if flag != nil {
			flags[key] = *flag
		}
	}
	if s.Shares != nil {
		flags["shares"] = s.Shares
	}
	if s.Trial {
		flags["trial"] = true
	}
	return flags
}

const environmentPrefix = "ONECARD_"

// load reads defaults, then the file, then the environment, then flags. A key
// that nobody knows is an error, so that a misspelt one is not lost in silence.
func load(path string, environment func() []string, flags map[string]any) (config, error) {
	k := koanf.New(".")
	defaults := map[string]any{"listen": "127.0.0.1:8443", "data": "data", "log": "info", "stores.listen": "127.0.0.1:8444"}
	if err := k.Load(confmap.Provider(defaults, "."), nil); err != nil {
		return config{}, fmt.Errorf("configuration defaults: %w", err)
	}
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return config{}, fmt.Errorf("配置文件 configuration file %s: %w", path, err)
		}
	}
	fromEnvironment := env.Provider(".", env.Opt{
		Prefix: environmentPrefix, EnvironFunc: environment,
		TransformFunc: func(name, value string) (string, any) {
			return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, environmentPrefix)), "_", "."), value
		},
	})
	if err := k.Load(fromEnvironment, nil); err != nil {
		return config{}, fmt.Errorf("configuration from the environment: %w", err)
	}
	if err := k.Load(confmap.Provider(flags, "."), nil); err != nil {
		return config{}, fmt.Errorf("configuration from flags: %w", err)
	}
	var c config
	if unknown := unknownKeys(k.Keys()); len(unknown) > 0 {
		return config{}, fmt.Errorf("%w: %s", errUnknownSetting, strings.Join(unknown, ", "))
	}
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result: &c, TagName: "koanf", WeaklyTypedInput: true, ErrorUnused: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(mapstructure.StringToTimeDurationHookFunc(), mapstructure.StringToSliceHookFunc(",")),
	}})
	if err != nil {
		return config{}, fmt.Errorf("配置 configuration: %w", err)
	}
	if c.Database == "" {
		c.Database = sqliteScheme + filepath.Join(c.Data, "onecard.db")
	}
	if c.Trial {
		for dsn, file := range map[*string]string{&c.Stores.Exchange: "exchange.db", &c.Stores.Decision: "decision.db"} {
			if *dsn == "" {
				*dsn = sqliteScheme + filepath.Join(c.Data, file)
			}
		}
	}
	if c.KEK == "" && len(c.Shares) == 0 && c.Keeper.Socket == "" {
		c.KEK = filepath.Join(c.Data, "keys", "kek")
	}
	return c, c.check()
}

// unknownKeys returns the keys that config does not have, in words: the
// decoder's own error would be about Go types.
func unknownKeys(keys []string) []string {
	known := map[string]bool{}
	for field := range reflect.TypeFor[config]().Fields() {
		name := field.Tag.Get("koanf")
		known[name] = field.Type.Kind() != reflect.Struct
		if !known[name] {
			for part := range field.Type.Fields() {
				known[name+"."+part.Tag.Get("koanf")] = true
			}
		}
	}
	var unknown []string
	for _, key := range keys {
		if !known[key] {
			unknown = append(unknown, key)
		}
	}
	return unknown
}

const sqliteScheme = "sqlite:"

// What is wrong with a configuration.
var (
	errUnknownSetting = errors.New("没有这个配置项 no such setting")
	errSetting        = errors.New("配置有误 wrong setting")
	errProduction     = errors.New("生产环境不允许 not allowed in production")
)

// check verifies each setting by itself, and that nothing which is for trials
// only serves as production.
func (c config) check() error {
	var problems []error
	wrong := func(key, rule string) { problems = append(problems, fmt.Errorf("%w: %s: %s", errSetting, key, rule)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		wrong("listen", "应为 地址:端口 address:port")
	}
	if !strings.HasPrefix(c.Database, sqliteScheme) && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		wrong("database", "应以 sqlite: 或 postgres:// 开头 must begin with sqlite: or postgres://")
	}
	if c.Data == "" {
		wrong("data", "不能为空 must not be empty")
	}
	if len(c.Shares) != 0 && (len(c.Shares) != 2 || c.KEK != "") {
		wrong("shares", "应为两个分量文件，且不与 kek 同用 two files of shares, without kek")
	}
	if c.Keeper.Socket != "" && (c.KEK != "" || len(c.Shares) != 0) {
		wrong("keeper.socket", "不与 kek、shares 同用 without kek and shares")
	}
	if _, err := c.Keeper.owner(); err != nil {
		wrong("keeper.user", err.Error())
	}
	if err := new(slog.Level).UnmarshalText([]byte(c.Log)); err != nil {
		wrong("log", "应为 debug、info、warn 或 error one of debug, info, warn, error")
	}
	for _, address := range c.Addresses {
		if name, value, _ := strings.Cut(address, "="); name == "" || value == "" {
			wrong("addresses", "应为 密钥名=密钥地址 each NAME=ADDRESS")
		}
	}
	if !c.Trial {
		if strings.HasPrefix(c.Database, sqliteScheme) || strings.HasPrefix(c.Stores.Exchange, sqliteScheme) || strings.HasPrefix(c.Stores.Decision, sqliteScheme) {
			problems = append(problems, fmt.Errorf("%w: 内置数据库只供试用，请用 PostgreSQL（--database），或加 --trial 试用 the embedded database is for trials: use PostgreSQL, or add --trial", errProduction))
		}
		if c.Keeper.Socket == "" {
			problems = append(problems, fmt.Errorf("%w: 密钥不得在平台进程内，请用密钥保管进程（--keeper-socket），或加 --trial 试用 keys must not be in the platform's own process: use the keeper's (--keeper-socket), or add --trial", errProduction))
		}
	}
	return errors.Join(problems...)
}

// keyAddresses are the addresses of keys by name.
func (c config) keyAddresses() map[string]string {
	addresses := map[string]string{}
	for _, address := range c.Addresses {
		name, value, _ := strings.Cut(address, "=")
		addresses[name] = value
	}
	return addresses
}

// LogValue shows the configuration without what must stay secret.
func (c config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("listen", c.Listen), slog.Any("names", c.Names), slog.String("data", c.Data),
		slog.String("database", redacted(c.Database)), slog.String("keeper", c.Keeper.Socket), slog.Bool("trial", c.Trial), slog.String("log", c.Log),
	)
}

// redacted shows where a database is, without user, password and options.
func redacted(dsn string) string {
	if strings.HasPrefix(dsn, sqliteScheme) {
		return dsn
	}
	address, err := url.Parse(dsn)
	if err != nil {
		return "postgres://…"
	}
	return (&url.URL{Scheme: address.Scheme, Host: address.Host, Path: address.Path}).String()
}

// newLogger writes lines of JSON.
func newLogger(out io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo // load has checked it
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: l}))
}
