package apdu

import "fmt"

// TLV is one BER-TLV data object (ISO/IEC 7816-4 clause 5.2.2). Children are
// set for a constructed tag.
type TLV struct {
	Tag      uint32
	Value    []byte
	Children []TLV
}

// maxDepth bounds nesting, which no card goes near.
const maxDepth = 8

// ParseTLV decodes a sequence of data objects that fills b. Values share b.
func ParseTLV(b []byte) ([]TLV, error) { return parseTLV(b, 0) }

func parseTLV(b []byte, depth int) ([]TLV, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("TLV: %w: nested deeper than %d", ErrMalformed, maxDepth)
	}
	var objects []TLV
	for len(b) > 0 {
		tag, constructed, n, err := parseTag(b)
		if err != nil {
			return nil, err
		}
		b = b[n:]
		length, n, err := parseLength(b)
		if err != nil {
			return nil, err
		}
		b = b[n:]
		if length > len(b) {
			return nil, fmt.Errorf("TLV %X: %w: %d bytes announced, %d follow", tag, ErrMalformed, length, len(b))
		}
		object := TLV{Tag: tag, Value: b[:length:length]}
		b = b[length:]
		if constructed {
			if object.Children, err = parseTLV(object.Value, depth+1); err != nil {
				return nil, err
			}
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func parseTag(b []byte) (tag uint32, constructed bool, n int, err error) {
	tag, constructed = uint32(b[0]), b[0]&0x20 != 0
	if b[0]&0x1F != 0x1F {
		return tag, constructed, 1, nil
	}
	for n = 1; n < len(b) && n < 4; n++ {
		tag = tag<<8 | uint32(b[n])
		if b[n]&0x80 == 0 {
			return tag, constructed, n + 1, nil
		}
	}
	return 0, false, 0, fmt.Errorf("TLV: %w: tag cut or longer than 4 bytes", ErrMalformed)
}

func parseLength(b []byte) (length, n int, err error) {
	if len(b) == 0 {
		return 0, 0, fmt.Errorf("TLV: %w: no length", ErrMalformed)
	}
	if b[0] < 0x80 {
		return int(b[0]), 1, nil
	}
	more := int(b[0] & 0x7F)
	if more == 0 || more > 3 || len(b) < 1+more {
		return 0, 0, fmt.Errorf("TLV: %w: length cut, indefinite or longer than 3 bytes", ErrMalformed)
	}
	for _, digit := range b[1 : 1+more] {
		length = length<<8 | int(digit)
	}
	return length, 1 + more, nil
}

// AppendTLV appends a data object with the shortest length. The value may be
// up to 2^24-1 bytes.
func AppendTLV(dst []byte, tag uint32, value []byte) []byte {
	for shift := 24; shift > 0; shift -= 8 {
		if tag>>shift != 0 {
			dst = append(dst, byte(tag>>shift))
		}
	}
	dst = append(dst, byte(tag))
	switch n := len(value); {
	case n < 0x80:
		dst = append(dst, byte(n))
	case n < 0x100:
		dst = append(dst, 0x81, byte(n))
	case n < 0x10000:
		dst = append(dst, 0x82, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, value...)
}

// FindTLV follows a path of tags and returns the first object at its end.
func FindTLV(objects []TLV, path ...uint32) (TLV, bool) {
	for _, object := range objects {
		if len(path) == 0 || object.Tag != path[0] {
			continue
		}
		if len(path) == 1 {
			return object, true
		}
		if found, ok := FindTLV(object.Children, path[1:]...); ok {
			return found, true
		}
	}
	return TLV{}, false
}
