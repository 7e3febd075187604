package card_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/profile"
)

// FuzzScript reads scripts from the wire: what is read is written alike.
func FuzzScript(f *testing.F) {
	f.Add([]byte(`{"steps":[{"apdu":"0084000008","accept":["6985"],"secret":true,"pin":true,"expect":"01020304","label":"取随机数"}]}`))
	f.Add([]byte(`{"steps":[{"apdu":"00A404000F7378312E73682EC9E7BBE1B1A3D5CF00"}]}`))
	f.Fuzz(func(t *testing.T, wire []byte) {
		var script, again card.Script
		if json.Unmarshal(wire, &script) != nil {
			return
		}
		text, err := json.Marshal(&script)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &again))
		require.Equal(t, script, again)
	})
}

// FuzzRecord reads any target of any version from any bytes: a value, or an
// error with its words.
func FuzzRecord(f *testing.F) {
	f.Add(uint16(3), []byte("\x03\x043.00"))
	f.Add(uint16(40), []byte("\x92\x04\x00\x00\x12\x34"))
	profiles, err := profile.Load()
	require.NoError(f, err)
	var targets []card.Target
	for _, p := range profiles {
		targets = append(targets, card.Targets(p)...)
	}
	f.Fuzz(func(t *testing.T, which uint16, raw []byte) {
		value, err := targets[int(which)%len(targets)].Decode(1, raw)
		if err != nil {
			require.ErrorIs(t, err, card.ErrAnswer)
			return
		}
		for _, r := range value.Value {
			require.Greater(t, r, rune(0x1F))
		}
	})
}

// FuzzOpening answers an opening script with anything: an identity, or an error
// with its words.
func FuzzOpening(f *testing.F) {
	f.Add([]byte("\x04\x6F\x00\x90\x00\x02\x69\x85"))
	f.Add([]byte("\x02\x62\x83\x0F\xE0\x0B\x9F\x70\x01\x03\xC0\x03\x00\x04\x01\x90\x00\x0A12345678\x90\x00"))
	profiles, err := profile.Load()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, answers []byte) {
		var responses []apdu.Response
		for len(answers) > 0 {
			n := min(int(answers[0]), len(answers)-1)
			if r, err := apdu.ParseResponse(answers[1 : 1+n]); err == nil {
				responses = append(responses, r)
			}
			answers = answers[1+n:]
		}
		atr := bytes.Clone(profiles[0].ATRs[0].Value)
		p, err := card.Choose(profiles, atr, responses)
		if err == nil {
			_, err = card.Identify(p, atr, responses)
		}
		var known interface {
			Explain() (text, remedy profile.Text)
		}
		require.True(t, err == nil || errors.As(err, &known), "%v", err)
	})
}
