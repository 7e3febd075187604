package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"onecard/internal/gb"
	"onecard/issuance/bank"
	"onecard/issuance/notice"
	"onecard/issuance/tell"
)

// tellPause is how long the platform waits before it looks again for what peers
// must know.
const tellPause = time.Second

// messages is where notices to holders wait for a short-message service.
func (p *platform) messages() notice.Files {
	return notice.Files{Dir: filepath.Join(p.config.Data, "sms"), To: p.authority.Exchange}
}

// carrier tells the peers that this platform reaches.
func (p *platform) carrier(banks *bank.Service) (*tell.Carrier, error) {
	texts, err := notice.Built()
	if err != nil {
		return nil, err
	}
	deliverers := map[string]tell.Deliverer{tell.Holder: &notice.Sender{DB: p.db, Texts: texts, Gateway: p.messages()}}
	if len(p.config.Bank) > 0 { // otherwise what is for banks waits
		deliverers[tell.Bank] = banks
	}
	switch telling, err := p.ministry(); {
	case err == nil:
		deliverers[tell.Ministry] = telling
	case !errors.Is(err, errNoMinistry):
		return nil, err
	}
	return &tell.Carrier{DB: p.db, Place: province, Logger: p.logger, Deliverers: deliverers}, nil
}

type noticesCommand struct{ settings }

// Run prints the messages that wait for the short-message service.
func (c *noticesCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		waiting, err := p.messages().Waiting()
		if err != nil {
			return err
		}
		for _, m := range waiting {
			if _, err := fmt.Fprintf(out.Out, "%s\t%s\t%s\n", m.At.In(gb.Beijing).Format(time.DateTime), m.Phone, m.Text); err != nil {
				return err
			}
		}
		return nil
	})
}
