package card

import (
	"context"
	"fmt"
)

// Key names one key of the hierarchy (密钥): its purpose, its version and the
// diversification factors that lead from the province's key to the card's,
// outermost first (行政区划因子, then 卡片因子; eight bytes each). No factor names
// the province's own key.
//
// It is an alias of an unnamed struct so that this package and the keeper,
// which may not import one another, speak of the same type.
type Key = struct {
	Name    string   `json:"name"`
	Version int      `json:"version"`
	Factors [][]byte `json:"factors,omitempty"`
}

// Keeper is what chip operations ask of whoever keeps the keys (密钥管理). No
// method returns a key in the clear.
type Keeper interface {
	// Cryptogram computes the eight authentication bytes AUTH for INTERNAL
	// and EXTERNAL AUTHENTICATE from the process factor r1 and the original
	// information r2, eight bytes each.
	Cryptogram(ctx context.Context, key Key, r1, r2 []byte) ([]byte, error)
	// CommandMAC computes the four MAC bytes of a protected command under the
	// process key that the card's challenge r (eight bytes) gives; message is
	// the header with Lc and the data field, not yet padded.
	CommandMAC(ctx context.Context, key Key, r, message []byte) ([]byte, error)
	// PINBlock encrypts a PIN under the process key that r gives and computes
	// the MAC of the command with that header (CLA INS P1 P2 Lc): the answer
	// is the whole data field, enciphered block and MAC.
	PINBlock(ctx context.Context, key Key, r, header []byte, pin string) ([]byte, error)
	// WrapKey enciphers target with its three attribute bytes (usage, version,
	// tries) under the key under and computes the MAC of the key-loading
	// command with that header, starting from iv (one block). It returns the
	// command's data field and the last MAC block, which is the next iv of a
	// chained sequence.
	WrapKey(ctx context.Context, under, target Key, attributes [3]byte, header, iv []byte) (data, next []byte, err error)
	// DirectMAC computes the four MAC bytes of message under the key itself,
	// starting from iv (one block; zeroes for a stand-alone check code).
	DirectMAC(ctx context.Context, key Key, iv, message []byte) ([]byte, error)
}

// KeyLoad is one key of a chain of key-loading commands: the key, its three
// attribute bytes and the command's header. It is an alias for the same reason
// as Key.
type KeyLoad = struct {
	Target     Key     `json:"target"`
	Attributes [3]byte `json:"attributes"`
	Header     []byte  `json:"header"`
}

// cipherer is a Keeper who can encipher any command's data field: CommandMAC
// with the data in the clear is not enough where the profile asks for both.
type cipherer interface {
	// CipherCommand enciphers a length byte, plain, 80 and zeroes under the
	// process key that r gives and computes the MAC of the command with that
	// header: the answer is the whole data field.
	CipherCommand(ctx context.Context, key Key, r, header, plain []byte) ([]byte, error)
}

// coder is a Keeper who computes the codes of the medical account's movements.
type coder interface {
	// TransactionMAC computes the four bytes of a MAC or TAC of message under
	// the process key that factor (eight bytes) gives.
	TransactionMAC(ctx context.Context, key Key, factor, message []byte) ([]byte, error)
}

// chainWrapper is a Keeper to whom each call is a way, such as one in another
// process: it wraps a whole chain in one.
type chainWrapper interface {
	WrapKeys(ctx context.Context, under Key, loads []KeyLoad, iv []byte) (data [][]byte, next []byte, err error)
}

// wrapKeys wraps a chain of keys and returns the data fields of their commands.
func wrapKeys(ctx context.Context, keeper Keeper, under Key, loads []KeyLoad, iv []byte) ([][]byte, error) {
	if len(loads) == 0 {
		return nil, nil // a card that has them all already
	}
	if chain, ok := keeper.(chainWrapper); ok {
		data, _, err := chain.WrapKeys(ctx, under, loads, iv)
		if err == nil && len(data) != len(loads) {
			err = fmt.Errorf("%d data fields for %d keys", len(data), len(loads))
		}
		if err != nil {
			return nil, keeperError("wrap keys", err)
		}
		return data, nil
	}
	var data [][]byte
	for _, load := range loads {
		field, next, err := keeper.WrapKey(ctx, under, load.Target, load.Attributes, load.Header, iv)
		if err != nil {
			return nil, keeperError("wrap "+load.Target.Name, err)
		}
		data, iv = append(data, field), next
	}
	return data, nil
}
