package bank_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance/bank"
	"onecard/registry"
)

// TestDue: an approved application gets its account and is charged without
// anybody's command where a bank serves the place, once; a card of a batch gets
// its account with the batch, and what the bank has refused is left to people.
func TestDue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.peer.Serves = []string{"632700"}
		w.Service = w.serve(t, bank.Config{Peers: []bank.Peer{w.peer}})
		first, _ := w.application(t, "卓玛")
		lost, person := w.application(t, "才让")
		faulty, owner := w.application(t, "索南")
		batched, _ := w.application(t, "扎西")
		elsewhere, _ := w.application(t, "多杰")
		waits, _ := w.application(t, "仁青")
		earlier := func(person uuid.UUID) uuid.UUID { return w.card(t, person, uuid.New(), "9") }
		for id, changes := range map[uuid.UUID]map[string]any{
			lost: {"kind": "replacement", "ground": "lost", "previous_id": earlier(person)}, faulty: {"kind": "exchange", "ground": "quality", "previous_id": earlier(owner)},
			batched: {"method": "batch"}, elsewhere: {"place": "630102"}, waits: {"kind": "temporary"},
		} {
			w.change(t, func(tx *registry.Tx) error {
				return tx.DB().Table("applications").Where("id = ?", id).Updates(changes).Error
			})
		}
		n, err := w.Due(t.Context())
		require.NoError(t, err)
		require.Equal(t, 4, n, "three accounts and a fee")
		n, err = w.Due(t.Context())
		require.NoError(t, err)
		require.Zero(t, n, "once")
		w.settle(t)
		require.Equal(t, 3, w.count(t, "bank_accounts", "application_id IN ?", []uuid.UUID{first, lost, faulty}))
		require.Equal(t, 3, w.count(t, "bank_accounts", "1 = 1"))
		require.Equal(t, 1, w.count(t, "bank_fees", "application_id = ? AND state = 'paid' AND item = 'replacement'", lost))
		require.Equal(t, 1, w.count(t, "bank_fees", "1 = 1"))
		w.agrees(t)

		// Another replacement within the month waits for its end.
		last := w.card(t, person, lost, "1")
		next := w.beside(t, person)
		w.change(t, func(tx *registry.Tx) error {
			return tx.DB().Table("applications").Where("id = ?", next).Updates(map[string]any{"kind": "replacement", "ground": "lost", "previous_id": last, "state": "numbered", "reviewed_by": "b", "card_number": fmt.Sprintf("%09d", born.Add(1))}).Error
		})
		n, err = w.Due(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n, "the account, and no fee")
		w.settle(t)
		w.agrees(t)
	})
}

// TestServes: a place is served by the nearest bank, and by one.
func TestServes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		other := w.peer
		other.Code, other.Serves, w.peer.Serves = "95599", []string{"632723"}, []string{"630000"}
		w.Service = w.serve(t, bank.Config{Peers: []bank.Peer{w.peer, other}})
		w.application(t, "卓玛")
		n, err := w.Due(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, 1, w.count(t, "bank_orders", "bank = '95599'"))
		for _, serves := range [][]string{{"6327"}, {"632723"}} {
			bad := w.peer
			bad.Serves = serves
			_, err := bank.New(bank.Config{DB: w.db, Peers: []bank.Peer{other, bad}, Province: "630000", Logger: slog.New(slog.DiscardHandler)})
			require.ErrorIs(t, err, registry.ErrInvalid)
		}
	})
}
