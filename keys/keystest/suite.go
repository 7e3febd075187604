package keystest

import (
	"testing"

	"onecard/keys"
)

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	t.Run("SM4", func(t *testing.T) { RunSM4(t, open) })
	t.Run("3DES", func(t *testing.T) { RunTripleDES(t, open) })
	t.Run("vault", func(t *testing.T) { RunVault(t, open) })
}

// RunSM4 runs what concerns cards of specification 3.00.
func RunSM4(t *testing.T, open Open) {
	keeper := open(t, sm4Fixtures())
	t.Run("cryptogram", func(t *testing.T) { testSM4Cryptogram(t, keeper) })
	t.Run("diversification", func(t *testing.T) { testDiversification(t, keeper, keys.SM4, testKeySM4Card) })
	t.Run("PIN", func(t *testing.T) { testSM4PIN(t, keeper) })
	t.Run("key loading", func(t *testing.T) { testWrapKey(t, keeper) })
	t.Run("MAC", func(t *testing.T) { testDirectMAC(t, keeper) })
	t.Run("one purpose", func(t *testing.T) { testUsages(t, keeper) })
	t.Run("names and factors", func(t *testing.T) { testNames(t, keeper) })
	t.Run("lengths", func(t *testing.T) { testLengths(t, keeper) })
	t.Run("cancelled", func(t *testing.T) { testCancelled(t, keeper) })
	t.Run("concurrent", func(t *testing.T) { testConcurrent(t, keeper) })
}

// RunTripleDES runs what concerns cards of specifications 1.0 and 2.0.
func RunTripleDES(t *testing.T, open Open) {
	keeper := open(t, desFixtures())
	t.Run("cryptogram", func(t *testing.T) { testDESCryptogram(t, keeper) })
	t.Run("diversification", func(t *testing.T) { testDiversification(t, keeper, keys.TripleDES, testKeyDESCard) })
	t.Run("PIN", func(t *testing.T) { testDESPIN(t, keeper) })
	t.Run("key loading", func(t *testing.T) { testDESWrapKey(t, keeper) })
	t.Run("MAC", func(t *testing.T) { testDESDirectMAC(t, keeper) })
}
