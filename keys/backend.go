package keys

import (
	"context"
	"encoding/binary"
	"io"
)

// Chip is what chip operations ask of a keeper. [Keeper] says what each does.
type Chip interface {
	Cryptogram(ctx context.Context, key Key, r1, r2 []byte) ([]byte, error)
	CommandMAC(ctx context.Context, key Key, r, message []byte) ([]byte, error)
	PINBlock(ctx context.Context, key Key, r, header []byte, pin string) ([]byte, error)
	WrapKey(ctx context.Context, under, target Key, attributes [3]byte, header, iv []byte) (data, next []byte, err error)
	DirectMAC(ctx context.Context, key Key, iv, message []byte) ([]byte, error)
}

// Channels is what the personalisation of GlobalPlatform blanks asks of a keeper
// (安全通道). One that holds none answers ErrNoChannel.
type Channels interface {
	OpenChannel(ctx context.Context, request ChannelRequest) (command, state []byte, err error)
	WrapCommands(ctx context.Context, state, chip []byte, commands []ChannelCommand) (wrapped [][]byte, next []byte, err error)
	UnwrapResponses(ctx context.Context, state, chip []byte, responses [][]byte) (plain [][]byte, next []byte, err error)
}

// Vault is what protects personal data at rest.
type Vault interface {
	Seal(ctx context.Context, aad, plain []byte) ([]byte, error)
	Open(ctx context.Context, aad, sealed []byte) ([]byte, error)
	Index(ctx context.Context, version int, purpose string, value []byte) ([]byte, error)
}

// Cards is all that a keeper does for work on cards.
type Cards interface {
	Chip
	Channels
	TransactionMAC(ctx context.Context, key Key, factor, message []byte) ([]byte, error)
	CipherCommand(ctx context.Context, key Key, r, header, plain []byte) ([]byte, error)
}

// Service is all that a keeper does for its callers, whether it stands in
// their process or in one of its own.
type Service interface {
	Cards
	Vault
	CheckValue(ctx context.Context, key Key) (kcv []byte, method string, err error)
}

// Backend is a keeper that holds keys itself: the software keeper, a token.
type Backend interface {
	Service
	Current(name string) (version int, err error)
	Keys() []Info
}

// Load is one key of a chain of key-loading commands: the key, its three
// attribute bytes (usage, version, tries) and the command's header. It is an
// alias of an unnamed struct for the same reason as Key.
type Load = struct {
	Target     Key     `json:"target"`
	Attributes [3]byte `json:"attributes"`
	Header     []byte  `json:"header"`
}

// WrapChain wraps the keys of one chain one after another, each from the last
// MAC block of the one before, and returns the data fields and the last block.
func WrapChain(ctx context.Context, keeper Chip, under Key, loads []Load, iv []byte) (data [][]byte, next []byte, err error) {
	next = iv
	for _, load := range loads {
		var field []byte
		if field, next, err = keeper.WrapKey(ctx, under, load.Target, load.Attributes, load.Header, next); err != nil {
			return nil, nil, err
		}
		data = append(data, field)
	}
	return data, next, nil
}

// SealedVersion returns the version of the key DATA that sealed the value, or
// 0 for what no keeper sealed. Every keeper's sealed value begins with a byte
// for its format and two for the version.
func SealedVersion(sealed []byte) int {
	if len(sealed) < sealPrefix {
		return 0
	}
	return int(binary.BigEndian.Uint16(sealed[1:]))
}

// ParseShare reads the text of a share's file, for a custodian who enters it
// (人工录入分量). What r gives is not kept; the caller clears what it holds of it.
func ParseShare(r io.Reader) (Share, error) {
	text, err := io.ReadAll(io.LimitReader(r, 4096))
	defer clear(text)
	if err != nil {
		return Share{}, inputError("分量 share", "不可读 cannot be read")
	}
	return parseShare(text)
}
