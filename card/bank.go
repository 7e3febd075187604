package card

import (
	"context"
	"errors"
	"strings"

	"onecard/apdu"
	"onecard/card/profile"
)

// BankNumber reads the number of the bank account from the financial
// application on the same chip (金融应用的银行卡号): selecting it by the profile's
// identifiers and looking for tag 5A, or the beginning of the track 2 data.
// Afterwards the social security environment must be selected again. The number
// is the bank's: it is shown masked and kept nowhere by the counter.
func BankNumber(ctx context.Context, channel *apdu.Channel, p *profile.Profile) (string, error) {
	if p.Finance == nil {
		return "", ErrNoFinance
	}
	if err := selectFinance(ctx, channel, p.Finance); err != nil {
		return "", err
	}
	for _, at := range p.Finance.Records {
		r, err := send(ctx, channel, apdu.Command{INS: insReadRecord, P1: byte(at[1]), P2: byte(at[0])<<3 | 4, Ne: apdu.MaxShortNe})
		if err != nil {
			return "", err
		}
		if r.SW != apdu.OK {
			continue
		}
		if number, ok := accountNumber(p.Finance, r.Data); ok {
			return number, nil
		}
	}
	return "", ErrNoFinance
}

func selectFinance(ctx context.Context, channel *apdu.Channel, f *profile.Finance) error {
	for _, aid := range f.AIDs {
		r, err := send(ctx, channel, apdu.Command{INS: insSelect, P1: 0x04, Data: aid, Ne: apdu.MaxShortNe})
		if err != nil {
			return err
		}
		if r.SW == apdu.OK {
			return nil
		}
		if err := r.Err(); !errors.Is(err, apdu.ErrNotFound) && r.SW != 0x6283 {
			return &StepError{Label: "选择金融应用", err: err}
		}
	}
	return ErrNoFinance
}

// accountNumber finds the number in a record of the bank's.
func accountNumber(f *profile.Finance, record []byte) (string, bool) {
	objects, err := apdu.ParseTLV(record)
	if err != nil {
		return "", false
	}
	if len(objects) == 1 && len(objects[0].Children) > 0 {
		objects = objects[0].Children
	}
	number := ""
	if track2, ok := apdu.FindTLV(objects, uint32(f.Track2)); ok {
		number, _, _ = strings.Cut(upperHex(track2.Value), "D")
	}
	if account, ok := apdu.FindTLV(objects, uint32(f.Tag)); ok {
		number = strings.TrimRight(upperHex(account.Value), "F")
	}
	sound := len(number) >= 12 && len(number) <= 19 && strings.Trim(number, "0123456789") == ""
	return number, sound
}
