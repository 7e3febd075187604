package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// peer is the process at the other end of a socket.
type peer struct {
	UID uint32
	PID int32
}

// LogValue shows who it is.
func (p peer) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("uid", uint64(p.UID)), slog.Int64("pid", int64(p.PID)))
}

// peerAt asks the kernel who is at the other end.
func peerAt(conn net.Conn) (peer, error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return peer{}, errors.New("not a Unix socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return peer{}, fmt.Errorf("socket: %w", err)
	}
	var credentials *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		credentials, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, asked); err != nil {
		return peer{}, fmt.Errorf("SO_PEERCRED: %w", err)
	}
	return peer{credentials.Uid, credentials.Pid}, nil
}

// peerKey is where a connection's context holds the peer.
type peerKey struct{}

func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if p, err := peerAt(conn); err == nil {
		return context.WithValue(ctx, peerKey{}, p)
	}
	return ctx
}

func peerOf(ctx context.Context) (peer, bool) {
	p, known := ctx.Value(peerKey{}).(peer)
	return p, known
}

// ErrRunning: another keeper serves the socket.
var ErrRunning = errors.New("该套接字上已有密钥保管进程 another keeper serves this socket")

// listener is a socket with the lock that keeps others from taking it over.
type listener struct {
	*net.UnixListener
	lock *os.File
}

// Close ends listening and removes the socket.
func (l *listener) Close() error { return errors.Join(l.UnixListener.Close(), l.lock.Close()) }

// Listen makes the socket with those permissions for that group (-1 leaves the
// process's own). A socket that a keeper left when it was killed is replaced;
// one that is being served is ErrRunning.
func Listen(path string, mode fs.FileMode, group int) (net.Listener, error) {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keeper: %w", err)
	}
	socket, err := take(path, mode, group, lock)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keeper: %s: %w", path, err), lock.Close())
	}
	return &listener{socket, lock}, nil
}

// take locks and makes the socket.
func take(path string, mode fs.FileMode, group int, lock *os.File) (*net.UnixListener, error) {
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, ErrRunning
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chown(path, -1, group), os.Chmod(path, mode)); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return socket, nil
}
