package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"onecard/api/pki"
	"onecard/card/profile"
	"onecard/internal/rig"
	"onecard/keys"
)

// makeTransportKey makes the key of the laboratory maker's blanks, once.
func makeTransportKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails since Go 1.24
	text := "# 实验室卡商的传输密钥，仅供试用 transport key of the laboratory maker, for trials only\n" + hex.EncodeToString(key) + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("transport key: %w", err)
	}
	return nil
}

// importLaboratory imports the laboratory's key as the static keys of the
// secure channels, too, where they are not there yet: in a trial its blanks of
// every make hold the same.
func importLaboratory(c config, path string) error {
	keeper, err := openKeeper(c)
	if err != nil {
		return err
	}
	profiles, err := c.profiles()
	if err != nil {
		return err
	}
	for _, maker := range profiles[0].Makers {
		if !maker.Platform() {
			continue
		}
		spec := keys.Spec{Usage: keys.Channel, Algorithm: keys.AES128}
		if maker.Protocol == profile.SCP02 {
			spec.Algorithm = keys.TripleDES
		}
		for _, spec.Name = range []string{maker.ENC, maker.MAC, maker.DEK} {
			if _, err := keeper.Current(spec.Name); !errors.Is(err, keys.ErrNoKey) {
				continue
			}
			if err := keeper.ImportFile(spec, 1, path); err != nil {
				return err
			}
		}
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

// readAddress reads the file in which a program says where it listens.
func readAddress(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("address file: %w", err)
	}
	address, whole := strings.CutSuffix(string(text), "\n")
	if !whole {
		return "", errors.New("address file: not written yet")
	}
	return address, nil
}

// startKeeper starts the keeper of keys, which alone opens the key file.
func (t *trial) startKeeper(ctx context.Context) error {
	program, err := beside("keeper")
	if err != nil {
		return err
	}
	config, err := t.settings()
	if err != nil {
		return err
	}
	// Not in the data directory: a socket's name has 107 bytes at most.
	dir, err := os.MkdirTemp("", "onecard-keeper-")
	if err != nil {
		return fmt.Errorf("socket of the keeper: %w", err)
	}
	t.socket = filepath.Join(dir, "socket")
	text, err := yaml.Marshal(map[string]any{
		"socket": t.socket, "trial": true, "file": map[string]string{"path": config.keyFile(), "kek": config.KEK},
	})
	if err != nil {
		return fmt.Errorf("configuration of the keeper: %w", err)
	}
	file := t.file("keys", "keeper.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("configuration of the keeper: %w", err)
	}
	keeper, err := t.children.start("keeper", program, nil, "serve", "--config", file)
	if err != nil {
		return err
	}
	return keeper.ready(ctx, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", t.socket)
		if err != nil {
			return fmt.Errorf("socket of the keeper: %w", err)
		}
		return conn.Close()
	})
}

// startCounters starts a counter program for each post.
func (t *trial) startCounters(ctx context.Context) error {
	program, err := beside("counter")
	if err != nil {
		return err
	}
	var environment []string
	if t.rig != nil {
		environment = t.rig.Env()
	}
	for i, post := range posts {
		listen, err := next(t.command.Page, i)
		if err != nil {
			return err
		}
		state := t.file("workstations", post.workstation)
		config := map[string]string{
			"platform": t.pages["platform"], "listen": listen, "kind": post.kind, "state": filepath.Join(state, "journal"),
			"transcript": t.file("logs", post.name+".transcript"),
			"ca":         filepath.Join(state, pki.FileCA), "cert": filepath.Join(state, pki.FileCertificate), "key": filepath.Join(state, pki.FileKey),
		}
		if t.command.Profiles != "" {
			config["profiles"] = t.command.Profiles
		}
		if t.rig != nil {
			config["reader"] = rig.Readers[post.slot]
		}
		text, err := yaml.Marshal(config)
		if err != nil {
			return fmt.Errorf("configuration of %s: %w", post.name, err)
		}
		file := filepath.Join(state, "counter.yaml")
		if err := errors.Join(os.WriteFile(file, text, 0o600), remove(filepath.Join(config["state"], "page.address"))); err != nil {
			return fmt.Errorf("configuration of %s: %w", post.name, err)
		}
		counter, err := t.children.start(post.name, program, environment, "serve", "--config", file)
		if err != nil {
			return err
		}
		if err := t.page(ctx, post.name, counter, filepath.Join(config["state"], "page.address")); err != nil {
			return err
		}
	}
	return nil
}

// page waits until a counter's page answers and knows platform and reader.
func (t *trial) page(ctx context.Context, name string, counter *child, file string) error {
	if err := counter.ready(ctx, func(context.Context) error {
		address, err := readAddress(file)
		t.pages[name] = "http://" + address
		return err
	}); err != nil {
		return err
	}
	desk, err := newDeskClient(t.pages[name])
	if err != nil {
		return err
	}
	return desk.waitFor(ctx, func(s deskState) bool { return s.Platform && (s.Reader != "" || t.rig == nil) })
}

// walk issues one card on a fresh blank.
func (t *trial) walk(ctx context.Context) error {
	serial := make([]byte, 4)
	_, _ = rand.Read(serial)
	blank := t.file("cards", hex.EncodeToString(serial)+".card")
	cardsim, err := beside("cardsim")
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, cardsim, "blank", "--card", blank, "--serial", hex.EncodeToString(serial), "--transport-key-file", t.transportKey()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make a blank: %s: %w", strings.TrimSpace(string(out)), err)
	}
	j := &journey{out: t.out, cards: t.rig, blank: blank, logins: t.logins, bank: t.config != ""}
	for kind, desk := range map[string]**deskClient{"counter": &j.county, "pharmacy": &j.pharmacy, "hospital": &j.hospital} {
		if *desk, err = newDeskClient(t.pages[kind]); err != nil {
			return err
		}
	}
	if err := j.run(ctx); err != nil {
		return err
	}
	// The reader is left as a clerk finds it in the morning.
	return t.rig.Remove(ctx, 1)
}
