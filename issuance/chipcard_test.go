package issuance_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/registry"
)

// TestCardOfChip finds a card by its identification, as it stands, and nothing
// under another one.
func TestCardOfChip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		t.Parallel()
		made, _ := w.activated(t)
		w.change(t, func(tx *registry.Tx) error {
			found, version, err := w.CardOfChip(tx, made.ChipID)
			require.NoError(t, err)
			require.Equal(t, made.ID, found.ID)
			require.Equal(t, "1", found.Status)
			require.Equal(t, 1, version)
			_, _, err = w.CardOfChip(tx, "639900D15600000500000000FFFFFFFF")
			require.ErrorIs(t, err, registry.ErrNotFound)
			return tx.Audit("test", "test", nil)
		})
	})
}
