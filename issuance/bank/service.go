package bank

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/registry"
)

// Changer makes changes: a *registry.DB.
type Changer interface {
	InTx(ctx context.Context, actor registry.Actor, change func(tx *registry.Tx) error) error
}

// Config is what a Service is made of.
type Config struct {
	DB      *registry.DB
	Changes Changer // default DB
	Peers   []Peer
	// Wire replaces the HTTPS client of each bank.
	Wire   func(Peer) Wire
	Prices Prices // default: those built in
	// Opened is told what became of accounts, in the transaction in which it
	// becomes known; of one application more than once, perhaps.
	Opened   func(tx *registry.Tx, bank string, opened []Opened) error
	Province string        // in whose audit chain the platform's own acts are noted
	Pause    time.Duration // between two looks for orders; default 2 s
	Logger   *slog.Logger
}

// Service is the bank's side of all cards. It may be used by several goroutines.
type Service struct {
	db       *registry.DB
	changes  Changer
	peers    map[string]Peer
	wires    map[string]Wire
	prices   Prices
	banks    Banks
	province string
	pause    time.Duration
	// tellOpened may be nil: nobody waits for accounts.
	tellOpened func(tx *registry.Tx, bank string, opened []Opened) error
	logger     *slog.Logger
}

// What can go wrong, to be matched by errors.Is.
var (
	ErrBank      = errors.New("没有配置此银行 no such bank is configured")
	ErrNumbered  = errors.New("申领尚无卡号或已终止，不能开户 the application has no card number, or has ended")
	ErrOpened    = errors.New("此申领已有开户指令 an account is being opened for the application, or has been")
	ErrNoAccount = errors.New("没有可办理的金融账户 no bank account to do this with")
	ErrEnded     = errors.New("指令已有结果，不能冲正 the order has ended: it cannot be reversed")
)

// New checks the configuration and returns a ready service.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Logger == nil || c.Province == "" {
		return nil, errors.New("bank: database, logger and province are needed")
	}
	s := &Service{db: c.DB, changes: c.Changes, peers: map[string]Peer{}, wires: map[string]Wire{}, prices: c.Prices,
		province: c.Province, pause: c.Pause, tellOpened: c.Opened, logger: c.Logger}
	if s.changes == nil {
		s.changes = c.DB
	}
	if s.pause == 0 {
		s.pause = 2 * time.Second
	}
	if s.prices == nil {
		var err error
		if s.prices, err = ParsePrices(defaultPrices); err != nil {
			return nil, err
		}
	}
	var err error
	if s.banks, err = everyBank(); err != nil {
		return nil, err
	}
	for _, p := range c.Peers {
		known, ok := s.banks.find(p.Code)
		if !ok || s.peers[known.Code].Code != "" {
			return nil, fmt.Errorf("%w: %s", ErrBank, p.Code)
		}
		p.Code = known.Code
		if err := checkServes(p, s.peers); err != nil {
			return nil, err
		}
		if p.Timeout == 0 {
			p.Timeout = 10 * time.Second
		}
		if p.Now == nil {
			p.Now = c.DB.Now
		}
		s.peers[p.Code] = p
		if c.Wire != nil {
			s.wires[p.Code] = c.Wire(p)
		} else {
			s.wires[p.Code] = Dial(p)
		}
	}
	return s, nil
}

// Close ends connections that are kept.
func (s *Service) Close() {
	for _, wire := range s.wires {
		if l, ok := wire.(*line); ok {
			l.close()
		}
	}
}

// peer returns a configured bank by either of its codes.
func (s *Service) peer(code string) (Peer, error) {
	known, _ := s.banks.find(code)
	p, ok := s.peers[known.Code]
	if !ok {
		return Peer{}, fmt.Errorf("%w: %s", ErrBank, code)
	}
	return p, nil
}

// system is who acts when the platform does something by itself.
func (s *Service) system() registry.Actor {
	return registry.Actor{Operator: "system:bank", Place: s.province}
}

// theBank is who acts when a bank has answered or told something.
func (s *Service) theBank(code string) registry.Actor {
	return registry.Actor{Operator: "bank:" + code, Place: s.province}
}

// Known returns a configured bank by either of its codes.
func (s *Service) Known(code string) (Bank, error) {
	p, err := s.peer(code)
	if err != nil {
		return Bank{}, err
	}
	known, _ := s.banks.find(p.Code)
	return known, nil
}

// Banks returns the banks that are configured, by code.
func (s *Service) Banks() (all Banks) {
	for _, b := range s.banks {
		if _, ok := s.peers[b.Code]; ok {
			all = append(all, b)
		}
	}
	return all
}

// Line is how the line to a bank is (线路状况).
type Line struct {
	Stopped bool
	Reason  string
	Open    int64  // orders without an end
	Oldest  string // when the first of them was begun; empty if there is none
}

// Line returns how the line to a bank is.
func (s *Service) Line(ctx context.Context, code string) (Line, error) {
	var row lineRow
	if err := s.db.Read(ctx).Where("bank = ?", code).Limit(1).Find(&row).Error; err != nil {
		return Line{}, err
	}
	line := Line{Stopped: row.Stopped, Reason: row.Reason}
	open := s.db.Read(ctx).Model(&order{}).Where("bank = ? AND state IN ?", code, []string{Begun, Sent, Unknown})
	if err := open.Session(&gorm.Session{}).Count(&line.Open).Error; err != nil || line.Open == 0 {
		return line, err
	}
	var first order
	err := open.Session(&gorm.Session{}).Order("begun_at").Take(&first).Error
	line.Oldest = first.BegunAt.In(gb.Beijing).Format(time.DateTime)
	return line, err
}
