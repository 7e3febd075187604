package pcsc

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/ebfe/scard"
)

// The service's socket: where the library finds it, and the variable that says
// otherwise (pcsc-lite, pcscd(8)).
const (
	socketVariable = "PCSCLITE_CSOCK_NAME"
	socketDefault  = "/run/pcscd/pcscd.comm"
)

// establish opens a context with the service. The library says of a socket that
// this user may not open that there is no service; here the two are told apart.
func establish() (*scard.Context, error) {
	service, err := scard.EstablishContext()
	if err == nil {
		return service, nil
	}
	err = translate("reach the service", err)
	if errors.Is(err, ErrNoService) && forbidden() {
		return nil, fmt.Errorf("reach the service: %w", ErrNoPermission)
	}
	return nil, err
}

func forbidden() bool {
	path := os.Getenv(socketVariable)
	if path == "" {
		path = socketDefault
	}
	connection, err := net.Dial("unix", path)
	if err == nil {
		_ = connection.Close()
	}
	return errors.Is(err, fs.ErrPermission)
}
