package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"onecard/keys"
)

// Keeper is the keeper in another process. It is safe for concurrent use and
// holds no key.
type Keeper struct {
	socket string
	owner  uint32
	http   http.Client
}

// maxConnections bounds the connections to the keeper.
const maxConnections = 32

// New returns the keeper on that socket, which must be owner's. It does not
// connect: a keeper that is not there yet may come.
func New(socket string, owner uint32) *Keeper {
	k := &Keeper{socket: socket, owner: owner}
	k.http.Transport = &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return k.dial(ctx) },
		MaxConnsPerHost: maxConnections, MaxIdleConnsPerHost: maxConnections, IdleConnTimeout: idleLimit / 2, DisableCompression: true,
	}
	return k
}

// dial connects, to nobody but the owner.
func (k *Keeper) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", k.socket)
	if err != nil {
		return nil, err
	}
	at, err := peerAt(conn)
	if err == nil && at.UID != k.owner {
		err = fmt.Errorf("uid %d: %w", at.UID, ErrOwner)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Close ends the connections that are idle.
func (k *Keeper) Close() { k.http.CloseIdleConnections() }

// unreachable says which socket nobody answers on.
type unreachable struct {
	socket string
	cause  error
}

func (e *unreachable) Error() string {
	return fmt.Sprintf("%v: %s: %v", ErrUnreachable, e.socket, e.cause)
}
func (e *unreachable) Unwrap() []error { return []error{ErrUnreachable, e.cause} }

// Unreachable tells those who do not know this package that a part of the
// province is away for now.
func (e *unreachable) Unreachable() bool { return true }

// ask does one operation.
func ask[A any](ctx context.Context, k *Keeper, operation string, q request) (answer A, err error) {
	if err := ctx.Err(); err != nil {
		return answer, err
	}
	body, err := json.Marshal(q)
	if err != nil {
		return answer, fmt.Errorf("keeper: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(limited, http.MethodPost, "http://keeper"+prefix+operation, bytes.NewReader(body))
	if err != nil {
		return answer, fmt.Errorf("keeper: %w", err)
	}
	// Asked again on a connection that the keeper closed: not sent, but known.
	r.Header["Idempotency-Key"] = []string{}
	response, err := k.http.Do(r)
	if err != nil {
		return answer, k.broken(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 2*maxBody))
	defer clear(text)
	if err != nil {
		return answer, k.broken(ctx, err)
	}
	if response.StatusCode != http.StatusOK {
		var p problem
		if err := json.Unmarshal(text, &p); err != nil {
			return answer, ErrProtocol
		}
		return answer, p.err()
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, ErrProtocol
	}
	return answer, nil
}

// broken says why there is no answer: the caller has gone, the socket is a
// stranger's, or nobody is there.
func (k *Keeper) broken(ctx context.Context, err error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if errors.Is(err, ErrOwner) {
		return fmt.Errorf("%s: %w", k.socket, err)
	}
	return &unreachable{k.socket, err}
}

// Cryptogram implements keys.Chip.
func (k *Keeper) Cryptogram(ctx context.Context, key keys.Key, r1, r2 []byte) ([]byte, error) {
	return ask[[]byte](ctx, k, "cryptogram", &cryptogramRequest{key, r1, r2})
}

// CommandMAC implements keys.Chip.
func (k *Keeper) CommandMAC(ctx context.Context, key keys.Key, r, message []byte) ([]byte, error) {
	return ask[[]byte](ctx, k, "command-mac", &commandMACRequest{key, r, message})
}

// PINBlock implements keys.Chip.
func (k *Keeper) PINBlock(ctx context.Context, key keys.Key, r, header []byte, pin string) ([]byte, error) {
	return ask[[]byte](ctx, k, "pin-block", &pinBlockRequest{key, r, header, pin})
}

// TransactionMAC implements keys.Service.
func (k *Keeper) TransactionMAC(ctx context.Context, key keys.Key, factor, message []byte) ([]byte, error) {
	return ask[[]byte](ctx, k, "transaction-mac", &transactionMACRequest{key, factor, message})
}

// CipherCommand implements keys.Service.
func (k *Keeper) CipherCommand(ctx context.Context, key keys.Key, r, header, plain []byte) ([]byte, error) {
	return ask[[]byte](ctx, k, "cipher-command", &cipherCommandRequest{key, r, header, plain})
}

// WrapKey implements keys.Chip.
func (k *Keeper) WrapKey(ctx context.Context, under, target keys.Key, attributes [3]byte, header, iv []byte) (data, next []byte, err error) {
	all, next, err := k.WrapKeys(ctx, under, []keys.Load{{Target: target, Attributes: attributes, Header: header}}, iv)
	if err != nil {
		return nil, nil, err
	}
	return all[0], next, nil
}

// WrapKeys wraps the keys of one chain of key loads, in one call to the keeper.
func (k *Keeper) WrapKeys(ctx context.Context, under keys.Key, loads []keys.Load, iv []byte) (data [][]byte, next []byte, err error) {
	answer, err := ask[wrapKeysAnswer](ctx, k, "wrap-keys", &wrapKeysRequest{under, loads, iv})
	if err != nil {
		return nil, nil, err
	}
	if len(answer.Data) != len(loads) {
		return nil, nil, ErrProtocol
	}
	return answer.Data, answer.Next, nil
}

// OpenChannel implements keys.Channels.
func (k *Keeper) OpenChannel(ctx context.Context, request keys.ChannelRequest) (command, state []byte, err error) {
	data, state, err := k.channel(ctx, "open-channel", 1, &openChannelRequest{request})
	if err != nil {
		return nil, nil, err
	}
	return data[0], state, nil
}

// WrapCommands implements keys.Channels.
func (k *Keeper) WrapCommands(ctx context.Context, state, chip []byte, commands []keys.ChannelCommand) (wrapped [][]byte, next []byte, err error) {
	return k.channel(ctx, "wrap-commands", len(commands), &wrapCommandsRequest{state, chip, commands})
}

// UnwrapResponses implements keys.Channels.
func (k *Keeper) UnwrapResponses(ctx context.Context, state, chip []byte, responses [][]byte) (plain [][]byte, next []byte, err error) {
	return k.channel(ctx, "unwrap-responses", len(responses), &unwrapResponsesRequest{state, chip, responses})
}

// channel asks for so many pieces of data and the channel's next state.
func (k *Keeper) channel(ctx context.Context, operation string, pieces int, q request) (data [][]byte, state []byte, err error) {
	answer, err := ask[channelAnswer](ctx, k, operation, q)
	if err != nil {
		return nil, nil, err
	}
	if len(answer.Data) != pieces {
		return nil, nil, ErrProtocol
	}
	return answer.Data, answer.State, nil
}

// DirectMAC implements keys.Chip.
func (k *Keeper) DirectMAC(ctx context.Context, key keys.Key, iv, message []byte) ([]byte, error) {
	return ask[[]byte](ctx, k, "direct-mac", &directMACRequest{key, iv, message})
}

// CheckValue implements keys.Service.
func (k *Keeper) CheckValue(ctx context.Context, key keys.Key) (kcv []byte, method string, err error) {
	answer, err := ask[checkValueAnswer](ctx, k, "check-value", &checkValueRequest{key})
	return answer.KCV, answer.Method, err
}

// Seal implements keys.Vault.
func (k *Keeper) Seal(ctx context.Context, aad, plain []byte) ([]byte, error) {
	return ask[[]byte](ctx, k, "seal", &sealRequest{aad, plain})
}

// Open implements keys.Vault.
func (k *Keeper) Open(ctx context.Context, aad, sealed []byte) ([]byte, error) {
	return ask[[]byte](ctx, k, "open", &openRequest{aad, sealed})
}

// Index implements keys.Vault.
func (k *Keeper) Index(ctx context.Context, version int, purpose string, value []byte) ([]byte, error) {
	return ask[[]byte](ctx, k, "index", &indexRequest{version, purpose, value})
}

// String says where the keeper is.
func (k *Keeper) String() string { return "keeper at " + k.socket }

// Format writes where the keeper is, whatever the verb: what passes through the
// connections is nobody's to print.
func (k *Keeper) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }
