package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// bankOfTrial is the bank of the trial (合作银行).
const bankOfTrial = "95533"

// startBank starts a bank that speaks the true protocol, and writes down the line
// to it as a province has it in its configuration: to the platform it is a bank
// like any other.
func (t *trial) startBank(ctx context.Context) error {
	program, err := beside("partnersim")
	if err != nil {
		return err
	}
	messages, err := next(t.command.Listen, 7)
	if err != nil {
		return err
	}
	control, err := next(t.command.Listen, 8)
	if err != nil {
		return err
	}
	dir := t.file("bank", bankOfTrial)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("directory of the bank: %w", err)
	}
	ready, pki := filepath.Join(dir, "ready"), filepath.Join(dir, "pki")
	if err := remove(ready); err != nil {
		return err
	}
	bank, err := t.children.start("bank", program, nil, "bank", "--code", bankOfTrial, "--listen", messages, "--control", control,
		"--ready", ready, "--pki", pki, "--province", t.file("bank", "province"), "--state", filepath.Join(dir, "books.json"))
	if err != nil {
		return err
	}
	var addresses []string
	if err := bank.ready(ctx, func(context.Context) error {
		both, err := readAddress(ready)
		addresses = strings.Split(both, "\n")
		return err
	}); err != nil {
		return err
	}
	t.pages["bank"] = "http://" + addresses[1]
	return t.bankLine("https://"+addresses[0], pki)
}

// bankLine writes the configuration of the line to the bank, which serves the
// whole province by itself.
func (t *trial) bankLine(address, pki string) error {
	text, err := yaml.Marshal(map[string]any{"bank": []map[string]any{{
		"code": bankOfTrial, "address": address, "ca": filepath.Join(pki, "ca.pem"), "seal": filepath.Join(pki, "exchange.pem"), "serves": []string{province},
	}}})
	if err != nil {
		return fmt.Errorf("line to the bank: %w", err)
	}
	t.config = t.file("bank", "onecard.yaml")
	if err := os.WriteFile(t.config, text, 0o600); err != nil {
		return fmt.Errorf("line to the bank: %w", err)
	}
	return nil
}
