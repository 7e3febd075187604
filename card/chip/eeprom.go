package chip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"onecard/card/profile"
)

// Torn is what a byte holds whose programming the power cut interrupted.
type Torn int

// The outcomes.
const (
	TornOld Torn = iota // as before
	TornNew             // as intended
	TornBad             // neither
)

// EEPROM is a chip's memory byte by byte (芯片非易失存储器): each byte that is
// programmed is an event at which the power may go. A change of the image is
// written to a backup buffer with a checksum, then a flag makes it valid, then
// it is carried out and the flag is cleared; when the chip is switched on, a
// valid buffer is carried out again. So each change happens as a whole or not at
// all (as in Rankl and Effing, Smart Card Handbook, atomic operations).
type EEPROM struct {
	// Plain writes in place, without the buffer: the negative control.
	Plain bool

	profile *profile.Profile
	fixed   Image // what never changes: answer to reset, version, area, bank, the maker's keys
	mem     []byte
	events  int  // bytes programmed so far
	cut     int  // event at which the power goes; 0 never
	torn    Torn // what that byte holds then
}

// flagValid marks a buffer that is to be carried out. FF is erased.
const flagValid = 0x5A

// The head of the memory, before the buffer's entries: flag, number of bytes,
// checksum.
const (
	bufferFlag  = 0
	bufferSize  = 1
	bufferCheck = 5
	bufferStart = 9
)

// NewEEPROM returns a memory that holds the image of a chip of a profile.
func NewEEPROM(p *profile.Profile, image *Image) (*EEPROM, error) {
	if err := image.check(p); err != nil {
		return nil, err
	}
	e := &EEPROM{profile: p, fixed: Image{ATR: image.ATR, Version: image.Version, Area: image.Area, Bank: image.Bank, Platform: image.Platform}}
	data := e.encode(image)
	e.mem = append(bytes.Repeat([]byte{0xFF}, dataStart), data...)
	e.mem[bufferFlag] = 0
	return e, nil
}

// dataStart leaves room in the buffer for what one command may change: the
// records of a cyclic file, which all move, at worst in runs of one byte.
const dataStart = bufferStart + 6<<10

// CutAt takes the power away at the nth byte that is programmed from now on.
func (e *EEPROM) CutAt(n int, torn Torn) { e.events, e.cut, e.torn = 0, n, torn }

// Events returns how many bytes were programmed since CutAt.
func (e *EEPROM) Events() int { return e.events }

// Clone returns a memory with the same content.
func (e *EEPROM) Clone() *EEPROM {
	clone := *e
	clone.mem = bytes.Clone(e.mem)
	clone.events, clone.cut = 0, 0
	return &clone
}

// Content returns what the chip has kept, without the buffer.
func (e *EEPROM) Content() []byte { return bytes.Clone(e.data()) }

func (e *EEPROM) data() []byte { return e.mem[dataStart:] }

// program writes one byte; false means that the power went.
func (e *EEPROM) program(at int, value byte) bool {
	e.events++
	if e.events == e.cut {
		switch e.torn {
		case TornNew:
			e.mem[at] = value
		case TornBad:
			e.mem[at] = ^(e.mem[at] & value) // bits of neither
		}
		return false
	}
	e.mem[at] = value
	return true
}

func (e *EEPROM) programAll(at int, values []byte) bool {
	for i, value := range values {
		if !e.program(at+i, value) {
			return false
		}
	}
	return true
}

// Save implements Store.
func (e *EEPROM) Save(image *Image) error {
	changes := e.changes(e.encode(image))
	if len(changes) == 0 {
		return nil
	}
	if len(changes) > dataStart-bufferStart {
		return fmt.Errorf("change of %d bytes: %w", len(changes), ErrImage)
	}
	if !e.Plain {
		head := binary.BigEndian.AppendUint32(nil, uint32(len(changes)))
		head = binary.BigEndian.AppendUint32(head, crc32.ChecksumIEEE(changes))
		if !e.programAll(bufferStart, changes) || !e.programAll(bufferSize, head) || !e.program(bufferFlag, flagValid) {
			return ErrPower
		}
	}
	if !e.carryOut(changes) || !e.Plain && !e.program(bufferFlag, 0) {
		return ErrPower
	}
	return nil
}

// changes lists the runs of bytes that differ: offset (3), length (1), bytes.
func (e *EEPROM) changes(want []byte) []byte {
	have := e.data()
	var list []byte
	for i := 0; i < len(want); i++ {
		if have[i] == want[i] {
			continue
		}
		end := i + 1
		for end < len(want) && end-i < 255 && have[end] != want[end] {
			end++
		}
		list = append(list, byte(i>>16), byte(i>>8), byte(i), byte(end-i))
		list = append(list, want[i:end]...)
		i = end - 1
	}
	return list
}

// carryOut programs a list of changes.
func (e *EEPROM) carryOut(changes []byte) bool {
	for len(changes) > 0 {
		offset, n := int(changes[0])<<16|int(changes[1])<<8|int(changes[2]), int(changes[3])
		if !e.programAll(dataStart+offset, changes[4:4+n]) {
			return false
		}
		changes = changes[4+n:]
	}
	return true
}

// Recover is what the chip does first when it is switched on: a valid buffer is
// carried out. ErrPower says that the power went again.
func (e *EEPROM) Recover() error {
	if e.mem[bufferFlag] != flagValid {
		return nil
	}
	size := int(binary.BigEndian.Uint32(e.mem[bufferSize:]))
	if size > dataStart-bufferStart {
		return nil
	}
	changes := e.mem[bufferStart : bufferStart+size]
	if crc32.ChecksumIEEE(changes) != binary.BigEndian.Uint32(e.mem[bufferCheck:]) {
		return nil
	}
	if !e.carryOut(bytes.Clone(changes)) || !e.program(bufferFlag, 0) {
		return ErrPower
	}
	return nil
}

// Load implements Store.
func (e *EEPROM) Load() (*Image, error) {
	if err := e.Recover(); err != nil {
		return nil, err
	}
	return e.decode()
}

// The head of the data: life cycle, three blocks, length and digits of the PIN,
// attempts, number and length of the account's last proof.
const (
	pinRoom   = 6
	proofRoom = 16
	slotSize  = 16 + 3
)

// encode lays the image out: fixed places, so that a change of one thing
// changes its bytes only.
func (e *EEPROM) encode(image *Image) []byte {
	flag := func(set bool) byte {
		if set {
			return 1
		}
		return 0
	}
	data := []byte{image.LifeCycle, flag(image.CardBlocked), flag(image.ApplicationBlocked), flag(image.Permanently), byte(image.PINTries), byte(len(image.PIN))}
	data = append(data, pad(image.PIN, pinRoom)...)
	data = binary.BigEndian.AppendUint16(data, image.AccountSerial)
	data = append(append(data, byte(len(image.AccountProof))), pad(image.AccountProof, proofRoom)...)
	if image.Platform != nil {
		data = binary.BigEndian.AppendUint32(data, image.Platform.Sequence)
	}
	for _, scope := range e.profile.Scopes {
		for _, key := range scope.Keys {
			slot := image.Keys[key.Name]
			data = append(append(data, slot.Key...), slot.Version, slot.Tries, slot.Most)
		}
		for _, file := range scope.Files {
			path := scope.Name + "/" + file.Name()
			switch file.Kind {
			case profile.Transparent:
				data = append(data, image.Binary[path]...)
			case profile.Cyclic:
				data = append(data, byte(len(image.Records[path])))
				data = append(data, pad(slices.Concat(raw(image.Records[path])...), file.Size*file.Records)...)
			case profile.Variable:
				data = append(data, slices.Concat(raw(image.Records[path])...)...)
			}
		}
	}
	return data
}

func raw(records []Hex) [][]byte {
	all := make([][]byte, len(records))
	for i, r := range records {
		all[i] = r
	}
	return all
}

func pad(value []byte, size int) []byte {
	return append(bytes.Clone(value), bytes.Repeat([]byte{0xFF}, size-len(value))...)
}

// decode reads the image back. A memory that holds no image is ErrImage.
func (e *EEPROM) decode() (*Image, error) {
	data := e.data()
	take := func(n int) []byte {
		value := bytes.Clone(data[:n])
		data = data[n:]
		return value
	}
	image := e.fixed
	image.Keys, image.Records, image.Binary = map[string]*Slot{}, map[string][]Hex{}, map[string]Hex{}
	head := take(6)
	image.LifeCycle, image.CardBlocked, image.ApplicationBlocked, image.Permanently = head[0], head[1] == 1, head[2] == 1, head[3] == 1
	image.PINTries = int(head[4])
	pin := take(pinRoom)
	if head[5] > pinRoom {
		return nil, fmt.Errorf("PIN: %w", ErrImage)
	}
	image.PIN = pin[:head[5]]
	image.AccountSerial = binary.BigEndian.Uint16(take(2))
	size := take(1)[0]
	proof := take(proofRoom)
	if size > proofRoom {
		return nil, fmt.Errorf("account: %w", ErrImage)
	}
	image.AccountProof = proof[:size]
	if e.fixed.Platform != nil {
		platform := *e.fixed.Platform
		platform.Sequence = binary.BigEndian.Uint32(take(4))
		image.Platform = &platform
	}
	for _, scope := range e.profile.Scopes {
		for _, key := range scope.Keys {
			slot := take(slotSize)
			image.Keys[key.Name] = &Slot{Key: slot[:16], Version: slot[16], Tries: slot[17], Most: slot[18]}
		}
		for _, file := range scope.Files {
			path := scope.Name + "/" + file.Name()
			switch file.Kind {
			case profile.Transparent:
				image.Binary[path] = take(file.Size)
			case profile.Cyclic:
				n := int(take(1)[0])
				all := take(file.Size * file.Records)
				if n > file.Records {
					return nil, fmt.Errorf("file %s: %w", path, ErrImage)
				}
				image.Records[path] = []Hex{}
				for i := range n {
					image.Records[path] = append(image.Records[path], all[i*file.Size:(i+1)*file.Size])
				}
			case profile.Variable:
				for _, element := range file.Elements {
					image.Records[path] = append(image.Records[path], take(element.Length))
				}
			}
		}
	}
	return &image, image.check(e.profile)
}

// Fork returns a chip in the same state, with power and with a memory of its
// own, to try what would happen. The chip's memory must be an EEPROM.
func (c *Chip) Fork() (*Chip, *EEPROM, error) {
	memory, ok := c.store.(*EEPROM)
	if !ok {
		return nil, nil, fmt.Errorf("chip: no EEPROM: %w", ErrImage)
	}
	fork := *c
	own := memory.Clone()
	image, err := own.decode()
	if err != nil {
		return nil, nil, err
	}
	fork.store, fork.image, fork.ram = own, image, c.ram.clone()
	return &fork, own, nil
}
