package chip

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"onecard/apdu"
)

// testAccount is an account number for a laboratory chip: a prefix of test
// cards, the serial number in ten digits, and the check digit of ISO/IEC 7812
// (Luhn).
func testAccount(serial [4]byte) string {
	digits := fmt.Sprintf("62220000%010d", binary.BigEndian.Uint32(serial[:]))
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + fmt.Sprint((10-sum%10)%10)
}

// hasBank says whether a name is that of the bank's application and the bank
// has loaded it.
func (c *Chip) hasBank(name []byte) bool {
	return c.image.Bank != "" && c.profile.Finance != nil &&
		slices.ContainsFunc(c.profile.Finance.AIDs, func(aid []byte) bool { return bytes.Equal(aid, name) })
}

// readBank reads a record of the bank's application: the account number stands
// in the first, as track 2 data, and in the third, by itself.
func (c *Chip) readBank(cmd apdu.Command) ([]byte, apdu.SW) {
	if cmd.P2&7 != byNumber || cmd.P1 != 1 {
		return nil, 0x6A83
	}
	var tag uint32
	var digits string
	switch cmd.P2 >> 3 {
	case 1:
		tag, digits = 0x57, c.image.Bank+"D2912201"
	case 3:
		tag, digits = 0x5A, c.image.Bank
	default:
		return nil, 0x6A83
	}
	digits += strings.Repeat("F", len(digits)%2)
	value, err := hex.DecodeString(digits)
	if err != nil {
		return nil, 0x6A83
	}
	return apdu.AppendTLV(nil, 0x70, apdu.AppendTLV(nil, tag, value)), apdu.OK
}
