package registry

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParsePasswordHash: whatever is in the column, parsing neither panics nor
// accepts a cost that exhausts the server nor a text that is not the one form
// of its content.
func FuzzParsePasswordHash(f *testing.F) {
	for _, seed := range []string{
		"$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
		"$argon2i$v=19$m=64,t=1,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw",
		"$argon2id$v=16$m=64,t=1,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw",
		"$argon2id$v=19$m=64,t=1,p=0$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw",
		"$argon2id$v=19$m=064,t=1,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw",
		"$argon2id$v=19$m=64,t=1,p=256$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw",
		"$argon2id$v=19$m=64,t=1,p=1,x=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw",
		"$argon2id$v=19$m=64,t=1,p=1$$", "", "$$$$$",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parsePasswordHash(text)
		if err != nil {
			require.ErrorIs(t, err, errPasswordHash)
			return
		}
		require.Equal(t, text, parsed.String())
		require.True(t, parsed.cost.bearable())
	})
}

func TestParsePasswordHash(t *testing.T) {
	t.Parallel()
	parsed, err := parsePasswordHash("$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
	require.NoError(t, err)
	require.Equal(t, PasswordCost{MemoryKiB: 19456, Passes: 2, Lanes: 1}, parsed.cost)
	require.Len(t, parsed.salt, 16)
	require.Len(t, parsed.hash, 32)
}
