// Package peername makes of a name the bytes that a peer's record takes
// (各方收到的姓名字节): its encoding, its length, what it has for characters that
// it lacks. The peers are data (peers.yaml).
package peername

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"onecard/registry"
)

//go:embed peers.yaml
var content []byte

// Profile is how a peer's record takes a name.
type Profile struct {
	Peer     string `yaml:"peer"`     // "": whoever has no line
	Encoding string `yaml:"encoding"` // UTF-8, GBK or GB 18030
	Limit    int    `yaml:"limit"`    // in bytes; 0: none
	Replace  string `yaml:"replace"`  // ASCII, for a character that the encoding lacks
	Assumed  bool   `yaml:"assumed"`  // no public source confirms it
}

// encodings by name; nil is UTF-8 as it is.
var encodings = map[string]encoding.Encoding{"UTF-8": nil, "GBK": simplifiedchinese.GBK, "GB 18030": simplifiedchinese.GB18030}

// Profiles returns the profiles by peer.
func Profiles() (map[string]Profile, error) { return profiles() }

var profiles = sync.OnceValues(func() (map[string]Profile, error) { return read(content) })

func read(text []byte) (map[string]Profile, error) {
	var file struct {
		Peers []Profile `yaml:"peers"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("peername: %w", err)
	}
	byPeer := map[string]Profile{}
	for _, p := range file.Peers {
		_, known := encodings[p.Encoding]
		if _, twice := byPeer[p.Peer]; twice || !known || p.Limit < 0 || (p.Limit > 0 && p.Limit < utf8.UTFMax) ||
			(p.Encoding == "GBK") != (p.Replace != "") || strings.Trim(p.Replace, "?*_") != "" {
			return nil, fmt.Errorf("peername: peer %q: once, a known encoding, a limit of 0 or at least 4, with GBK and only there what replaces a character", p.Peer)
		}
		byPeer[p.Peer] = p
	}
	if _, ok := byPeer[""]; !ok {
		return nil, fmt.Errorf("peername: no line for whoever has none")
	}
	return byPeer, nil
}

// For returns the name as a peer is told it, and the text that its bytes are.
// A name that does not fit is cut between two characters.
func For(peer, name string) (registry.PeerName, string, error) {
	all, err := Profiles()
	if err != nil {
		return registry.PeerName{}, "", err
	}
	profile, ok := all[peer]
	if !ok {
		profile = all[""]
	}
	profile.Peer = peer
	told, text := profile.Encode(name)
	return told, text, nil
}

// Encode is [For] with this profile.
func (p Profile) Encode(name string) (registry.PeerName, string) {
	told := registry.PeerName{Peer: p.Peer, Encoding: p.Encoding}
	var text strings.Builder
	for _, r := range name {
		char, as := p.char(r)
		if p.Limit > 0 && len(told.Bytes)+len(char) > p.Limit {
			told.Cut = true
			break
		}
		told.Bytes = append(told.Bytes, char...)
		text.WriteString(as)
	}
	return told, text.String()
}

// char encodes one character, or what stands for it, and says which.
func (p Profile) char(r rune) (char []byte, as string) {
	as = string(r)
	to := encodings[p.Encoding]
	if to == nil {
		return []byte(as), as
	}
	char, err := to.NewEncoder().Bytes([]byte(as))
	if err != nil {
		return []byte(p.Replace), p.Replace
	}
	return char, as
}
