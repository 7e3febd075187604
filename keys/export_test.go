package keys

import "golang.org/x/crypto/argon2"

// Hasten has a ceremony stretch passphrases with little memory: the commands'
// tests do with the real parameters.
func Hasten(c *Ceremony) *Ceremony {
	c.stretch = func(passphrase, salt []byte) []byte { return argon2.IDKey(passphrase, salt, 1, 8, 1, 16) }
	return c
}
