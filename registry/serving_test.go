package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/registry"
)

// service is what goes on while the key changes: two instances of the platform.
type service struct {
	t    *testing.T
	ones []*registry.DB
	rows []registry.LoadRow // who was registered before
	mu   sync.Mutex
	new  []registry.LoadRow // who was registered since
	stop context.CancelFunc
	live context.Context // until it ends work begins anew
	ctx  context.Context // of the work, which is not broken off
	done sync.WaitGroup
	err  error
}

func (s *service) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, err)
	s.stop()
}

// always runs work again and again until the end.
func (s *service) always(work func(i int, db *registry.DB) error) {
	s.done.Go(func() {
		for i := 0; s.live.Err() == nil; i++ {
			if err := work(i, s.ones[i%len(s.ones)]); err != nil {
				s.fail(err)
				return
			}
		}
	})
}

// found looks for a resident in all ways.
func found(ctx context.Context, db *registry.DB, row registry.LoadRow) error {
	person, err := db.PersonByIDNumber(ctx, row.Person.IDNumber)
	if err != nil {
		return fmt.Errorf("by number: %w", err)
	}
	queries := map[string]registry.Query{
		"number": {Number: row.Person.Number()}, "phone": {Phone: row.Person.Phone}, "name": {Name: row.Person.Name, Birth: row.Person.Birth},
	}
	for _, n := range row.Numbers {
		queries["other number"] = registry.Query{Number: n.Number}
	}
	for why, query := range queries {
		answer, err := db.Find(ctx, query)
		if err != nil {
			return fmt.Errorf("by %s: %w", why, err)
		}
		ids := map[uuid.UUID]bool{}
		for _, hit := range answer.Hits {
			ids[hit.Person.ID] = true
		}
		if !ids[person.ID] {
			return fmt.Errorf("not found by %s among %d", why, len(ids))
		}
	}
	return nil
}

// told is what a counter would be told of a resident.
func told(row registry.LoadRow) registry.NewPerson {
	p := row.Person
	return registry.NewPerson{IDNumber: p.Number(), Name: p.Name, Ethnic: p.Ethnic, Place: p.Place, Phone: p.Phone}
}

// twice expects that what was done was refused, for it stands already.
func twice(what string, err error) error {
	if errors.Is(err, registry.ErrDuplicate) {
		return nil
	}
	return fmt.Errorf("%s a second time: %w", what, errors.Join(err, errors.New("want ErrDuplicate")))
}

// begin looks, registers, corrects and tries doubles from several sides.
func (s *service) begin(next func() registry.LoadRow) {
	old := func(i int) registry.LoadRow { return s.rows[i%len(s.rows)] }
	s.always(func(i int, db *registry.DB) error { return found(s.ctx, db, old(7*i)) })
	s.always(func(i int, db *registry.DB) error {
		return twice("registered", db.InTx(s.ctx, clerk, func(tx *registry.Tx) error {
			_, err := tx.AddPerson(told(old(5 * i)))
			return err
		}))
	})
	s.always(func(i int, db *registry.DB) error {
		return twice("numbered", db.InTx(s.ctx, clerk, func(tx *registry.Tx) error {
			other, err := tx.PersonByIDNumber(old(i).Person.IDNumber)
			if err != nil {
				return err
			}
			return tx.AddNumber(other.ID, registry.OtherNumber{System: "pension", Number: old(i + 1).Numbers[0].Number}, "test")
		}))
	})
	s.always(func(i int, db *registry.DB) error {
		return db.InTx(s.ctx, clerk, func(tx *registry.Tx) error {
			person, err := tx.PersonByIDNumber(old(3 * i).Person.IDNumber)
			if err != nil {
				return err
			}
			_, err = tx.CorrectPerson(person.ID, 0, "test", func(p *registry.NewPerson) { p.Address = fmt.Sprint("某镇", i) })
			return err
		})
	})
	s.always(func(i int, _ *registry.DB) error { // both instances register the same at once
		row := next()
		var done [2]error
		together(2, func(n int) {
			done[n] = s.ones[n].InTx(s.ctx, clerk, func(tx *registry.Tx) error {
				_, err := tx.AddPerson(told(row))
				return err
			})
		})
		if done[0] != nil {
			done[0], done[1] = done[1], done[0]
		}
		if done[0] != nil {
			return fmt.Errorf("register: %w", errors.Join(done[0], done[1]))
		}
		row.Numbers, row.OldCard = nil, nil // a counter tells of the person alone
		s.mu.Lock()
		s.new = append(s.new, row)
		s.mu.Unlock()
		return twice("registered at once", done[1])
	})
	s.always(func(i int, db *registry.DB) error { // a file with one who is known and one who is not
		rows := []registry.LoadRow{old(11 * i), next()}
		result, err := db.Load(s.ctx, clerk, "file", rows, nil)
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		s.mu.Lock()
		s.new = append(s.new, rows[1])
		s.mu.Unlock()
		if result.What[0] != registry.LoadedUnchanged || result.What[1] != registry.LoadedNew {
			return fmt.Errorf("loaded %v %q", result.What, result.Refusal)
		}
		return nil
	})
}

// end stops it and returns everybody who is registered.
func (s *service) end() []registry.LoadRow {
	s.stop()
	s.done.Wait()
	require.NoError(s.t, s.err)
	return append(s.rows, s.new...)
}

func serve(t *testing.T, rows []registry.LoadRow, ones ...*registry.DB) *service {
	s := &service{t: t, ones: ones, rows: rows, ctx: context.WithoutCancel(t.Context())}
	s.live, s.stop = context.WithCancel(t.Context())
	t.Cleanup(s.stop)
	return s
}
