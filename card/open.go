package card

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"onecard/apdu"
	"onecard/card/profile"
)

// Opened is a card after its opening script.
type Opened struct {
	Profile   *profile.Profile
	Identity  *Identity
	Responses []apdu.Response
}

// Open recognises the card in a reader and runs the opening script of its
// version: by its answer to reset first, then by its version element, since
// makers use one answer to reset for several versions. opening makes the script
// for a profile: that of Opening or of OpeningFor. Of a card whose version no
// profile knows, ErrUnknownVersion comes with what could be learned of it.
func Open(ctx context.Context, channel *apdu.Channel, profiles []*profile.Profile, atr []byte, opening func(*profile.Profile) (*Script, error)) (Opened, error) {
	candidates, err := profile.Candidates(profiles, atr)
	if err != nil {
		return Opened{}, ErrUnknownATR
	}
	// All opening scripts begin alike, up to the version element: the rest is
	// run when the version is known.
	p := candidates[0]
	responses, err := Run(ctx, channel, &Script{Steps: Opening(p, factorLength).Steps[:beginning(p)]}, nil)
	if err != nil {
		return Opened{}, err
	}
	chosen, unknown := Choose(profiles, atr, responses)
	switch {
	case unknown == nil:
		p = chosen
	case !errors.Is(unknown, ErrUnknownVersion):
		return Opened{}, unknown
	}
	script, err := opening(p)
	if err != nil {
		return Opened{}, err
	}
	rest, err := Run(ctx, channel, &Script{Steps: script.Steps[len(responses):]}, nil)
	if err != nil {
		return Opened{}, err
	}
	responses = append(responses, rest...)
	id, err := Identify(p, atr, responses)
	return Opened{p, id, responses}, cmp.Or(unknown, err)
}

// beginning is the number of steps of an opening script up to the version
// element. That all profiles share them is held by a test.
func beginning(p *profile.Profile) int {
	file, ok := p.File(issuerFile)
	if !ok {
		return 1
	}
	e, ok := file.Element("specVersion")
	if !ok {
		return 1
	}
	return 1 + e.Record
}

// Choose finds the profile of a card by its answer to reset and by the version
// and the area that it told any of the opening scripts. A card whose
// application is blocked tells neither: the likeliest profile is chosen.
func Choose(profiles []*profile.Profile, atr []byte, responses []apdu.Response) (*profile.Profile, error) {
	candidates, err := profile.Candidates(profiles, atr)
	if err != nil {
		return nil, ErrUnknownATR
	}
	if err := identifySelect(responses); err != nil {
		return nil, err
	}
	version, area := told(candidates[0], responses)
	if version == "" {
		return candidates[0], nil
	}
	p, err := profile.Of(candidates, version, area)
	if err != nil {
		return nil, fmt.Errorf("specification version %q: %w", version, ErrUnknownVersion)
	}
	return p, nil
}

// told takes version and area from the answers to an opening script. The
// issuer's first elements stand in one order in all versions.
func told(p *profile.Profile, responses []apdu.Response) (version, area string) {
	file, ok := p.File(issuerFile)
	if !ok {
		return "", ""
	}
	id := &Identity{}
	for i := range file.Elements {
		e := &file.Elements[i]
		if i+1 >= len(responses) || file.ReadRule(e) != profile.Free {
			break
		}
		value, err := elementValue(e, responses[i+1].Data)
		if err != nil {
			continue
		}
		switch e.Name {
		case "cardID":
			id.CardID = value
		case "specVersion":
			version, _ = DecodeValue(p, e, value)
		}
	}
	return version, id.Area()
}
