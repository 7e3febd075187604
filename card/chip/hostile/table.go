package hostile

import (
	"bytes"
	"time"

	"onecard/apdu"
)

// adversaries are the ways not to be a chip that need one card only.
var adversaries = []Adversary{
	// Answers that are none.
	{"silent", true, always(anything, nil)},
	{"one-byte", true, always(anything, []byte{0x90})},
	{"empty", true, always(anything, done)},
	{"endless-61", true, always(anything, append(make([]byte, 256), 0x61, 0x00))},
	{"endless-61-empty", true, always(anything, []byte{0x61, 0xFF})},
	{"endless-6c", true, func(c *Chip, _ apdu.Command, _ []byte) []byte {
		c.read++
		return []byte{0x6C, byte(c.read)}
	}},
	{"64k", true, always(anything, append(make([]byte, 1<<16), done...))},
	{"dribble", true, func(c *Chip, _ apdu.Command, _ []byte) []byte {
		if c.read++; c.read%16 == 0 {
			return append([]byte{0xA5}, done...)
		}
		return []byte{0xA5, 0x61, 0x01}
	}},
	{"shorter", false, changing(data, func(_ *Chip, d []byte) []byte { return d[:max(0, len(d)-1)] })},
	{"longer", false, changing(data, func(_ *Chip, d []byte) []byte { return append(d, 0) })},

	// TLV.
	{"tlv-lying-length", false, changing(list, func(_ *Chip, d []byte) []byte { d[1] ^= 0x20; return d })},
	{"tlv-indefinite", false, changing(list, func(*Chip, []byte) []byte { return []byte{0xE0, 0x80, 0x9F, 0x70, 0x01, 0x03, 0x00, 0x00} })},
	{"tlv-nested", false, changing(list, nested)},
	{"tlv-four-bytes", false, changing(list, func(*Chip, []byte) []byte { return []byte{0xE0, 0x84, 0xFF, 0xFF, 0xFF, 0xFF} })},
	{"other-tag", false, changing(ins(insReadRecord), func(_ *Chip, d []byte) []byte { return flip(d, 0, 0x40) })},
	{"record-lying-length", false, changing(ins(insReadRecord), func(_ *Chip, d []byte) []byte { return flip(d, 1, 0x80) })},
	{"garbage-text", false, changing(ins(insReadRecord), garbage)},

	// Challenges.
	{"challenge-short", false, changing(ins(insChallenge), func(_ *Chip, d []byte) []byte { return d[:len(d)/2-1] })},
	{"challenge-long", false, changing(ins(insChallenge), func(_ *Chip, d []byte) []byte { return append(d, d...) })},
	{"challenge-none", false, changing(ins(insChallenge), func(*Chip, []byte) []byte { return nil })},
	{"challenge-same", false, changing(ins(insChallenge), func(_ *Chip, d []byte) []byte { return bytes.Repeat([]byte{0x5A}, len(d)) })},

	// Proofs.
	{"auth-zero", true, proving(func(*Chip, apdu.Command) []byte { return make([]byte, 8) })},
	{"auth-none", true, proving(func(*Chip, apdu.Command) []byte { return nil })},
	{"auth-echo", true, proving(func(_ *Chip, cmd apdu.Command) []byte { return cmd.Data[:8] })},
	{"replay", true, proving((*Chip).replay)},
	{"clone", true, clone},

	// What it says of itself.
	{"changes-identity", false, changing(record(1), func(c *Chip, d []byte) []byte {
		if c.read++; c.read > 1 {
			return flip(d, 12, 1)
		}
		return d
	})},
	{"changes-version", false, changing(record(3), func(c *Chip, d []byte) []byte {
		if c.read++; c.read > 1 {
			return otherVersion(c, d)
		}
		return d
	})},
	{changesATR, true, (*Chip).pass},
	{"other-version", false, changing(record(3), otherVersion)},
	{"version-of-nobody", false, changing(record(3), func(_ *Chip, d []byte) []byte { return append(d[:2], "9.99"...) })},
	{"other-identity", false, changing(record(1), func(_ *Chip, d []byte) []byte { return flip(d, 2, 1) })},
	{"claims-blank", false, changing(list, func(_ *Chip, d []byte) []byte { return lifeCycle(d, 0x01) })},
	{"claims-finished", false, changing(list, func(_ *Chip, d []byte) []byte { return lifeCycle(d, 0x03) })},
	{"keys-newer", false, changing(list, func(_ *Chip, d []byte) []byte { return versions(d, 200) })},
	{"keys-unknown", false, changing(list, func(*Chip, []byte) []byte { return keyList(0x03, 9, 10) })},
	{"keys-none", false, always(list, []byte{0x6A, 0x88})},
	{"keys-thousands", false, thousands},

	{"slow", false, func(c *Chip, cmd apdu.Command, raw []byte) []byte {
		time.Sleep(delay)
		return c.pass(cmd, raw)
	}},
}

// list says whether the command asks for life cycle and keys.
func list(cmd apdu.Command) bool { return cmd.INS == insGetData && cmd.P2 == keyInformation }

func flip(d []byte, at int, bits byte) []byte {
	if at < len(d) {
		d[at] ^= bits
	}
	return d
}

func nested(*Chip, []byte) []byte {
	var d []byte
	for range 60 {
		d = apdu.AppendTLV(nil, keyInformation, d)
	}
	return d
}

// garbage is text in no character set, with what a terminal would obey.
func garbage(_ *Chip, d []byte) []byte {
	for i := 2; i < len(d) && len(d) > 20; i++ {
		d[i] = []byte{0xFE, 0xFF, 0x1B, '[', '2', 'J', 0x07, 0x80, '\n'}[i%9]
	}
	return d
}

// replay answers every proof with the true answer to the first.
func (c *Chip) replay(cmd apdu.Command) []byte {
	if c.kept == nil {
		raw, err := cmd.Bytes()
		if err != nil {
			return nil
		}
		raw[5] ^= 1 // an earlier question than this one
		r, err := apdu.ParseResponse(c.Card.Transmit(raw))
		if err == nil && r.SW>>8 == 0x61 {
			r, _ = apdu.ParseResponse(c.Card.Transmit([]byte{0, insGetResponse, 0, 0, byte(r.SW)}))
		}
		c.kept = r.Data
	}
	return c.kept
}

// clone has the data and not the keys: it takes whatever it is given.
func clone(c *Chip, cmd apdu.Command, raw []byte) []byte {
	switch {
	case cmd.INS == insProve:
		return append([]byte{1, 2, 3, 4, 5, 6, 7, 8}, done...)
	case cmd.INS == insSelect || cmd.INS == insReadRecord || cmd.Ne > 0:
		return c.pass(cmd, raw)
	}
	return done
}

func otherVersion(_ *Chip, d []byte) []byte {
	if bytes.HasSuffix(d, []byte("2.00")) {
		return append(d[:2], "3.00"...)
	}
	return append(d[:2], "2.00"...)
}

// lifeCycle changes the life cycle in the list.
func lifeCycle(d []byte, life byte) []byte {
	if at := bytes.Index(d, []byte{0x9F, 0x70, 1}); at >= 0 && at+3 < len(d) {
		d[at+3] = life
	}
	return d
}

// versions changes the version of all keys in the list: after the number of a
// directory, identifier and version of each key.
func versions(d []byte, version byte) []byte {
	for at := bytes.IndexByte(d, tagKeys); at >= 0 && at+1 < len(d); at += 2 + int(d[at+1]) {
		for key := at + 4; key < min(at+2+int(d[at+1]), len(d)); key += 2 {
			d[key] = version
		}
	}
	return d
}

// keyList is a list of n keys in a scope that there is not.
func keyList(life, scope byte, n int) []byte {
	d := []byte{0x9F, 0x70, 1, life}
	for i := range n {
		d = append(d, tagKeys, 3, scope, byte(i), 1)
	}
	return apdu.AppendTLV(nil, keyInformation, d)
}

// thousands hands out a list of thousands of keys, part by part.
func thousands(c *Chip, cmd apdu.Command, raw []byte) []byte {
	if list(cmd) {
		c.kept = keyList(0x03, 0, 5000)
	} else if cmd.INS != insGetResponse || c.kept == nil {
		c.kept = nil
		return c.pass(cmd, raw)
	}
	n := min(len(c.kept), 256)
	part := c.kept[:n]
	if c.kept = c.kept[n:]; len(c.kept) == 0 {
		c.kept = nil
		return append(bytes.Clone(part), done...)
	}
	return append(bytes.Clone(part), 0x61, byte(min(len(c.kept), 256)))
}
