package registry

import (
	"context"
	"fmt"
)

// Seal enciphers a value for a column of a row, such as
// ("persons.name_sealed", the person's id). It opens for the same column and
// row only.
func (db *DB) Seal(ctx context.Context, column, row string, plain []byte) ([]byte, error) {
	sealed, err := db.vault.Seal(ctx, sealContext(column, row), plain)
	if err != nil {
		return nil, fmt.Errorf("registry: seal %s: %w", column, err)
	}
	return sealed, nil
}

// Unseal deciphers what [DB.Seal] returned for the same column and row.
func (db *DB) Unseal(ctx context.Context, column, row string, sealed []byte) ([]byte, error) {
	plain, err := db.vault.Open(ctx, sealContext(column, row), sealed)
	if err != nil {
		return nil, fmt.Errorf("registry: unseal %s: %w", column, err)
	}
	return plain, nil
}

// Index returns the keyed digest by which equal values of a column are found.
func (db *DB) Index(ctx context.Context, column string, value []byte) ([]byte, error) {
	indexes, err := db.IndexAll(ctx, column, [][]byte{value})
	if err != nil {
		return nil, err
	}
	return indexes[0], nil
}

// sealContext joins column and row; a column's name has no zero byte.
func sealContext(column, row string) []byte { return []byte(column + "\x00" + row) }

// sealing gathers values to be sealed and indexed, so that they go through the
// Vault together. An empty value stays NULL.
type sealing struct {
	seals   []sealed
	indexes []indexed
	both    bool     // digests under the older version are wanted too
	older   [][]byte // they, by index; nil where there is none
}

type sealed struct {
	column, row, plain string
	into               *[]byte
}

type indexed struct {
	purpose, plain string
	length         int // of the digest; 0: whole
	into           *[]byte
}

func newSealing(seals, indexes int) *sealing {
	return &sealing{seals: make([]sealed, 0, seals), indexes: make([]indexed, 0, indexes)}
}

func (s *sealing) seal(column, row, plain string, into *[]byte) {
	if plain != "" {
		s.seals = append(s.seals, sealed{column, row, plain, into})
	}
}

func (s *sealing) index(purpose, plain string, length int, into *[]byte) {
	if plain != "" {
		s.indexes = append(s.indexes, indexed{purpose, plain, length, into})
	}
}

func (s *sealing) run(ctx context.Context, db *DB) error {
	bound, plain := make([][]byte, len(s.seals)), make([][]byte, len(s.seals))
	for i, one := range s.seals {
		bound[i], plain[i] = sealContext(one.column, one.row), []byte(one.plain)
	}
	values, err := db.bulk.SealAll(ctx, bound, plain)
	if err != nil {
		return fmt.Errorf("registry: seal: %w", err)
	}
	for i, one := range s.seals {
		*one.into = values[i]
	}
	return s.digest(ctx, db)
}

// opening gathers sealed values to be opened together. NULL opens as the empty
// text.
type opening struct{ opens []opened }

type opened struct {
	column, row string
	sealed      []byte
	into        *string
}

func newOpening(opens int) *opening { return &opening{opens: make([]opened, 0, opens)} }

func (o *opening) open(column, row string, sealed []byte, into *string) {
	if sealed != nil {
		o.opens = append(o.opens, opened{column, row, sealed, into})
	}
}

func (o *opening) run(ctx context.Context, db *DB) error {
	bound, sealed := make([][]byte, len(o.opens)), make([][]byte, len(o.opens))
	for i, one := range o.opens {
		bound[i], sealed[i] = sealContext(one.column, one.row), one.sealed
	}
	values, err := db.bulk.OpenAll(ctx, bound, sealed)
	if err != nil {
		return o.which(ctx, db, err)
	}
	for i, one := range o.opens {
		*one.into = string(values[i])
	}
	return nil
}

// which names the column that does not open; the many were tried together.
func (o *opening) which(ctx context.Context, db *DB, together error) error {
	for _, one := range o.opens {
		if _, err := db.Unseal(ctx, one.column, one.row, one.sealed); err != nil {
			return err
		}
	}
	return fmt.Errorf("registry: unseal: %w", together)
}

// bulkVault is a Vault that takes many values in one call.
type bulkVault interface {
	SealAll(ctx context.Context, contexts, plain [][]byte) ([][]byte, error)
	OpenAll(ctx context.Context, contexts, sealed [][]byte) ([][]byte, error)
	IndexAll(ctx context.Context, version int, purposes []string, values [][]byte) ([][]byte, error)
}

// oneByOne makes many calls of a Vault that takes single values only.
type oneByOne struct{ vault Vault }

func (o oneByOne) SealAll(ctx context.Context, contexts, plain [][]byte) ([][]byte, error) {
	return forAll(len(plain), func(i int) ([]byte, error) { return o.vault.Seal(ctx, contexts[i], plain[i]) })
}

func (o oneByOne) OpenAll(ctx context.Context, contexts, sealed [][]byte) ([][]byte, error) {
	return forAll(len(sealed), func(i int) ([]byte, error) { return o.vault.Open(ctx, contexts[i], sealed[i]) })
}

func (o oneByOne) IndexAll(ctx context.Context, version int, purposes []string, values [][]byte) ([][]byte, error) {
	return forAll(len(values), func(i int) ([]byte, error) { return o.vault.Index(ctx, version, purposes[i], values[i]) })
}

func forAll(n int, do func(i int) ([]byte, error)) ([][]byte, error) {
	results := make([][]byte, n)
	for i := range results {
		var err error
		if results[i], err = do(i); err != nil {
			return nil, err
		}
	}
	return results, nil
}
