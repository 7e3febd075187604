package remote

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"onecard/keys"
)

// prefix begins the path of every operation; it carries the protocol's version.
const prefix = "/v1/"

// Limits of a request and an answer; the largest value is a scanned paper of
// 4 MiB, in base64.
const (
	maxBody  = 8 << 20
	maxLoads = 256
	// maxBlocks bounds the key blocks of one answer: each is about 150 bytes.
	maxBlocks = 20_000
)

// request is what is asked; it names the keys that it uses, so that they can
// be logged.
type request interface{ uses() []*keys.Key }

type cryptogramRequest struct {
	Key keys.Key `json:"key"`
	R1  []byte   `json:"r1"`
	R2  []byte   `json:"r2"`
}

type commandMACRequest struct {
	Key     keys.Key `json:"key"`
	R       []byte   `json:"r"`
	Message []byte   `json:"message"`
}

type pinBlockRequest struct {
	Key    keys.Key `json:"key"`
	R      []byte   `json:"r"`
	Header []byte   `json:"header"`
	PIN    string   `json:"pin"`
}

type cipherCommandRequest struct {
	Key    keys.Key `json:"key"`
	R      []byte   `json:"r"`
	Header []byte   `json:"header"`
	Plain  []byte   `json:"plain"`
}

type transactionMACRequest struct {
	Key     keys.Key `json:"key"`
	Factor  []byte   `json:"factor"`
	Message []byte   `json:"message"`
}

type wrapKeysRequest struct {
	Under keys.Key    `json:"under"`
	Loads []keys.Load `json:"loads"`
	IV    []byte      `json:"iv"`
}

type wrapKeysAnswer struct {
	Data [][]byte `json:"data"`
	Next []byte   `json:"next"`
}

type wrapCommandsRequest struct {
	State    []byte                `json:"state"`
	Chip     []byte                `json:"chip"`
	Commands []keys.ChannelCommand `json:"commands"`
}

type unwrapResponsesRequest struct {
	State     []byte   `json:"state"`
	Chip      []byte   `json:"chip"`
	Responses [][]byte `json:"responses"`
}

// channelAnswer is one command or many, and the channel's next state.
type channelAnswer struct {
	Data  [][]byte `json:"data"`
	State []byte   `json:"state"`
}

type openChannelRequest struct {
	Request keys.ChannelRequest `json:"request"`
}

type directMACRequest struct {
	Key     keys.Key `json:"key"`
	IV      []byte   `json:"iv"`
	Message []byte   `json:"message"`
}

type checkValueRequest struct {
	Key keys.Key `json:"key"`
}

type checkValueAnswer struct {
	KCV    []byte `json:"kcv"`
	Method string `json:"method"`
}

type sealRequest struct {
	AAD   []byte `json:"aad"`
	Plain []byte `json:"plain"`
}

type openRequest struct {
	AAD    []byte `json:"aad"`
	Sealed []byte `json:"sealed"`
}

type indexRequest struct {
	Version int    `json:"version"`
	Purpose string `json:"purpose"`
	Value   []byte `json:"value"`
}

type sealAllRequest struct {
	AAD   [][]byte `json:"aad"`
	Plain [][]byte `json:"plain"`
}

type openAllRequest struct {
	AAD    [][]byte `json:"aad"`
	Sealed [][]byte `json:"sealed"`
}

type indexAllRequest struct {
	Version  int      `json:"version"`
	Purposes []string `json:"purposes"`
	Values   [][]byte `json:"values"`
}

// wrapCardsRequest asks for the own keys of many cards; names have no factors.
type wrapCardsRequest struct {
	Under keys.Key   `json:"under"`
	Names []keys.Key `json:"names"`
	Cards [][][]byte `json:"cards"`
}

type codeAllRequest struct {
	Key      keys.Key `json:"key"`
	Messages [][]byte `json:"messages"`
}

func (q *codeAllRequest) uses() []*keys.Key { return []*keys.Key{&q.Key} }

func (q *wrapCardsRequest) uses() []*keys.Key {
	list := []*keys.Key{&q.Under}
	for i := range q.Names {
		list = append(list, &q.Names[i])
	}
	return list
}

func (q *sealAllRequest) uses() []*keys.Key { return []*keys.Key{{Name: keys.DataKey}} }
func (q *indexAllRequest) uses() []*keys.Key {
	return []*keys.Key{{Name: keys.IndexKey, Version: q.Version}}
}

func (q *openAllRequest) uses() []*keys.Key {
	var versions []int
	var list []*keys.Key
	for _, sealed := range q.Sealed {
		if version := keys.SealedVersion(sealed); !slices.Contains(versions, version) && len(versions) < maxLoads {
			versions = append(versions, version)
			list = append(list, &keys.Key{Name: keys.DataKey, Version: version})
		}
	}
	return list
}

func (q *cryptogramRequest) uses() []*keys.Key     { return []*keys.Key{&q.Key} }
func (q *commandMACRequest) uses() []*keys.Key     { return []*keys.Key{&q.Key} }
func (q *pinBlockRequest) uses() []*keys.Key       { return []*keys.Key{&q.Key} }
func (q *cipherCommandRequest) uses() []*keys.Key  { return []*keys.Key{&q.Key} }
func (q *transactionMACRequest) uses() []*keys.Key { return []*keys.Key{&q.Key} }
func (q *directMACRequest) uses() []*keys.Key      { return []*keys.Key{&q.Key} }
func (q *checkValueRequest) uses() []*keys.Key     { return []*keys.Key{&q.Key} }

func (q *wrapKeysRequest) uses() []*keys.Key {
	list := []*keys.Key{&q.Under}
	for i := range q.Loads {
		list = append(list, &q.Loads[i].Target)
	}
	return list
}

func (q *openChannelRequest) uses() []*keys.Key {
	return []*keys.Key{&q.Request.ENC, &q.Request.MAC, &q.Request.DEK}
}

func (q *wrapCommandsRequest) uses() []*keys.Key {
	var list []*keys.Key
	for _, command := range q.Commands {
		for i := range command.Loads {
			list = append(list, &command.Loads[i].Target)
		}
	}
	return list
}

// uses is empty: which keys the channel has is sealed in its state.
func (q *unwrapResponsesRequest) uses() []*keys.Key { return nil }

func (q *sealRequest) uses() []*keys.Key { return []*keys.Key{{Name: keys.DataKey}} }

func (q *openRequest) uses() []*keys.Key {
	return []*keys.Key{{Name: keys.DataKey, Version: keys.SealedVersion(q.Sealed)}}
}

func (q *indexRequest) uses() []*keys.Key {
	return []*keys.Key{{Name: keys.IndexKey, Version: q.Version}}
}

// Errors of the way to the keeper.
var (
	// ErrUnreachable: nobody answers on the socket. Later somebody may.
	ErrUnreachable = errors.New("密钥保管进程连接不上，请稍后重试 the keeper of keys cannot be reached, try again later")
	// ErrCaller: the keeper does not work for this user.
	ErrCaller = errors.New("密钥保管进程不为本用户服务 the keeper of keys does not work for this user")
	// ErrOwner: the socket is not that of the user whom the keeper runs as.
	ErrOwner = errors.New("套接字不属于密钥保管进程的用户 the socket belongs to another user than the keeper's")
	// ErrProtocol: the other end speaks another version.
	ErrProtocol = errors.New("密钥保管进程版本不符 the keeper of keys has another version")
	// ErrInternal: the keeper failed; its log says how.
	ErrInternal = errors.New("密钥保管进程内部错误，见其日志 the keeper of keys failed, see its log")
)

// codes are the errors that keep their identity across the socket.
var codes = []struct {
	code   string
	err    error
	status int
}{
	{"no-key", keys.ErrNoKey, http.StatusNotFound},
	{"retired", keys.ErrRetired, http.StatusForbidden},
	{"not-active", keys.ErrNotActive, http.StatusForbidden},
	{"wrong-usage", keys.ErrWrongUsage, http.StatusForbidden},
	{"factors", keys.ErrFactors, http.StatusUnprocessableEntity},
	{"algorithm", keys.ErrAlgorithm, http.StatusUnprocessableEntity},
	{"input", keys.ErrInput, http.StatusUnprocessableEntity},
	{"no-channel", keys.ErrNoChannel, http.StatusNotImplemented},
	{"no-delivery", keys.ErrNoDelivery, http.StatusNotImplemented},
	{"card-cryptogram", keys.ErrCardCryptogram, http.StatusUnprocessableEntity},
	{"response-mac", keys.ErrResponseMAC, http.StatusUnprocessableEntity},
	{"channel-aborted", keys.ErrChannelAborted, http.StatusConflict},
	{"sealed", keys.ErrSealed, http.StatusUnprocessableEntity},
	{"caller", ErrCaller, http.StatusForbidden},
	{"protocol", ErrProtocol, http.StatusBadRequest},
	{"cancelled", context.Canceled, http.StatusServiceUnavailable},
	{"timeout", context.DeadlineExceeded, http.StatusGatewayTimeout},
	{"internal", ErrInternal, http.StatusInternalServerError},
}

// problem is the answer in place of a result.
type problem struct {
	Codes   []string `json:"codes"`
	Message string   `json:"message"`
}

// problemOf returns what the caller is told of an error. What is none of the
// codes might say anything: it is for the keeper's log alone.
func problemOf(err error) (problem, int) {
	var p problem
	status := 0
	for _, c := range codes {
		if errors.Is(err, c.err) {
			p.Codes = append(p.Codes, c.code)
			if status == 0 {
				status = c.status
			}
		}
	}
	if status == 0 {
		return problemOf(ErrInternal)
	}
	p.Message = err.Error()
	return p, status
}

// Error is an error of the keeper in another process.
type Error struct {
	message string
	kinds   []error
}

func (e *Error) Error() string   { return e.message }
func (e *Error) Unwrap() []error { return e.kinds }

// err returns the error that the caller gets.
func (p problem) err() error {
	e := &Error{message: p.Message}
	for _, c := range codes {
		for _, code := range p.Codes {
			if code == c.code {
				e.kinds = append(e.kinds, c.err)
			}
		}
	}
	if e.kinds == nil {
		return ErrProtocol
	}
	return e
}
