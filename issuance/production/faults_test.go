package production_test

import "onecard/internal/sim/maker"

// maker12 spoils one card in twelve.
var maker12 = maker.Faults{SpoilOneIn: 12, Seed: 7}
