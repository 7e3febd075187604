package issuance_test

import (
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/pki"
	"onecard/internal/signed"
	"onecard/issuance"
)

// authority signs for the province of these tests.
type authority struct{ *pki.Authority }

// Sign implements issuance.Signer.
func (a authority) Sign(payload any) (string, error) {
	with, err := a.Orders()
	if err != nil {
		return "", err
	}
	return signed.Sign(payload, with)
}

// TestReceipt: a card that was made has a signed receipt of what was read back,
// which tells nobody what that was.
func TestReceipt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.activated(t)
		token, err := w.Receipt(t.Context(), c.ID)
		require.NoError(t, err)
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM(province.signer.CA()))
		payload, err := signed.Open(token, roots, func([]byte) (time.Time, error) { return w.clock.Now(), nil })
		require.NoError(t, err)
		var r issuance.Receipt
		require.NoError(t, json.Unmarshal(payload, &r))
		require.Equal(t, []any{c.ID, c.ChipID, c.SpecVersion, true}, []any{r.Card, r.ChipID, r.SpecVersion, r.Genuine})
		require.NotEmpty(t, r.Operator)
		require.NotEmpty(t, r.Workstation)

		read, _, err := w.clerk().work(t, socket, "read", c.ID, "")
		require.NoError(t, err)
		different, err := w.Attests(t.Context(), r, read.Fields)
		require.NoError(t, err)
		require.Empty(t, different, "the card holds what was certified")
		for i, field := range read.Fields {
			if field.Name == "name" || field.Name == "idNumber" {
				require.NotContains(t, string(payload), `"`+field.Value+`"`)
			}
			read.Fields[i].Value += "0"
		}
		different, err = w.Attests(t.Context(), r, read.Fields)
		require.NoError(t, err)
		require.Len(t, different, len(read.Fields))
	})
}
