package pkcs11

import (
	"testing"

	p11 "github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"
)

// Past lends a test a session of the keeper, to ask the token past it.
func Past(t *testing.T, k *Keeper, ask func(*p11.Ctx, p11.SessionHandle)) {
	t.Helper()
	require.NoError(t, k.session(t.Context(), func(session p11.SessionHandle) error {
		ask(k.api, session)
		return nil
	}))
}

// CloseSessions ends the sessions under the keeper, as a token does that is
// taken out.
func CloseSessions(t *testing.T, k *Keeper) {
	t.Helper()
	require.NoError(t, k.api.CloseAllSessions(k.slot))
}
