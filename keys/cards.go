package keys

import (
	"context"
	"crypto/cipher"
	"fmt"
	"slices"
	"sync"

	"onecard/keys/keyblock"
)

// CardDelivery protects the keys of single cards on their way to a card maker
// (制卡传输密钥): a key-exchange key for nothing else. It comes from a ceremony of
// both sides and never leaves. What it opens is worth the cards of a batch; no
// key of the hierarchy can be found from them.
const CardDelivery Usage = "card-delivery"

// Deliveries is what the production of cards by a maker without a keeper asks
// (批量制卡). Keeper says what each does.
type Deliveries interface {
	WrapCards(ctx context.Context, under Key, names []Key, cards [][][]byte) ([][]string, error)
	CodeAll(ctx context.Context, key Key, messages [][]byte) ([][]byte, error)
}

// ErrNoDelivery: the keeper gives no keys of cards to a maker.
var ErrNoDelivery error = unsupported("密钥保管方不支持批量制卡 this keeper of keys prepares no cards for a maker")

// cardMode is the mode of a card's own key in a key block: no restriction of
// its own, since the usage tells which command it serves (assumed).
const cardMode = 'N'

// deliveryCodes are the codes of the blocks.
var deliveryCodes = sync.OnceValue(AssumedCodes)

// WrapCards returns, for each of many cards, the card's own keys as key blocks
// (TR-31, version D) under a key of delivery: names are keys for cards with
// their versions and without factors, cards the factors of each card, all of
// them and at least one. The block says which key it is (LB), its version and
// usage, and that the receiver may not export it. The province's own keys are
// ErrFactors, keys that are not for cards ErrWrongUsage.
func (k *Keeper) WrapCards(ctx context.Context, under Key, names []Key, cards [][][]byte) ([][]string, error) {
	blocks := make([][]string, len(cards))
	for i := range blocks {
		blocks[i] = make([]string, len(names))
	}
	err := k.use(ctx, under, func(algorithm Algorithm, protection []byte) error {
		for i, name := range names {
			h, err := k.find(name)
			if err != nil {
				return err
			}
			kbpk, err := protects(algorithm, protection, h.Spec)
			if err != nil {
				return err
			}
			if err := h.wrapAll(ctx, k, kbpk, cards, func(card int, block string) { blocks[card][i] = block }); err != nil {
				return keyError(h.Name, h.Version, err)
			}
		}
		return nil
	}, CardDelivery)
	if err != nil {
		return nil, err
	}
	return blocks, nil
}

// wrapAll wraps the key of every card that one key of the hierarchy leads to.
func (h *held) wrapAll(ctx context.Context, k *Keeper, kbpk keyblock.KBPK, cards [][][]byte, take func(card int, block string)) error {
	if !slices.Contains([]Usage{Authentication, Maintenance, Master, Debit}, h.Usage) {
		return ErrWrongUsage
	}
	codes := deliveryCodes()
	code, known := codes.Usages[h.Usage]
	letter := codes.Algorithms[h.Algorithm]
	if !known || letter == "" || h.Version > maxBlockVersion {
		return ErrNotInBlock
	}
	sealer, err := keyblock.NewSealer(kbpk, keyblock.Header{
		Version: 'D', Usage: code.Usage, Mode: cardMode, Algorithm: letter[0], Exportability: 'N', Context: '0',
		KeyVersion: fmt.Sprintf("%02d", h.Version), Optional: []keyblock.Optional{{ID: labelBlock, Data: h.Name}},
	})
	if err != nil {
		return err
	}
	parents := lineage{held: h, ciphers: map[string]cipher.Block{}}
	value := make([]byte, 2*factorSize)
	defer clear(value)
	for i, factors := range cards {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := parents.derive(factors, value); err != nil {
			return err
		}
		block, err := sealer.Seal(value, k.random)
		if err != nil {
			return err
		}
		take(i, block)
	}
	return nil
}

// lineage derives the keys of many cards. All cards of a place have the parent
// key in common, which is derived once.
type lineage struct {
	held    *held
	ciphers map[string]cipher.Block // of the parents, by the factors that lead there
}

// derive puts a card's key into value.
func (l lineage) derive(factors [][]byte, value []byte) error {
	path, err := l.held.path(factors)
	if err != nil || len(path) == 0 {
		return ErrFactors
	}
	above, factor := path[:len(path)-1], path[len(path)-1]
	if len(factor) != factorSize {
		return ErrFactors
	}
	name := string(slices.Concat(above...)) // factors are of one length
	parent, known := l.ciphers[name]
	if !known {
		key, err := l.held.derive(above)
		if err != nil {
			return err
		}
		defer clear(key)
		if parent, err = newCipher(l.held.Algorithm, key); err != nil {
			return err
		}
		l.ciphers[name] = parent
	}
	fillFactor(value, factor)
	encryptBlocks(parent, value)
	return nil
}

// CodeAll computes the check code of each message (卡识别码校验码), four bytes:
// [Keeper.DirectMAC] from zeroes under a key for check codes.
func (k *Keeper) CodeAll(ctx context.Context, key Key, messages [][]byte) ([][]byte, error) {
	codes := make([][]byte, len(messages))
	err := k.use(ctx, key, func(algorithm Algorithm, value []byte) error {
		iv := make([]byte, algorithm.blockSize())
		for i, message := range messages {
			last, err := directMAC(algorithm, value, iv, message)
			if err != nil {
				return err
			}
			codes[i] = shorten(last)
		}
		return nil
	}, CheckCode)
	if err != nil {
		return nil, err
	}
	return codes, nil
}

var _ Deliveries = (*Keeper)(nil)
