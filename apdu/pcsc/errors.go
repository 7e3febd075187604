package pcsc

import (
	"errors"
	"fmt"

	"github.com/ebfe/scard"
)

// The ways in which PC/SC fails, for errors.Is.
var (
	// ErrNoService: the PC/SC service (pcscd) does not run, or went away.
	ErrNoService = errors.New("the PC/SC service does not answer")
	// ErrNoPermission: this user may not use the service.
	ErrNoPermission = errors.New("no permission to use the PC/SC service")
	// ErrNoReader: the reader is not there, or was unplugged.
	ErrNoReader = errors.New("the reader is not there")
	// ErrNoCard: there is no card in the reader.
	ErrNoCard = errors.New("no card in the reader")
	// ErrRemoved: the card was taken out of the reader during the work.
	ErrRemoved = errors.New("the card was taken out")
	// ErrReset: another program reset the card.
	ErrReset = errors.New("another program reset the card")
	// ErrShared: another program holds the card.
	ErrShared = errors.New("another program holds the card")
	// ErrMute: the card does not answer, or in no way that the reader knows.
	ErrMute = errors.New("the card does not answer")
	// ErrClosed: the connection was closed or given up.
	ErrClosed = errors.New("the connection to the card is closed")
)

// kinds sorts the library's error numbers.
var kinds = map[scard.Error]error{
	scard.ErrNoService:          ErrNoService,
	scard.ErrServiceStopped:     ErrNoService,
	scard.ErrShutdown:           ErrNoService,
	scard.ErrInternalError:      ErrNoService,
	scard.ErrInvalidHandle:      ErrNoService, // of a service that was started anew
	scard.ErrCommError:          ErrNoService,
	scard.ErrSecurityViolation:  ErrNoPermission,
	scard.ErrNoAccess:           ErrNoPermission,
	scard.ErrNoReadersAvailable: ErrNoReader,
	scard.ErrUnknownReader:      ErrNoReader,
	scard.ErrReaderUnavailable:  ErrNoReader,
	scard.ErrNoSmartcard:        ErrNoCard,
	scard.ErrRemovedCard:        ErrRemoved,
	scard.ErrResetCard:          ErrReset,
	scard.ErrSharingViolation:   ErrShared,
	scard.ErrUnresponsiveCard:   ErrMute,
	scard.ErrUnpoweredCard:      ErrMute,
	scard.ErrUnsupportedCard:    ErrMute,
	scard.ErrProtoMismatch:      ErrMute,
	scard.ErrNotTransacted:      ErrMute, // the reader got no answer
}

// translate gives an error of the library its kind.
func translate(doing string, err error) error {
	if err == nil {
		return nil
	}
	var number scard.Error
	if errors.As(err, &number) {
		if kind, known := kinds[number]; known {
			return fmt.Errorf("%s: %w (PC/SC %08X)", doing, kind, uint32(number))
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// lost is translate for a call on what was opened already. The library answers
// "security violation" there when the service goes away in the middle.
func lost(doing string, err error) error {
	if errors.Is(err, scard.ErrSecurityViolation) {
		return fmt.Errorf("%s: %w", doing, ErrNoService)
	}
	return translate(doing, err)
}
