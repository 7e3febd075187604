package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	p11 "github.com/miekg/pkcs11"

	"onecard/keys"
)

// What can go wrong with a token.
var (
	// ErrModule: the library of the token cannot be loaded.
	ErrModule = errors.New("令牌的动态库不能装入 the token's library cannot be loaded")
	// ErrNoToken: the library shows no token of that label.
	ErrNoToken = errors.New("没有该标签的令牌 no token of that label")
	// ErrToken: the token failed, or is gone. After it the keeper is opened anew.
	ErrToken = errors.New("令牌故障 the token failed")
	// ErrExposed: a key of the token could be read out or changed.
	ErrExposed = errors.New("令牌中的密钥可被读出或更改 a key of the token could be read out or changed")
)

// Config says which token.
type Config struct {
	// Module is the path of the library, for example of libsofthsm2.so.
	Module string
	// Token is the token's label.
	Token string
	// Sessions is how many computations run at once (default 8).
	Sessions int
	// Now dates new keys (default time.Now).
	Now func() time.Time
}

// Keeper keeps its keys in a token. It is safe for concurrent use.
type Keeper struct {
	api  *p11.Ctx
	slot uint
	now  func() time.Time
	// free are the sessions that nobody uses.
	free chan p11.SessionHandle
	lost chan struct{}
	once sync.Once

	mu sync.RWMutex
	// keys are the objects by name, versions ascending.
	keys map[string][]object
}

// Open logs in to a token and looks through its keys. It does not keep the PIN.
func Open(config Config, pin string) (*Keeper, error) {
	api := p11.New(config.Module)
	if api == nil {
		return nil, fmt.Errorf("pkcs11: %s: %w", config.Module, ErrModule)
	}
	if err := api.Initialize(); err != nil {
		api.Destroy()
		return nil, fmt.Errorf("pkcs11: %s: %w: %w", config.Module, ErrModule, err)
	}
	k := &Keeper{api: api, now: config.Now, lost: make(chan struct{}), keys: map[string][]object{}}
	if k.now == nil {
		k.now = time.Now
	}
	sessions := config.Sessions
	if sessions < 1 {
		sessions = 8
	}
	if err := k.enter(config.Token, pin, sessions); err != nil {
		return nil, errors.Join(fmt.Errorf("pkcs11: %s: %w", config.Token, err), k.Close())
	}
	return k, nil
}

// enter finds the token, opens the sessions, logs in and loads the keys.
func (k *Keeper) enter(label, pin string, sessions int) error {
	var err error
	if k.slot, err = k.find(label); err != nil {
		return err
	}
	k.free = make(chan p11.SessionHandle, sessions)
	for i := range sessions {
		session, err := k.api.OpenSession(k.slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrToken, err)
		}
		if i == 0 {
			if err := k.api.Login(session, p11.CKU_USER, pin); err != nil {
				return fmt.Errorf("登录 log in: %w: %w", ErrToken, err)
			}
		}
		k.free <- session
	}
	return k.session(context.Background(), k.load)
}

// find returns the slot of the token.
func (k *Keeper) find(label string) (uint, error) {
	slots, err := k.api.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrToken, err)
	}
	for _, slot := range slots {
		if info, err := k.api.GetTokenInfo(slot); err == nil && info.Label == label && info.Flags&p11.CKF_TOKEN_INITIALIZED != 0 {
			return slot, nil
		}
	}
	return 0, ErrNoToken
}

// Close logs out. Nobody uses the keeper any more.
func (k *Keeper) Close() error {
	defer k.api.Destroy()
	if err := k.api.Finalize(); err != nil {
		return fmt.Errorf("pkcs11: %w", err)
	}
	return nil
}

// Lost is closed when the token no longer answers as it should: whoever runs
// the keeper opens it anew.
func (k *Keeper) Lost() <-chan struct{} { return k.lost }

// session lends work a session, as soon as one is free.
func (k *Keeper) session(ctx context.Context, work func(p11.SessionHandle) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case session := <-k.free:
		defer func() { k.free <- session }()
		return k.judge(work(session))
	}
}

// judge turns an error of the token into ErrToken, and notes that it is lost.
func (k *Keeper) judge(err error) error {
	var code p11.Error
	if !errors.As(err, &code) {
		return err
	}
	switch uint(code) {
	case p11.CKR_SESSION_CLOSED, p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_USER_NOT_LOGGED_IN, p11.CKR_CRYPTOKI_NOT_INITIALIZED,
		p11.CKR_DEVICE_ERROR, p11.CKR_DEVICE_REMOVED, p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_OBJECT_HANDLE_INVALID, p11.CKR_KEY_HANDLE_INVALID:
		k.once.Do(func() { close(k.lost) })
	}
	return fmt.Errorf("%w: %w", ErrToken, err)
}

// Current returns the highest version of a key.
func (k *Keeper) Current(name string) (int, error) {
	found, err := k.look(keys.Key{Name: name})
	return found.Version, err
}

// Keys lists the keys by name and version.
func (k *Keeper) Keys() []keys.Info {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var list []keys.Info
	for _, name := range slices.Sorted(maps.Keys(k.keys)) {
		for _, o := range k.keys[name] {
			list = append(list, o.Info)
		}
	}
	return list
}

// look returns the version of the key that is named, the highest for 0.
func (k *Keeper) look(key keys.Key) (object, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, o := range slices.Backward(k.keys[key.Name]) {
		if key.Version == 0 || key.Version == o.Version {
			return o, nil
		}
	}
	return object{}, keys.KeyError(key.Name, key.Version, keys.ErrNoKey)
}
