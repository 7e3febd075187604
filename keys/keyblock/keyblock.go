// Package keyblock reads and writes key blocks (密钥块) of TR-31 / ANSI X9.143:
// a key enciphered together with what it is for, under one MAC.
//
// It owns the form of the block: its header ([Header]), the optional blocks,
// and the binding of both to the key under a key block protection key
// (密钥块保护密钥, [KBPK]). It does not own what the codes of the header mean for
// a social security card, nor where keys are kept: package keys does. It
// imports no other package of this module.
//
// Blocks of versions B (3DES) and D (AES), whose keys are derived from the
// KBPK, are written and read; of A and C (3DES variants, withdrawn for new
// blocks) existing ones are read. Reading is strict: what the standard does not
// write is refused, even where the MAC would cover it.
//
// # Standards
//
// ASC X9 TR-31:2018, ANSI X9.143:2021; NIST SP 800-38B (CMAC); FIPS 46-3,
// FIPS 197.
package keyblock

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What can go wrong with a key block. The errors of this package wrap one of
// these and never quote the block or a key.
var (
	// ErrFormat: the text is not a key block as the standard writes it.
	ErrFormat = errors.New("密钥块格式错误 malformed key block")
	// ErrVersion: the version is not one this package reads or writes.
	ErrVersion = errors.New("密钥块版本不支持 key block version not supported")
	// ErrKBPK: the protection key does not fit the version of the block.
	ErrKBPK = errors.New("密钥块保护密钥与版本不符 protection key does not fit the key block's version")
	// ErrMAC: the block was altered, or made under another protection key.
	ErrMAC = errors.New("密钥块被改动或保护密钥不符 key block altered, or made under another protection key")
)

// KBPK is a key block protection key and its cipher, so that a key of 16 bytes
// cannot serve both.
type KBPK struct {
	// Algorithm is 'T' for 3DES or 'A' for AES.
	Algorithm byte
	// Key is 16 or 24 bytes for 3DES, 16, 24 or 32 for AES.
	Key []byte
}

// Seal writes the key with its header as a key block of version B or D. The
// length of the key shows in the block's: all keys of one kind have one length.
func Seal(kbpk KBPK, header Header, key []byte, random io.Reader) (string, error) {
	sealer, err := NewSealer(kbpk, header)
	if err != nil {
		return "", err
	}
	return sealer.Seal(key, random)
}

// Sealer writes many key blocks with one header under one protection key. It is
// for one goroutine.
type Sealer struct {
	keys   *blockKeys
	header Header
	heads  map[int]string // the header as text, by the length of what follows
}

// NewSealer derives the keys of all the blocks that it is to write.
func NewSealer(kbpk KBPK, header Header) (*Sealer, error) {
	if header.Version != 'B' && header.Version != 'D' {
		return nil, fmt.Errorf("%.1q: %w", header.Version, ErrVersion)
	}
	keys, err := derive(kbpk, header.Version)
	if err != nil {
		return nil, err
	}
	return &Sealer{keys, header, map[int]string{}}, nil
}

// Seal is [Seal] with the sealer's header under its key.
func (s *Sealer) Seal(key []byte, random io.Reader) (string, error) {
	if len(key) == 0 || len(key) > maxKey {
		return "", fmt.Errorf("key: 1–%d 字节 bytes: %w", maxKey, ErrFormat)
	}
	size := s.keys.encrypt.BlockSize()
	clearText := make([]byte, (2+len(key)+size-1)/size*size)
	defer clear(clearText)
	binary.BigEndian.PutUint16(clearText, uint16(8*len(key)))
	if _, err := io.ReadFull(random, clearText[2+copy(clearText[2:], key):]); err != nil {
		return "", fmt.Errorf("random: %w", err)
	}
	head, err := s.head(2 * (len(clearText) + s.keys.macSize))
	if err != nil {
		return "", err
	}
	mac := s.keys.mac([]byte(head), clearText)
	body := make([]byte, len(clearText), len(clearText)+len(mac))
	cipher.NewCBCEncrypter(s.keys.encrypt, mac).CryptBlocks(body, clearText)
	return head + upperHex(append(body, mac...)), nil
}

// head returns the header of a block whose key and MAC take rest characters.
func (s *Sealer) head(rest int) (string, error) {
	if head, known := s.heads[rest]; known {
		return head, nil
	}
	head, err := s.header.encode(rest)
	if err == nil {
		s.heads[rest] = head
	}
	return head, err
}

// upperHex is hexadecimal as the standard writes it.
func upperHex(b []byte) string {
	const digits = "0123456789ABCDEF"
	text := make([]byte, 0, 2*len(b))
	for _, v := range b {
		text = append(text, digits[v>>4], digits[v&15])
	}
	return string(text)
}

// maxKey bounds the key of a block, in bytes; an RSA key of 4096 bits has
// about 2400.
const maxKey = 4096

// Open checks a key block and returns its header and the key, which the caller
// clears. Nothing is known of a block before Open has accepted it.
func Open(kbpk KBPK, block string) (Header, []byte, error) {
	header, length, err := parseHeader(block)
	if err != nil {
		return Header{}, nil, err
	}
	keys, err := derive(kbpk, header.Version)
	if err != nil {
		return Header{}, nil, err
	}
	rest, err := decodeHex(block[length:])
	if err != nil {
		return Header{}, nil, err
	}
	size := keys.encrypt.BlockSize()
	if len(rest) < size+keys.macSize || (len(rest)-keys.macSize)%size != 0 {
		return Header{}, nil, fmt.Errorf("长度 length: %w", ErrFormat)
	}
	body, mac := rest[:len(rest)-keys.macSize], rest[len(rest)-keys.macSize:]
	clearText, err := keys.open([]byte(block[:length]), body, mac)
	if err != nil {
		return Header{}, nil, err
	}
	defer clear(clearText)
	bits := int(binary.BigEndian.Uint16(clearText))
	if bits == 0 || bits%8 != 0 || 2+bits/8 > len(clearText) {
		return Header{}, nil, fmt.Errorf("密钥长度 length of the key: %w", ErrFormat)
	}
	return header, append([]byte(nil), clearText[2:2+bits/8]...), nil
}

// open deciphers the body and checks the MAC, in the order of the version.
func (k *blockKeys) open(head, body, mac []byte) ([]byte, error) {
	clearText := make([]byte, len(body))
	if k.variant {
		if subtle.ConstantTimeCompare(k.mac(head, body), mac) != 1 {
			return nil, ErrMAC
		}
		cipher.NewCBCDecrypter(k.encrypt, head[:k.encrypt.BlockSize()]).CryptBlocks(clearText, body)
		return clearText, nil
	}
	cipher.NewCBCDecrypter(k.encrypt, mac).CryptBlocks(clearText, body)
	if subtle.ConstantTimeCompare(k.mac(head, clearText), mac) != 1 {
		clear(clearText)
		return nil, ErrMAC
	}
	return clearText, nil
}

// decodeHex decodes upper-case hexadecimal text, as the standard writes it.
func decodeHex(text string) ([]byte, error) {
	if strings.Trim(text, "0123456789ABCDEF") != "" {
		return nil, fmt.Errorf("应为大写十六进制 want upper-case hexadecimal: %w", ErrFormat)
	}
	decoded, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("应为偶数个十六进制数字 want an even number of digits: %w", ErrFormat)
	}
	return decoded, nil
}
