//go:build !race

package card_test

import "testing"

func exhaustive(*testing.T) {}
