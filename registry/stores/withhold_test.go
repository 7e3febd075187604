package stores

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWithhold: whatever the cells are, none that is told tells of fewer than
// the least, no place's cells that are withheld are fewer than the least
// together, and all persons are counted unless the province has too few.
func TestWithhold(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	for range 2000 {
		var cells []Fact
		total := int64(0)
		for place := range 1 + random.IntN(4) {
			for first := range 1 + random.IntN(6) {
				number := random.Int64N(12)
				if number == 0 {
					continue
				}
				total += number
				cells = append(cells, Fact{Place: []string{"630102", "630103", "632723", "632801"}[place], First: fmt.Sprint(first), Number: number})
			}
		}
		told, sum := withhold(cells, Least), int64(0)
		for _, c := range told {
			require.GreaterOrEqual(t, c.Number, int64(Least), "%v of %v", c, cells)
			sum += c.Number
		}
		require.LessOrEqual(t, sum, total)
		require.Less(t, total-sum, int64(Least), "%v of %v", told, cells)
	}
}
