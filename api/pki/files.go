package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("pki: key: %w", err)
	}
	return key, nil
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("pki: key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// decode returns the one PEM block of this kind that a file holds.
func decode(path, kind string, content []byte) ([]byte, error) {
	block, _ := pem.Decode(content)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("pki: %s: %w", path, ErrFormat)
	}
	return block.Bytes, nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	der, err := decode(path, "CERTIFICATE", content)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("pki: %s: %w", path, ErrFormat)
	}
	return cert, nil
}

// readKey reads a key that nobody but the owner can reach. What it checks and
// what it reads is the same open file.
func readKey(path string) (crypto.Signer, error) {
	content, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	der, err := decode(path, "PRIVATE KEY", content)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("pki: %s: %w", path, ErrFormat)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("pki: %s: %w", path, ErrFormat)
	}
	return signer, nil
}

// maxKeyFile bounds what is read of a key file, in bytes.
const maxKeyFile = 16 << 10

func readPrivate(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("pki: %s: %w", path, ErrPermissions)
	}
	content := make([]byte, min(info.Size(), maxKeyFile))
	if _, err := io.ReadFull(file, content); err != nil {
		return nil, fmt.Errorf("pki: %s: %w", path, ErrFormat)
	}
	return content, nil
}

func readPair(certificate, key string) (*tls.Certificate, error) {
	leaf, err := readCertificate(certificate)
	if err != nil {
		return nil, err
	}
	signer, err := readKey(key)
	if err != nil {
		return nil, err
	}
	public, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || !public.Equal(signer.Public()) {
		return nil, fmt.Errorf("pki: %s: %w", certificate, ErrFormat)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: signer, Leaf: leaf}, nil
}

// writePair writes a new certificate and its key.
func writePair(certificate, key string, der []byte, signer crypto.Signer) error {
	private, err := encodeKey(signer)
	if err != nil {
		return err
	}
	if err := writeNew(key, private, 0o600); err != nil {
		return err
	}
	return writeNew(certificate, encodeCertificate(der), 0o644)
}

// replacePair writes a certificate and its key in place of earlier ones. After
// a crash in between there is no certificate, and the next start makes one.
func replacePair(certificate, key string, der []byte, signer crypto.Signer) error {
	for _, path := range []string{certificate, key} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("pki: %w", err)
		}
	}
	return writePair(certificate, key, der, signer)
}

func writeNew(path string, content []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("pki: %s: %w", path, ErrExists)
	}
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	return nil
}
