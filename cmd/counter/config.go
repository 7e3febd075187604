package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"onecard/api/client"
)

// config is what a counter is told; every key may also come from the
// environment as COUNTER_KEY.
type config struct {
	Platform string `koanf:"platform"` // https://host:port of the province
	CA       string `koanf:"ca"`       // the platform's certificate authority, PEM
	Cert     string `koanf:"cert"`     // this workstation's certificate, PEM
	Key      string `koanf:"key"`      // and its key
	Listen   string `koanf:"listen"`   // loopback address of the page
	Reader   string `koanf:"reader"`   // part of the reader's name; empty takes the first
	Kind     string `koanf:"kind"`     // counter, hospital, pharmacy
	State    string `koanf:"state"`    // directory of the journal
	// Transcript is a file to which what passes between reader and chip is
	// added, masked, for whoever looks into a fault; empty for none.
	Transcript string `koanf:"transcript"`
	// Profiles is a directory of further card profiles (卡规范文件); empty for none.
	Profiles string `koanf:"profiles"`
}

var kinds = []string{"counter", "hospital", "pharmacy"}

// loadConfig reads defaults, then the file, then the environment. A key that
// nobody knows is an error, so that a misspelt one is not lost in silence.
func loadConfig(path string) (config, error) {
	k := koanf.New(".")
	defaults := map[string]any{"listen": "127.0.0.1:8480", "kind": "counter", "state": "counter-state"}
	if err := k.Load(confmap.Provider(defaults, "."), nil); err != nil {
		return config{}, fmt.Errorf("configuration defaults: %w", err)
	}
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return config{}, fmt.Errorf("configuration file %s: %w", path, err)
	}
	environment := env.Provider(".", env.Opt{Prefix: "COUNTER_", TransformFunc: func(key, value string) (string, any) {
		return strings.ToLower(strings.TrimPrefix(key, "COUNTER_")), value
	}})
	if err := k.Load(environment, nil); err != nil {
		return config{}, fmt.Errorf("configuration from the environment: %w", err)
	}
	var c config
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{Result: &c, TagName: "koanf", ErrorUnused: true}})
	if err != nil {
		return config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, c.check()
}

func (c config) check() error {
	var problems []error
	for name, value := range map[string]string{"platform": c.Platform, "ca": c.CA, "cert": c.Cert, "key": c.Key, "listen": c.Listen, "state": c.State} {
		if value == "" {
			problems = append(problems, fmt.Errorf("configuration: %s is missing", name))
		}
	}
	if u, err := url.Parse(c.Platform); err != nil || u.Scheme != "https" || u.Host == "" {
		problems = append(problems, errors.New("configuration: platform must be an https address"))
	}
	if err := checkListen(c.Listen); err != nil {
		problems = append(problems, err)
	}
	if !slices.Contains(kinds, c.Kind) {
		problems = append(problems, fmt.Errorf("configuration: kind must be one of %s", strings.Join(kinds, ", ")))
	}
	return errors.Join(problems...)
}

// checkListen refuses an address that others than this machine can reach: the
// page is the signed-in operator's.
func checkListen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("configuration: listen must be address:port")
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("configuration: listen must be an address of this machine alone, such as 127.0.0.1:8480")
	}
	return nil
}

// connection says how the platform is reached, and whose word counts.
func (c config) connection() client.Config {
	return client.Config{URL: c.Platform, CA: c.CA, Cert: c.Cert, Key: c.Key}
}
