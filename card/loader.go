package card

import (
	"context"

	"onecard/card/profile"
)

// loader is how blanks of one make become cards (制卡方式): from the answers to the
// last script it makes the next one, until keys and data stand, were read back
// and compared, and the blank is a card.
type loader interface {
	next(ctx context.Context, o *Personalise, keeper Keeper, in Input) (*Script, error)
}

// loader returns that of the chip's make. A chip that is a card already is read
// back in the same way, whatever its make.
func (o *Personalise) loader() loader {
	m, known := profile.MakerOf(o.profile.Makers, o.Identity.ATR)
	if known && m.Platform() && (o.Identity.Blank() || o.Domain != nil) {
		return platform{m}
	}
	return chained{}
}

// chained loads keys in a chain of MACs under the maker's transport key, and
// goes on with the card's own: the laboratory's blanks.
type chained struct{}

func (chained) next(ctx context.Context, o *Personalise, keeper Keeper, in Input) (*Script, error) {
	last := lastData(in.Responses)
	switch o.Phase {
	case phaseStart:
		return o.start(ctx, keeper)
	case phaseKeys:
		if o.NextKey < len(keyOrder(o.profile)) {
			return o.loadKeys(ctx, keeper, last)
		}
		o.takeKeys()
		return o.write(ctx, keeper, last)
	case phaseChallenge:
		if o.Identity.Blank() {
			return o.write(ctx, keeper, last)
		}
		return o.readBack(ctx, keeper, last)
	case phaseWrite:
		return o.readBack(ctx, keeper, last)
	case phaseReadBack:
		return o.compare(ctx, keeper, in.Responses)
	case phaseFinish:
		return nil, o.finished(in.Responses)
	}
	return nil, nil
}
