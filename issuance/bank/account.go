package bank

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/google/uuid"

	"onecard/registry"
)

// account is a row of bank_accounts.
type account struct {
	ID             uuid.UUID  `gorm:"column:id;primaryKey"`
	PersonID       uuid.UUID  `gorm:"column:person_id"`
	Bank           string     `gorm:"column:bank"`
	Sealed         []byte     `gorm:"column:account_sealed"`
	Index          []byte     `gorm:"column:account_index"`
	State          string     `gorm:"column:state"`
	ApplicationID  *uuid.UUID `gorm:"column:application_id"`
	OpenedOn       *string    `gorm:"column:opened_on"`
	Seq            int64      `gorm:"column:bank_seq"`
	registry.Stamp `gorm:"embedded"`
}

// TableName implements gorm's schema.Tabler.
func (account) TableName() string { return "bank_accounts" }

func (a account) subject() string { return "account:" + a.ID.String() }

const (
	columnAccount = "bank_accounts.account"
	accountIndex  = 16 // bytes
)

// indexes returns the digests by which an account is found, the one that is
// written first.
func (s *Service) indexes(tx *registry.Tx, number string) ([][]byte, error) {
	return tx.Digests(columnAccount, []byte(number), accountIndex)
}

// number opens an account's number.
func (s *Service) number(tx *registry.Tx, a account) (string, error) {
	plain, err := s.db.Unseal(tx.Context(), columnAccount, a.ID.String(), a.Sealed)
	return string(plain), err
}

// becomes records the state that the bank tells of an account. What is older
// than what is known changes nothing. A change that the table does not have is
// refused.
func (s *Service) becomes(tx *registry.Tx, a account, state string, seq int64, reason string) error {
	if seq <= a.Seq {
		return tx.Audit("bank.account.old", a.subject(), map[string]string{"seq": strconv.FormatInt(seq, 10)})
	}
	if state != a.State && !leads(a.State, state) {
		return &registry.FieldError{Field: "state", ZH: "账户状态不能由“" + Accounts.State(a.State).Text.ZH + "”变为所报状态", EN: "the account cannot go from " + a.State + " to what is told"}
	}
	changed := tx.DB().Model(&account{}).Where("id = ? AND version = ?", a.ID, a.Version).
		Updates(tx.Change(map[string]any{"state": state, "bank_seq": seq}, reason))
	if changed.Error != nil {
		return changed.Error
	}
	if changed.RowsAffected == 0 {
		return registry.ErrConflict
	}
	return tx.Audit("bank.account.changed", a.subject(), map[string]string{"from": a.State, "to": state, "seq": strconv.FormatInt(seq, 10)})
}

// TopicAccount is the subject of a bank's notices (金融账户通知).
const TopicAccount = "bank.account"

// notice is what a bank tells of an account by itself: activated, lost, found,
// frozen, closed. It comes to the inbox as a JWE that holds the bank's JWS.
type notice struct {
	Protocol string `json:"protocol"`
	Bank     string `json:"bank"`
	Account  string `json:"account"`
	State    string `json:"state"`
	Seq      int64  `json:"seq"`
}

// Take takes a notice that a peer has sent to the inbox. An error that is a
// FieldError or registry.ErrNotFound is told to the bank and changes nothing.
func (s *Service) Take(tx *registry.Tx, m registry.Incoming) error {
	from, ok := s.sender(m.Peer)
	if !ok {
		return &registry.FieldError{Field: "peer", ZH: "不是已配置的银行", EN: "not a bank that is configured"}
	}
	payload, err := openNotice(m.Body, from.Roots, tx.Now())
	if err != nil {
		return &registry.FieldError{Field: "body", ZH: "应为本行签名的通知（JWS）", EN: "a notice signed by the bank (JWS)"}
	}
	var n notice
	if err := json.Unmarshal(payload, &n); err != nil || n.Protocol != Protocol || n.Bank != from.Code {
		return &registry.FieldError{Field: "body", ZH: "应为 " + Protocol + " 的账户通知", EN: "a notice of an account, " + Protocol}
	}
	if Accounts.State(n.State).Name == notOpened || n.Seq < 1 {
		return &registry.FieldError{Field: "state", ZH: "应为账户状态代码，seq 为正整数", EN: "a state of an account, with seq from 1"}
	}
	indexes, err := s.indexes(tx, n.Account)
	if err != nil {
		return err
	}
	var a account
	if err := tx.ForUpdate().Where("account_index IN ? AND bank = ?", indexes, n.Bank).Take(&a).Error; err != nil {
		return err
	}
	return s.becomes(tx, a, n.State, n.Seq, "银行通知 "+m.ID.String())
}

func (s *Service) sender(peer string) (Peer, bool) {
	for _, p := range s.peers {
		if p.Inbox == peer {
			return p, true
		}
	}
	return Peer{}, false
}

// settleStatus takes the state in which a bank has put an account.
func (s *Service) settleStatus(tx *registry.Tx, o order, ask Ask, answer Answer) (misfit string, err error) {
	var a account
	if err := tx.ForUpdate().Where("id = ?", o.AccountID).Take(&a).Error; err != nil {
		return "", err
	}
	switch {
	case Accounts.State(answer.State).Name == notOpened || answer.Seq < 1:
		return "回应缺少账户状态", nil
	case ask.Change == ChangeActivate && answer.State == Preopened:
		return "银行称已办妥，账户却仍未激活", nil
	}
	err = s.becomes(tx, a, answer.State, answer.Seq, "银行回应 "+o.ID.String())
	var refused *registry.FieldError
	if errors.As(err, &refused) {
		return refused.ZH, nil
	}
	return "", err
}
