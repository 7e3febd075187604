package bank

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
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

// addAccount enters the account that a bank has opened for an order. It
// reports false when the number belongs to somebody already.
func (s *Service) addAccount(tx *registry.Tx, o order, answer Answer) (bool, error) {
	indexes, err := s.indexes(tx, answer.Account)
	if err != nil {
		return false, err
	}
	if older := indexes[1:]; len(older) > 0 { // no constraint holds it apart from the one that is written
		var known int64
		if err := tx.DB().Model(&account{}).Where("account_index IN ?", older).Count(&known).Error; err != nil || known > 0 {
			return false, err
		}
	}
	id, err := tx.NewID()
	if err != nil {
		return false, fmt.Errorf("bank: new id: %w", err)
	}
	sealed, err := s.db.Seal(tx.Context(), columnAccount, id.String(), []byte(answer.Account))
	if err != nil {
		return false, err
	}
	opened := gb.DayOf(tx.Now()).String()
	row := account{ID: id, PersonID: *o.PersonID, Bank: o.Bank, Sealed: sealed, Index: indexes[0], State: Preopened,
		ApplicationID: o.ApplicationID, OpenedOn: &opened, Seq: answer.Seq, Stamp: tx.Stamp("银行开户 " + o.ID.String())}
	created := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	if created.Error != nil || created.RowsAffected == 0 {
		return false, created.Error
	}
	err = tx.DB().Model(&order{}).Where("id = ?", o.ID).Update("account_id", id).Error
	if err != nil {
		return false, err
	}
	return true, tx.Audit("bank.account.opened", row.subject(), map[string]string{"bank": o.Bank, "application": o.ApplicationID.String()})
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
