package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// The backends.
const (
	backendFile   = "file"
	backendPKCS11 = "pkcs11"
	backendSDF    = "sdf"
)

// config is what the keeper is told, by its file alone.
type config struct {
	Socket  string     `koanf:"socket"`  // path of the Unix socket
	Mode    string     `koanf:"mode"`    // its permissions: 0600, or 0660 with group
	Group   string     `koanf:"group"`   // its group, by name or number
	Callers []string   `koanf:"callers"` // the users who may ask, by name or number
	Backend string     `koanf:"backend"` // file, pkcs11, sdf
	Trial   bool       `koanf:"trial"`   // allow what is for trials only: file.kek
	File    fileConfig `koanf:"file"`
	PKCS11  tokenPart  `koanf:"pkcs11"`
}

// fileConfig is the software keeper. Without kek and shares two custodians
// enter the shares at the start.
type fileConfig struct {
	Path   string   `koanf:"path"`   // the sealed key file
	KEK    string   `koanf:"kek"`    // file of the key-encryption key, for trials
	Shares []string `koanf:"shares"` // the two files of its shares
}

// tokenPart is the keeper over a PKCS#11 token.
type tokenPart struct {
	Module   string `koanf:"module"`   // the token's library
	Token    string `koanf:"token"`    // its label
	PIN      string `koanf:"pin"`      // file with the PIN
	Sessions int    `koanf:"sessions"` // computations at once
}

// What is wrong with a configuration.
var (
	errSetting = errors.New("配置有误 wrong setting")
	errNoSDF   = errors.New("本程序没有 GM/T 0018（SDF）设备接口：需要设备、厂商的动态库和说明书，以及实现 keys.Backend 并通过 keys/keystest 的 keys/sdf 包，见 cmd/keeper 的说明 " +
		"this program has no GM/T 0018 (SDF) backend: it takes a device, its maker's library and manual, and a package keys/sdf that implements keys.Backend and passes keys/keystest; see the documentation of cmd/keeper")
)

// load reads the configuration. A setting that nobody knows is an error, so
// that a misspelt one is not lost in silence.
func load(path string) (config, error) {
	k := koanf.New(".")
	defaults := map[string]any{"mode": "0600", "backend": backendFile, "pkcs11.sessions": 8}
	if err := k.Load(confmap.Provider(defaults, "."), nil); err != nil {
		return config{}, fmt.Errorf("configuration defaults: %w", err)
	}
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return config{}, fmt.Errorf("配置文件 configuration file %s: %w", path, err)
	}
	var c config
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result: &c, TagName: "koanf", WeaklyTypedInput: true, ErrorUnused: true,
	}})
	if err != nil {
		return config{}, fmt.Errorf("%w: %s: %w", errSetting, path, err)
	}
	return c, c.check()
}

// check verifies each setting by itself.
func (c config) check() error {
	var problems []error
	wrong := func(key, rule string) { problems = append(problems, fmt.Errorf("%w: %s: %s", errSetting, key, rule)) }
	if c.Socket == "" {
		wrong("socket", "不能为空 must not be empty")
	}
	if mode, err := c.mode(); err != nil || (mode != 0o600 && mode != 0o660) {
		wrong("mode", "应为 0600 或 0660 0600 or 0660")
	}
	if _, err := c.group(); err != nil {
		wrong("group", err.Error())
	}
	if _, err := c.callers(); err != nil {
		wrong("callers", err.Error())
	}
	switch c.Backend {
	case backendFile:
		c.File.check(c.Trial, wrong)
	case backendPKCS11:
		for key, value := range map[string]string{"pkcs11.module": c.PKCS11.Module, "pkcs11.token": c.PKCS11.Token, "pkcs11.pin": c.PKCS11.PIN} {
			if value == "" {
				wrong(key, "不能为空 must not be empty")
			}
		}
	case backendSDF:
		problems = append(problems, errNoSDF)
	default:
		wrong("backend", "应为 file、pkcs11 或 sdf one of file, pkcs11, sdf")
	}
	return errors.Join(problems...)
}

func (f fileConfig) check(trial bool, wrong func(key, rule string)) {
	if f.Path == "" {
		wrong("file.path", "不能为空 must not be empty")
	}
	if len(f.Shares) != 0 && (len(f.Shares) != 2 || f.KEK != "") {
		wrong("file.shares", "应为两个分量文件，且不与 kek 同用 two files of shares, without kek")
	}
	if f.KEK != "" && !trial {
		wrong("file.kek", "整把密钥加密密钥只供试用（trial: true）；请用两个分量 the whole key-encryption key is for trials (trial: true): use two shares")
	}
}

func (c config) mode() (fs.FileMode, error) {
	mode, err := strconv.ParseUint(c.Mode, 8, 32)
	return fs.FileMode(mode), err
}

// group returns the number of the socket's group, -1 for the process's own.
func (c config) group() (int, error) {
	if c.Group == "" {
		return -1, nil
	}
	if id, err := strconv.ParseUint(c.Group, 10, 31); err == nil {
		return int(id), nil
	}
	found, err := user.LookupGroup(c.Group)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(found.Gid)
}

// callers returns the numbers of the users who may ask; nobody named is the
// process's own user.
func (c config) callers() ([]uint32, error) {
	if len(c.Callers) == 0 {
		return []uint32{uint32(os.Getuid())}, nil
	}
	var ids []uint32
	for _, name := range c.Callers {
		id, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			found, err := user.Lookup(name)
			if err != nil {
				return nil, err
			}
			if id, err = strconv.ParseUint(found.Uid, 10, 32); err != nil {
				return nil, err
			}
		}
		ids = append(ids, uint32(id))
	}
	return ids, nil
}
