package keys

import (
	"context"
	"fmt"
	"strings"

	"onecard/keys/keyblock"
)

// A key block's label (optional block LB) is the key's name, and its key
// version our version in two decimal digits.
const (
	labelBlock      = "LB"
	maxBlockVersion = 99
)

// ExportBlock returns a key as a key block under a key-exchange key, for
// another keeper or a card maker: the key itself without factors, or with them
// one further down, for example a city's key out of the province's. Card keys
// themselves are not given out. It refuses keys that are not exportable
// (ErrNotExportable), a key-exchange key weaker than the key
// (ErrWeak), and what the codes cannot say (ErrNotInBlock). The block says that
// the receiver may not export the key again.
func (k *Keeper) ExportBlock(ctx context.Context, under, key Key, codes Codes) (block string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	h, err := k.find(key)
	if err != nil {
		return "", err
	}
	header, err := h.blockHeader(key.Factors, codes)
	if err != nil {
		return "", keyError(h.Name, h.Version, err)
	}
	value, err := h.derive(key.Factors)
	if err != nil {
		return "", err
	}
	defer clear(value)
	err = k.use(ctx, under, func(algorithm Algorithm, protection []byte) error {
		kbpk, err := protects(algorithm, protection, h.Spec)
		if err != nil {
			return err
		}
		header.Version = 'D'
		if kbpk.Algorithm == 'T' {
			header.Version = 'B'
		}
		block, err = keyblock.Seal(kbpk, header, value, k.random)
		return err
	}, KeyExchange)
	return block, err
}

// blockHeader describes the key that the factors lead to, for a block.
func (h *held) blockHeader(factors [][]byte, codes Codes) (keyblock.Header, error) {
	if h.homebound() || !h.Exportable {
		return keyblock.Header{}, ErrNotExportable
	}
	below := h.Depth - len(factors)
	if below < 0 || (below == 0 && len(factors) > 0) {
		return keyblock.Header{}, ErrFactors
	}
	code, letter, err := codes.code(h.Usage, h.Algorithm, below)
	if err != nil || h.Version > maxBlockVersion {
		return keyblock.Header{}, ErrNotInBlock
	}
	return keyblock.Header{
		Usage: code.Usage, Mode: code.Mode[0], Algorithm: letter, Exportability: 'N', Context: '0',
		KeyVersion: fmt.Sprintf("%02d", h.Version), Optional: []keyblock.Optional{{ID: labelBlock, Data: h.Name}},
	}, nil
}

// ImportBlock takes one version of a key in from a key block under a
// key-exchange key. What the block says must be what spec says: purpose,
// algorithm, whether keys are derived from it and whether it may be exported
// again; its label and version, if it has them, name and version. What differs
// is ErrNotInBlock; ErrBlock tells an altered block or another key-exchange key.
func (k *Keeper) ImportBlock(ctx context.Context, under Key, spec Spec, version int, block string, codes Codes) error {
	if err := spec.check(); err != nil {
		return err
	}
	var value []byte
	err := k.use(ctx, under, func(algorithm Algorithm, protection []byte) error {
		kbpk, err := protects(algorithm, protection, spec)
		if err != nil {
			return err
		}
		header, key, err := keyblock.Open(kbpk, strings.TrimSpace(block))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBlock, err)
		}
		value = key
		return spec.matches(header, version, len(key), codes)
	}, KeyExchange)
	if err != nil {
		clear(value)
		return fmt.Errorf("keys: %.32q: %w", spec.Name, err)
	}
	return k.insert(spec, version, value)
}

// matches compares what a block says about its key with what it is to be.
func (s Spec) matches(header keyblock.Header, version, size int, codes Codes) error {
	code, letter, err := codes.code(s.Usage, s.Algorithm, s.Depth)
	if err != nil {
		return err
	}
	exportability := byte('N')
	if s.Exportable {
		exportability = 'E'
	}
	label, labelled := header.Get(labelBlock)
	for _, part := range []struct {
		what string
		same bool
	}{
		{"用途 usage", header.Usage == code.Usage},
		{"模式 mode", header.Mode == code.Mode[0]},
		{"算法 algorithm", header.Algorithm == letter},
		{"导出 exportability", header.Exportability == exportability},
		{"版本 version", header.KeyVersion == "00" || header.KeyVersion == fmt.Sprintf("%02d", version)},
		{"名称 label", !labelled || label == s.Name},
		{"长度 length", size == s.size()},
	} {
		if !part.same {
			return fmt.Errorf("%s: %w", part.what, ErrNotInBlock)
		}
	}
	return nil
}

// protects returns the protection key for a key of that description. One of 3DES
// has 112 bits and protects no key of 128; one of AES none that is longer.
func protects(algorithm Algorithm, value []byte, protected Spec) (keyblock.KBPK, error) {
	switch {
	case algorithm != TripleDES && len(value) >= protected.size():
		return keyblock.KBPK{Algorithm: 'A', Key: value}, nil
	case algorithm == TripleDES && protected.Algorithm == TripleDES:
		return keyblock.KBPK{Algorithm: 'T', Key: value}, nil
	}
	return keyblock.KBPK{}, ErrWeak
}
