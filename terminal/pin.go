package terminal

import (
	"context"

	"onecard/apdu"
	"onecard/card"
)

// ChangePIN lets the holder change the number (修改社保密码) of the card in the
// reader. The chip compares the old one, and counts; nothing of either number
// leaves this machine.
func (s *Station) ChangePIN(ctx context.Context, old, fresh string) error {
	return s.withChip(ctx, func(ctx context.Context, chip Chip) error {
		opened, err := s.open(ctx, chip, Job{}.opening)
		if err != nil {
			return err
		}
		return card.ChangePIN(ctx, apdu.NewChannel(chip), opened.Profile, old, fresh)
	})
}
