package remote

import (
	"context"
	"slices"

	"onecard/keys"
)

// A request of many values is cut so that it stays below maxBody: base64 makes
// four bytes of three, and each value brings some punctuation.
const (
	bulkBytes  = maxBody / 2
	bulkValues = 20_000
)

// SealAll implements keys.Bulk.
func (k *Keeper) SealAll(ctx context.Context, aad, plain [][]byte) ([][]byte, error) {
	return k.inParts(len(plain), func(i int) int { return len(aad[i]) + len(plain[i]) }, func(from, to int) ([][]byte, error) {
		return ask[[][]byte](ctx, k, "seal-all", &sealAllRequest{aad[from:to], plain[from:to]})
	})
}

// OpenAll implements keys.Bulk.
func (k *Keeper) OpenAll(ctx context.Context, aad, sealed [][]byte) ([][]byte, error) {
	return k.inParts(len(sealed), func(i int) int { return len(aad[i]) + len(sealed[i]) }, func(from, to int) ([][]byte, error) {
		return ask[[][]byte](ctx, k, "open-all", &openAllRequest{aad[from:to], sealed[from:to]})
	})
}

// IndexAll implements keys.Bulk.
func (k *Keeper) IndexAll(ctx context.Context, version int, purposes []string, values [][]byte) ([][]byte, error) {
	return k.inParts(len(values), func(i int) int { return len(purposes[i]) + len(values[i]) }, func(from, to int) ([][]byte, error) {
		return ask[[][]byte](ctx, k, "index-all", &indexAllRequest{version, purposes[from:to], values[from:to]})
	})
}

var _ keys.Bulk = (*Keeper)(nil)

// inParts asks for so many values in as few requests as they fit into.
func (k *Keeper) inParts(n int, size func(i int) int, part func(from, to int) ([][]byte, error)) ([][]byte, error) {
	results := make([][]byte, 0, n)
	for from := 0; from < n; {
		to, bytes := from, 0
		for to < n && to-from < bulkValues && (to == from || bytes+size(to) <= bulkBytes) {
			bytes += size(to)
			to++
		}
		answer, err := part(from, to)
		if err != nil {
			return nil, err
		}
		if len(answer) != to-from {
			return nil, ErrProtocol
		}
		results = append(results, answer...)
		from = to
	}
	return results, nil
}

var _ keys.Deliveries = (*Keeper)(nil)

// WrapCards implements keys.Deliveries.
func (k *Keeper) WrapCards(ctx context.Context, under keys.Key, names []keys.Key, cards [][][]byte) ([][]string, error) {
	blocks := make([][]string, 0, len(cards))
	for part := range slices.Chunk(cards, max(1, maxBlocks/max(1, len(names)))) {
		answer, err := ask[[][]string](ctx, k, "wrap-cards", &wrapCardsRequest{under, names, part})
		if err != nil {
			return nil, err
		}
		if len(answer) != len(part) || slices.ContainsFunc(answer, func(one []string) bool { return len(one) != len(names) }) {
			return nil, ErrProtocol
		}
		blocks = append(blocks, answer...)
	}
	return blocks, nil
}

// CodeAll implements keys.Deliveries.
func (k *Keeper) CodeAll(ctx context.Context, key keys.Key, messages [][]byte) ([][]byte, error) {
	return k.inParts(len(messages), func(i int) int { return len(messages[i]) }, func(from, to int) ([][]byte, error) {
		return ask[[][]byte](ctx, k, "code-all", &codeAllRequest{key, messages[from:to]})
	})
}
