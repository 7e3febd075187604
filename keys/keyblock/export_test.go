package keyblock

// ParseHeader and Encode are the two directions of the header, for fuzzing
// without a MAC in the way.
var (
	ParseHeader = parseHeader
	Encode      = Header.encode
)

// OpenPadded is Open that also returns the padding after the key.
func OpenPadded(kbpk KBPK, block string) (Header, []byte, []byte, error) {
	header, key, err := Open(kbpk, block)
	if err != nil {
		return Header{}, nil, nil, err
	}
	_, length, err := parseHeader(block)
	if err != nil {
		return Header{}, nil, nil, err
	}
	keys, err := derive(kbpk, header.Version)
	if err != nil {
		return Header{}, nil, nil, err
	}
	rest, err := decodeHex(block[length:])
	if err != nil {
		return Header{}, nil, nil, err
	}
	at := len(rest) - keys.macSize
	clearText, err := keys.open([]byte(block[:length]), rest[:at], rest[at:])
	return header, key, clearText[2+len(key):], err
}
