package keys

// What a backend in another package shares with the software keeper.

// KeyError says which key an error is about.
func KeyError(name string, version int, err error) error { return keyError(name, version, err) }

// InputError says which argument is wrong and what was expected.
func InputError(argument, expected string) error { return inputError(argument, expected) }

// PackPIN returns the digits of a PIN in BCD: an even number, 4 to 12. The
// caller clears them.
func PackPIN(pin string) ([]byte, error) { return packPIN(pin) }

// Pad appends 80 00… up to a whole number of blocks of that size, at least one
// byte (ISO/IEC 9797-1 padding method 2).
func Pad(data []byte, size int) []byte { return pad(data, size) }

// CheckHeader refuses a command header whose Lc is not the data field's length.
func CheckHeader(header []byte, length int) error { return checkHeader(header, length) }

// CheckName refuses a name that is not one of a key.
func CheckName(name string) error {
	if !keyName.MatchString(name) {
		return inputError("密钥名 key name", "应为大写字母和数字，至多 32 个 upper-case letters and digits, at most 32")
	}
	return nil
}

// LendFile reads a key that was handed over in a file, as ImportFile does,
// lends it to take and clears it afterwards.
func LendFile(spec Spec, path string, take func(value []byte) error) error {
	text, err := readPrivate(path)
	if err != nil {
		return err
	}
	defer clear(text)
	value, err := parseKey(spec, text)
	if err != nil {
		return keyError(spec.Name, 0, err)
	}
	defer clear(value)
	return take(value)
}

// LendSecret reads a file that only this user can reach (ErrPermissions), such
// as the PIN of a token, lends its content to take and clears it afterwards.
func LendSecret(path string, take func(content []byte) error) error {
	content, err := readPrivate(path)
	if err != nil {
		return err
	}
	defer clear(content)
	return take(content)
}
