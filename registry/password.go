package registry

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/argon2"
)

// PasswordCost is the work that hashing a password takes (Argon2id, RFC 9106).
// It is stored with each hash, so that it can be raised at any time: an older
// hash is renewed when its operator signs in.
type PasswordCost struct {
	MemoryKiB uint32 // at least 8 for each lane
	Passes    uint32
	Lanes     uint8
}

// Bounds for what is read from the database, so that a forged row cannot exhaust the server.
const (
	maxPasswordMemory = 1 << 20 // KiB
	maxPasswordPasses = 16
	maxPasswordLanes  = 16
	saltLength        = 16
	passwordLength    = 32
)

// passwordHash is a password as it is stored, in the PHC string format
// ($argon2id$v=19$m=…,t=…,p=…$salt$hash).
type passwordHash struct {
	cost PasswordCost
	salt []byte
	hash []byte
}

var errPasswordHash = errors.New("registry: stored password: not an argon2id hash in PHC form")

func parsePasswordHash(text string) (passwordHash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return passwordHash{}, errPasswordHash
	}
	var h passwordHash
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.cost.MemoryKiB, &h.cost.Passes, &h.cost.Lanes); err != nil {
		return passwordHash{}, errPasswordHash
	}
	var saltErr, hashErr error
	h.salt, saltErr = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.hash, hashErr = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if errors.Join(saltErr, hashErr) != nil || len(h.salt) < 8 || len(h.hash) < 16 || len(h.hash) > 64 || !h.cost.bearable() || h.String() != text {
		return passwordHash{}, errPasswordHash
	}
	return h, nil
}

func (c PasswordCost) bearable() bool {
	return c.Lanes >= 1 && c.Lanes <= maxPasswordLanes && c.Passes >= 1 && c.Passes <= maxPasswordPasses &&
		c.MemoryKiB >= 8*uint32(c.Lanes) && c.MemoryKiB <= maxPasswordMemory
}

// String returns the PHC form.
func (h passwordHash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.cost.MemoryKiB, h.cost.Passes, h.cost.Lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.hash))
}

// derive computes the hash of a password, a few at a time.
func (db *DB) derive(ctx context.Context, password string, salt []byte, cost PasswordCost, length int) ([]byte, error) {
	select {
	case db.hashing <- struct{}{}:
		defer func() { <-db.hashing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return argon2.IDKey([]byte(password), salt, cost.Passes, cost.MemoryKiB, cost.Lanes, uint32(length)), nil
}

func (db *DB) hashPassword(ctx context.Context, password string) (string, error) {
	h := passwordHash{cost: db.signIn.Cost, salt: make([]byte, saltLength)}
	if _, err := io.ReadFull(db.rand, h.salt); err != nil {
		return "", fmt.Errorf("registry: password salt: %w", err)
	}
	var err error
	if h.hash, err = db.derive(ctx, password, h.salt, h.cost, passwordLength); err != nil {
		return "", err
	}
	return h.String(), nil
}

// verifyPassword compares a password with a stored hash. With no hash (there is
// no such operator) it does the same work and says no.
func (db *DB) verifyPassword(ctx context.Context, stored, password string) (bool, error) {
	h := passwordHash{cost: db.signIn.Cost, salt: make([]byte, saltLength), hash: make([]byte, passwordLength)}
	if stored != "" {
		var err error
		if h, err = parsePasswordHash(stored); err != nil {
			return false, err
		}
	}
	derived, err := db.derive(ctx, password, h.salt, h.cost, len(h.hash))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(derived, h.hash) == 1 && stored != "", nil
}

// outdated reports whether a stored hash was made at another cost.
func (db *DB) outdated(stored string) bool {
	h, err := parsePasswordHash(stored)
	return err == nil && h.cost != db.signIn.Cost
}
