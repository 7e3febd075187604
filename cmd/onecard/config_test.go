package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/issuance"
)

func none() []string { return nil }

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "onecard.yaml")
	require.NoError(t, os.WriteFile(path, []byte("listen: 10.0.0.1:1\ndata: from-file\nlog: warn\ntrial: true\nnames: [a.example, b.example]\n"), 0o600))
	environment := func() []string { return []string{"ONECARD_DATA=from-environment", "ONECARD_LOG=error", "HOME=/"} }

	c, err := load(path, environment, map[string]any{"log": "debug"})
	require.NoError(t, err)
	require.Equal(t, config{
		Listen: "10.0.0.1:1", Names: []string{"a.example", "b.example"}, Data: "from-environment",
		Database: "sqlite:from-environment/onecard.db", KEK: "from-environment/keys/kek", Trial: true, Log: "debug",
		Stores: storesConfig{
			Exchange: "sqlite:from-environment/exchange.db", Decision: "sqlite:from-environment/decision.db", Listen: "127.0.0.1:8444",
		},
	}, c)

	c, err = load("", func() []string {
		return []string{"ONECARD_TRIAL=true", "ONECARD_NAMES=a,b", "ONECARD_DATABASE=", "ONECARD_ADDRESSES=UK6DF01=01AA,BK=01BB"}
	}, nil)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8443", c.Listen)
	require.Equal(t, []string{"a", "b"}, c.Names)
	require.Equal(t, map[string]string{"UK6DF01": "01AA", "BK": "01BB"}, c.keyAddresses())
	require.Equal(t, "sqlite:data/onecard.db", c.Database)
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	trial := map[string]any{"trial": true}
	with := func(key string, value any) map[string]any { return map[string]any{"trial": true, key: value} }
	for name, test := range map[string]struct {
		file        string
		environment []string
		flags       map[string]any
		want        error
		names       string
	}{
		"misspelt in the file":        {file: "lisen: x", flags: trial, want: errUnknownSetting, names: "lisen"},
		"misspelt in the environment": {environment: []string{"ONECARD_LISEN=x"}, flags: trial, want: errUnknownSetting, names: "lisen"},
		"address without a port":      {flags: with("listen", "localhost"), want: errSetting, names: "listen"},
		"another database":            {flags: with("database", "mysql://x"), want: errSetting, names: "database"},
		"no data directory":           {flags: with("data", ""), want: errSetting, names: "data"},
		"one share":                   {flags: with("shares", []string{"a"}), want: errSetting, names: "shares"},
		"an address without a key":    {flags: with("addresses", []string{"=01AA"}), want: errSetting, names: "addresses"},
		"unknown level":               {flags: with("log", "loud"), want: errSetting, names: "log"},
		"embedded database":           {want: errProduction, names: "--database"},
		"software keys":               {flags: map[string]any{"database": "postgres://host/x"}, want: errProduction, names: "--trial"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := ""
			if test.file != "" {
				path = filepath.Join(t.TempDir(), "onecard.yaml")
				require.NoError(t, os.WriteFile(path, []byte(test.file), 0o600))
			}
			_, err := load(path, func() []string { return test.environment }, test.flags)
			require.ErrorIs(t, err, test.want)
			require.Contains(t, err.Error(), test.names)
		})
	}
	_, err := load(filepath.Join(t.TempDir(), "missing.yaml"), none, trial)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	c := config{Database: "postgres://user:secret@db.example:5432/onecard?password=secret", KEK: "kek"}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "config", c)
	require.Contains(t, out.String(), "db.example:5432/onecard")
	require.NotContains(t, out.String(), "secret")
	require.NotContains(t, out.String(), "user")
	require.NotContains(t, redacted("postgres://user:se cret@:::x"), "cret")
}

// TestIssuancePolicies: the province's own parameters of issuance, in a file.
func TestIssuancePolicies(t *testing.T) {
	t.Parallel()
	built, err := config{}.issuancePolicies()
	require.NoError(t, err)
	require.Nil(t, built)
	path := filepath.Join(t.TempDir(), "issuance.yaml")
	_, err = config{Issuance: path}.issuancePolicies()
	require.ErrorIs(t, err, errSetting)
	const line = `- {place: "630000", from: 2020-01-01, validYears: 10, proofMinutes: 15, sessionMinutes: 10, attempts: 8, cardType: "3", issuer: "915600000263000063000000", specVersions: ["2.00", "3.00"], keyVersion: 2, issuingRegion: province, temporaryLossDays: 7, lossNoticeHours: 48, formalLossFinal: false, lapseDays: 0, exchangeDays: 60, guardianAge: 16, photoAge: 7, temporaryCardDays: 60, reviewHours: 72, makeDays: 60, collectDays: 365, handover: none, ministryQuery: told}`
	require.NoError(t, os.WriteFile(path, []byte(line), 0o600))
	read, err := config{Issuance: path}.issuancePolicies()
	require.NoError(t, err)
	require.Equal(t, []string{"2.00", "3.00"}, read[0].SpecVersions)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(line, "keyVersion: 2", "keyVersion: 0", 1)), 0o600))
	_, err = config{Issuance: path}.issuancePolicies()
	require.ErrorIs(t, err, issuance.ErrPolicy)
	require.ErrorContains(t, err, path)
}
