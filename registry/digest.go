package registry

import (
	"context"
	"fmt"
)

// digest computes the digests that were gathered: each purpose has its version.
func (s *sealing) digest(ctx context.Context, db *DB) error {
	if len(s.indexes) == 0 {
		return nil
	}
	keys, err := s.versions(ctx, db)
	if err != nil {
		return err
	}
	digests := make([][]byte, len(s.indexes))
	if keys.write == firstIndex && keys.also == 0 { // as long as the key was never changed
		purposes, plain := make([]string, len(s.indexes)), make([][]byte, len(s.indexes))
		for i, one := range s.indexes {
			purposes[i], plain[i] = one.purpose, []byte(one.plain)
		}
		if digests, err = db.bulk.IndexAll(ctx, firstIndex, purposes, plain); err != nil {
			return fmt.Errorf("registry: index: %w", err)
		}
		for i, one := range s.indexes {
			*one.into = one.cut(digests[i])
		}
		return nil
	}
	if err := s.digestUnder(ctx, db, keys.under, digests); err != nil {
		return err
	}
	for i, one := range s.indexes {
		*one.into = digests[i]
	}
	if s.both && keys.also != 0 {
		s.older = make([][]byte, len(s.indexes))
		return s.digestUnder(ctx, db, keys.older, s.older)
	}
	return nil
}

// versions is those of the work; purposes that stay need not ask for them.
func (s *sealing) versions(ctx context.Context, db *DB) (indexKeys, error) {
	for _, one := range s.indexes {
		if (indexKeys{}).under(one.purpose) == 0 {
			return db.indexesOf(ctx)
		}
	}
	return indexKeys{write: firstIndex}, nil
}

// digestUnder fills in the digests under the version of each purpose, none for 0.
func (s *sealing) digestUnder(ctx context.Context, db *DB, version func(purpose string) int, into [][]byte) error {
	at := map[int][]int{}
	for i, one := range s.indexes {
		if v := version(one.purpose); v != 0 {
			at[v] = append(at[v], i)
		}
	}
	for v, positions := range at {
		purposes, plain := make([]string, len(positions)), make([][]byte, len(positions))
		for n, i := range positions {
			purposes[n], plain[n] = s.indexes[i].purpose, []byte(s.indexes[i].plain)
		}
		values, err := db.bulk.IndexAll(ctx, v, purposes, plain)
		if err != nil {
			return fmt.Errorf("registry: index: %w", err)
		}
		for n, i := range positions {
			into[i] = s.indexes[i].cut(values[n])
		}
	}
	return nil
}

// cut is as much of a digest as is stored.
func (i indexed) cut(digest []byte) []byte {
	if i.length > 0 {
		return digest[:i.length]
	}
	return digest
}

// olders are the digests under the older version, none while no key changes.
func (s *sealing) olders() [][]byte {
	var all [][]byte
	for _, digest := range s.older {
		if digest != nil {
			all = append(all, digest)
		}
	}
	return all
}

// olderAt is the digest under the older version of the value of that number; nil
// while no key changes.
func (s *sealing) olderAt(i int) []byte {
	if s.older == nil {
		return nil
	}
	return s.older[i]
}
