package signed

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"filippo.io/age"
)

// A parcel is a file too large for one JWE (加密文件): the stream of age
// (age-encryption.org/v1: ChaCha20-Poly1305 in chunks of 64 KiB, each
// authenticated with its place, the last one marked), whose file key is a JWE
// to a certificate. Its name carries its SHA-256; it is never overwritten.

// parcelStanza is the type of the stanza that carries the file key: its body is
// what [Seal] returns for the sixteen bytes of the key.
const parcelStanza = "onecard-jwe"

// ErrParcel: the file is not whole, or not the one that its manifest names.
var ErrParcel = errors.New("文件不完整或被改动 the file is not whole, or was altered")

type recipient struct{ certificate *x509.Certificate }

// Wrap implements age.Recipient.
func (r recipient) Wrap(key []byte) ([]*age.Stanza, error) {
	sealed, err := Seal(key, r.certificate)
	if err != nil {
		return nil, err
	}
	return []*age.Stanza{{Type: parcelStanza, Body: []byte(sealed)}}, nil
}

type identity struct{ pair *tls.Certificate }

// Unwrap implements age.Identity.
func (i identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, stanza := range stanzas {
		if stanza.Type == parcelStanza {
			if key, err := Unseal(string(stanza.Body), i.pair); err == nil {
				return key, nil
			}
		}
	}
	return nil, age.ErrIncorrectIdentity
}

// Parcel is a file as it is written: sealed, digested, and put in its place when
// it is whole. Nothing of it is ever on disk in the clear.
type Parcel struct {
	io.Writer // of what is to be sealed
	sealing   io.WriteCloser
	file      *os.File
	digest    hash.Hash
	size      *counter
	dir, kind string
}

// counter counts bytes.
type counter int64

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// NewParcel begins a file of a kind (letters, digits and hyphens) in a directory.
func NewParcel(dir, kind string, to *x509.Certificate) (*Parcel, error) {
	if _, ok := to.PublicKey.(*ecdsa.PublicKey); !ok {
		return nil, errors.New("signed: the certificate's key is not one of an elliptic curve")
	}
	file, err := os.CreateTemp(dir, "."+kind+"-*")
	if err != nil {
		return nil, fmt.Errorf("signed: %w", err)
	}
	p := &Parcel{file: file, digest: sha256.New(), size: new(counter), dir: dir, kind: kind}
	p.sealing, err = age.Encrypt(io.MultiWriter(file, p.digest, p.size), recipient{to})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("signed: %w", err), p.Discard())
	}
	p.Writer = p.sealing
	return p, nil
}

// Discard removes what was written.
func (p *Parcel) Discard() error { return errors.Join(p.file.Close(), os.Remove(p.file.Name())) }

// Size returns how many bytes the file has, once it is finished.
func (p *Parcel) Size() int64 { return int64(*p.size) }

// Finish makes the file whole and durable and returns its name in the directory
// and its digest. A file of that name is the same file.
func (p *Parcel) Finish() (name, digest string, err error) {
	if err := errors.Join(p.sealing.Close(), p.file.Sync(), p.file.Close()); err != nil {
		return "", "", errors.Join(fmt.Errorf("signed: %w", err), os.Remove(p.file.Name()))
	}
	digest = hex.EncodeToString(p.digest.Sum(nil))
	name = p.kind + "-" + digest + ".age"
	if err := Place(p.file.Name(), filepath.Join(p.dir, name)); err != nil {
		return "", "", err
	}
	return name, digest, nil
}

// Place gives a finished file its name for good. One that is there already stays.
func Place(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err = errors.Join(err, os.Remove(from)); err != nil {
		return fmt.Errorf("signed: %w", err)
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("signed: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("signed: %w", err)
	}
	return nil
}

var parcelName = regexp.MustCompile(`^[a-z0-9-]+-([0-9a-f]{64})\.age$`)

// ParcelDigest returns the digest that a file's name carries.
func ParcelDigest(path string) (string, bool) {
	found := parcelName.FindStringSubmatch(filepath.Base(path))
	if found == nil {
		return "", false
	}
	return found[1], true
}

// Digest returns the SHA-256 of a file in hexadecimal, and its size.
func Digest(path string) (digest string, size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("signed: %w", err)
	}
	sum := sha256.New()
	size, err = io.Copy(sum, file)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", 0, fmt.Errorf("signed: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), size, nil
}

// OpenParcel opens a sealed stream. Its reader fails with ErrParcel where the
// stream was cut off or altered; what it gave before is authentic.
func OpenParcel(sealed io.Reader, with *tls.Certificate) (io.Reader, error) {
	plain, err := age.Decrypt(sealed, identity{with})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return parcelReader{plain}, nil
}

type parcelReader struct{ plain io.Reader }

func (r parcelReader) Read(into []byte) (int, error) {
	n, err := r.plain.Read(into)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrParcel, err)
	}
	return n, err
}

// WriteManifest signs what a file is and puts the signature beside it, as its
// name with .jws in the place of .age. One that is there already stays.
func WriteManifest(dir, name string, manifest any, with *tls.Certificate) error {
	token, err := Sign(manifest, with)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".manifest-*")
	if err != nil {
		return fmt.Errorf("signed: %w", err)
	}
	_, err = io.Copy(file, bytes.NewBufferString(token))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("signed: %w", err), os.Remove(file.Name()))
	}
	return Place(file.Name(), filepath.Join(dir, ManifestName(name)))
}

// ManifestName returns the name of a file's manifest.
func ManifestName(name string) string { return strings.TrimSuffix(name, ".age") + ".jws" }
