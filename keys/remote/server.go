package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"onecard/keys"
)

// Server serves a keeper to other processes.
type Server struct {
	Backend keys.Backend
	// Callers are the users who may ask.
	Callers []uint32
	Logger  *slog.Logger
}

// Limits of a connection.
const (
	headLimit  = 5 * time.Second
	callLimit  = 30 * time.Second
	idleLimit  = 2 * time.Minute
	drainLimit = 10 * time.Second
)

// Serve answers until ctx ends; then it finishes the requests under way.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s.handler(), ConnContext: withPeer, MaxHeaderBytes: 4096,
		ReadHeaderTimeout: headLimit, ReadTimeout: callLimit, WriteTimeout: callLimit, IdleTimeout: idleLimit,
		ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelWarn),
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
		defer cancel()
		drained <- server.Shutdown(limited)
	})
	err := server.Serve(listener)
	if stop() { // ctx has not ended
		return fmt.Errorf("keeper: %w", err)
	}
	if err := <-drained; err != nil {
		return errors.Join(fmt.Errorf("keeper: stop: %w", err), server.Close())
	}
	return nil
}

// handler routes the operations.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	on(s, mux, "cryptogram", func(ctx context.Context, q *cryptogramRequest) ([]byte, error) {
		return s.Backend.Cryptogram(ctx, q.Key, q.R1, q.R2)
	})
	on(s, mux, "command-mac", func(ctx context.Context, q *commandMACRequest) ([]byte, error) {
		return s.Backend.CommandMAC(ctx, q.Key, q.R, q.Message)
	})
	on(s, mux, "pin-block", func(ctx context.Context, q *pinBlockRequest) ([]byte, error) {
		return s.Backend.PINBlock(ctx, q.Key, q.R, q.Header, q.PIN)
	})
	on(s, mux, "cipher-command", func(ctx context.Context, q *cipherCommandRequest) ([]byte, error) {
		return s.Backend.CipherCommand(ctx, q.Key, q.R, q.Header, q.Plain)
	})
	on(s, mux, "transaction-mac", func(ctx context.Context, q *transactionMACRequest) ([]byte, error) {
		return s.Backend.TransactionMAC(ctx, q.Key, q.Factor, q.Message)
	})
	on(s, mux, "wrap-keys", func(ctx context.Context, q *wrapKeysRequest) (wrapKeysAnswer, error) {
		if len(q.Loads) == 0 || len(q.Loads) > maxLoads {
			return wrapKeysAnswer{}, keys.InputError("loads", fmt.Sprintf("1–%d", maxLoads))
		}
		data, next, err := keys.WrapChain(ctx, s.Backend, q.Under, q.Loads, q.IV)
		return wrapKeysAnswer{data, next}, err
	})
	s.channels(mux)
	on(s, mux, "direct-mac", func(ctx context.Context, q *directMACRequest) ([]byte, error) {
		return s.Backend.DirectMAC(ctx, q.Key, q.IV, q.Message)
	})
	on(s, mux, "check-value", func(ctx context.Context, q *checkValueRequest) (checkValueAnswer, error) {
		kcv, method, err := s.Backend.CheckValue(ctx, q.Key)
		return checkValueAnswer{kcv, method}, err
	})
	on(s, mux, "seal", func(ctx context.Context, q *sealRequest) ([]byte, error) {
		return s.Backend.Seal(ctx, q.AAD, q.Plain)
	})
	on(s, mux, "open", func(ctx context.Context, q *openRequest) ([]byte, error) {
		return s.Backend.Open(ctx, q.AAD, q.Sealed)
	})
	on(s, mux, "index", func(ctx context.Context, q *indexRequest) ([]byte, error) {
		return s.Backend.Index(ctx, q.Version, q.Purpose, q.Value)
	})
	s.bulk(mux)
	s.deliveries(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.answer(r.Context(), w, nil, ErrProtocol)
	})
	return s.guard(mux)
}

// bulk routes the operations on many values.
func (s *Server) bulk(mux *http.ServeMux) {
	bulk := keys.InBulk(s.Backend)
	on(s, mux, "seal-all", func(ctx context.Context, q *sealAllRequest) ([][]byte, error) {
		return bulk.SealAll(ctx, q.AAD, q.Plain)
	})
	on(s, mux, "open-all", func(ctx context.Context, q *openAllRequest) ([][]byte, error) {
		return bulk.OpenAll(ctx, q.AAD, q.Sealed)
	})
	on(s, mux, "index-all", func(ctx context.Context, q *indexAllRequest) ([][]byte, error) {
		return bulk.IndexAll(ctx, q.Version, q.Purposes, q.Values)
	})
}

// deliveries routes the operations of production by a maker.
func (s *Server) deliveries(mux *http.ServeMux) {
	keeper, able := s.Backend.(keys.Deliveries)
	on(s, mux, "wrap-cards", func(ctx context.Context, q *wrapCardsRequest) ([][]string, error) {
		switch {
		case !able:
			return nil, keys.ErrNoDelivery
		case len(q.Names) > maxLoads || len(q.Cards)*max(1, len(q.Names)) > maxBlocks:
			return nil, keys.InputError("names, cards", fmt.Sprintf("≤ %d, %d", maxLoads, maxBlocks))
		}
		return keeper.WrapCards(ctx, q.Under, q.Names, q.Cards)
	})
	on(s, mux, "code-all", func(ctx context.Context, q *codeAllRequest) ([][]byte, error) {
		if !able {
			return nil, keys.ErrNoDelivery
		}
		return keeper.CodeAll(ctx, q.Key, q.Messages)
	})
}

// channels routes the operations of secure channels.
func (s *Server) channels(mux *http.ServeMux) {
	on(s, mux, "open-channel", func(ctx context.Context, q *openChannelRequest) (channelAnswer, error) {
		command, state, err := s.Backend.OpenChannel(ctx, q.Request)
		return channelAnswer{[][]byte{command}, state}, err
	})
	on(s, mux, "wrap-commands", func(ctx context.Context, q *wrapCommandsRequest) (channelAnswer, error) {
		if len(q.Commands) > maxLoads || len(q.uses()) > maxLoads {
			return channelAnswer{}, keys.InputError("commands, loads", fmt.Sprintf("≤ %d", maxLoads))
		}
		wrapped, state, err := s.Backend.WrapCommands(ctx, q.State, q.Chip, q.Commands)
		return channelAnswer{wrapped, state}, err
	})
	on(s, mux, "unwrap-responses", func(ctx context.Context, q *unwrapResponsesRequest) (channelAnswer, error) {
		plain, state, err := s.Backend.UnwrapResponses(ctx, q.State, q.Chip, q.Responses)
		return channelAnswer{plain, state}, err
	})
}

// guard refuses other users before anything of what they send is looked at.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, known := peerOf(r.Context())
		if !known || !slices.Contains(s.Callers, caller.UID) {
			s.Logger.WarnContext(r.Context(), "拒绝其他用户 refused another user", "known", known, "caller", caller)
			w.Header().Set("Connection", "close")
			s.answer(r.Context(), w, nil, fmt.Errorf("uid %d: %w", caller.UID, ErrCaller))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// on routes one operation: read, do, log, answer.
func on[T any, Q interface {
	*T
	request
}, A any](s *Server, mux *http.ServeMux, name string, do func(context.Context, Q) (A, error)) {
	mux.HandleFunc("POST "+prefix+name, func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), callLimit)
		defer cancel()
		q := Q(new(T))
		var answer A
		used, err := s.read(w, r, q)
		if err == nil {
			answer, err = do(ctx, q)
		}
		caller, _ := peerOf(ctx)
		s.Logger.LogAttrs(ctx, slog.LevelInfo, "use", slog.String("purpose", name), slog.Any("keys", used), slog.Any("caller", caller),
			slog.String("outcome", outcome(err)), slog.Int64("µs", time.Since(began).Microseconds()))
		s.answer(ctx, w, answer, err)
	})
}

// read decodes a request, settles which version 0 is, and returns the names of
// the keys for the log.
func (s *Server) read(w http.ResponseWriter, r *http.Request, q request) ([]string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	defer clear(body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, keys.InputError("request", fmt.Sprintf("≤ %d bytes", maxBody))
	}
	if err != nil {
		return nil, errors.Join(r.Context().Err(), ErrProtocol)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(q); err != nil {
		return nil, ErrProtocol // the decoder's own text may quote the request
	}
	var used []string
	for _, key := range q.uses() {
		if keys.CheckName(key.Name) != nil {
			used = append(used, "?")
			continue
		}
		if current, err := s.Backend.Current(key.Name); key.Version == 0 && err == nil {
			key.Version = current
		}
		used = append(used, fmt.Sprintf("%s/%d", key.Name, key.Version))
	}
	return used, nil
}

// outcome is the word of the log for how it went.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	p, _ := problemOf(err)
	return p.Codes[0]
}

// answer writes the result or the problem.
func (s *Server) answer(ctx context.Context, w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	if err != nil {
		var p problem
		if p, status = problemOf(err); status == http.StatusInternalServerError {
			s.Logger.ErrorContext(ctx, "失败 failed", "error", err.Error())
		}
		result = p
	}
	body, err := json.Marshal(result)
	if err != nil {
		panic(err) // nothing in the answers can fail
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller who has gone is told nothing
}
