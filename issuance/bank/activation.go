package bank

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/card/profile"
	"onecard/issuance"
	"onecard/issuance/tell"
	"onecard/registry"
)

// How the activation of the account that was opened for a card stands
// (金融账户激活).
const (
	ActivationNone    = "none"    // no account
	ActivationOpening = "opening" // the account is being opened
	ActivationReady   = "ready"   // goes with the card's own
	ActivationUnasked = "unasked" // the bank was not asked
	ActivationWaiting = "waiting" // asked, not answered
	ActivationAway    = "away"    // asked, and the bank cannot be reached
	ActivationRefused = "refused"
	ActivationDone    = "done"
	ActivationHeld    = "held" // the account is lost, frozen or closed
)

var activations = map[string]text{
	ActivationNone:    {ZH: "没有金融账户", EN: "no bank account"},
	ActivationOpening: {ZH: "账户开立中，开好后自动请银行激活", EN: "the account is being opened: the bank is asked by itself then"},
	ActivationReady:   {ZH: "未激活，启用社保功能时一并请银行激活", EN: "not active: the bank is asked when the card is activated"},
	ActivationUnasked: {ZH: "未激活，尚未请银行激活", EN: "not active, and the bank was not asked"},
	ActivationWaiting: {ZH: "已请银行激活，待回应", EN: "the bank was asked and has not answered yet"},
	ActivationAway:    {ZH: "银行暂无应答，恢复后自动继续", EN: "the bank cannot be reached: it goes on by itself"},
	ActivationRefused: {ZH: "银行未予激活", EN: "the bank has refused"},
	ActivationDone:    {ZH: "已激活", EN: "active"},
	ActivationHeld:    {ZH: "账户不能激活", EN: "the account cannot be activated"},
}

// ActivationStates are all of them, for the contract.
var ActivationStates = slices.Sorted(maps.Keys(activations))

// Activation is the bank's half of a card's activation. It holds no personal
// data.
type Activation struct {
	State string // one of the Activation…
	Bank  string // hotline number; empty: there is no account and none was ordered
	Name  string // of the bank
	// Code and Words are the bank's own, where it has refused; Words is else why
	// it takes so long, where that is known.
	Code, Words string
	At          time.Time // since when; zero where nothing has begun
}

// Text is the state in words.
func (a Activation) Text() issuance.Text { return activations[a.State] }

// Pending says that the state will change by itself.
func (a Activation) Pending() bool {
	return a.State == ActivationOpening || a.State == ActivationWaiting || a.State == ActivationAway
}

// Askable says that a request to the bank makes sense.
func (a Activation) Askable() bool {
	return a.State == ActivationRefused || a.State == ActivationUnasked
}

// ActivationOf returns how the account of a card stands, as of the newest that
// is on record: the bank is not asked for it.
func ActivationOf(ctx context.Context, db *registry.DB, c issuance.Card) (Activation, error) {
	a, err := activation(db.Read(ctx), c)
	if known, ok := named(a.Bank); ok {
		a.Bank, a.Name = known.Code, known.Name
	}
	return a, err
}

// everyBank is the directory, read once: a counter's page asks again and again.
var everyBank = sync.OnceValues(func() (Banks, error) { return ParseBanks(directory) })

// named returns a bank of the directory, configured or not.
func named(code string) (Bank, bool) {
	all, err := everyBank()
	if err != nil {
		return Bank{}, false // a test reads it
	}
	return all.find(code)
}

// activation needs of the card its id, person and status.
func activation(db *gorm.DB, c issuance.Card) (Activation, error) {
	var application []uuid.UUID
	if err := db.Table("applications").Where("card_id = ?", c.ID).Pluck("id", &application).Error; err != nil || len(application) == 0 {
		return Activation{State: ActivationNone}, err // taken over from before
	}
	var accounts []account
	err := db.Where("person_id = ? AND application_id = ?", c.PersonID, application[0]).Order("CASE state WHEN 'closed' THEN 1 ELSE 0 END, id DESC").Limit(1).Find(&accounts).Error
	if err != nil {
		return Activation{}, err
	}
	if len(accounts) == 0 {
		found, err := whileOpening(db, application[0])
		if err != nil || found.State != ActivationNone || found.Bank != "" || c.Status == issuance.StatusSealed {
			return found, err
		}
		// Nobody has asked for an account; whoever tells the bank of the activation
		// does, where a bank serves the place.
		if told, err := asked(db, c.ID, found); err != nil || told.State == ActivationWaiting {
			return told, err
		}
		return found, nil
	}
	a := accounts[0]
	found := Activation{Bank: a.Bank, At: a.Stamp.At}
	switch a.State {
	case Active:
		found.State = ActivationDone
	case Preopened:
		if found.State = ActivationReady; c.Status != issuance.StatusSealed {
			return asked(db, c.ID, found)
		}
	default:
		found.State, found.Words = ActivationHeld, Accounts.State(a.State).Text.ZH
	}
	return found, nil
}

// whileOpening is how it stands while there is no account.
func whileOpening(db *gorm.DB, application uuid.UUID) (Activation, error) {
	var orders []order
	err := db.Where("operation = ? AND subject = ?", OpenAccount, "application:"+application.String()).Order("id DESC").Limit(1).Find(&orders).Error
	if err != nil || len(orders) == 0 {
		return Activation{State: ActivationNone}, err
	}
	o := orders[0]
	if o.open() {
		return Activation{State: ActivationOpening, Bank: o.Bank, At: o.BegunAt}, nil
	}
	return Activation{State: ActivationNone, Bank: o.Bank, Code: o.Code, Words: o.Answer, At: o.BegunAt}, nil
}

// asked is how the last request for an account's activation stands.
func asked(db *gorm.DB, card uuid.UUID, found Activation) (Activation, error) {
	found.State = ActivationUnasked
	told, err := tell.Of(db, "card:"+card.String(), toldMost)
	if err != nil {
		return found, err
	}
	for _, d := range told {
		if d.Peer == tell.Bank && activates(d) {
			return answeredTo(db, d, found)
		}
	}
	return found, nil
}

// toldMost bounds how far back a request is looked for.
const toldMost = 200

// activates says whether a message tells of a card's activation.
func activates(d tell.Delivery) bool {
	var message struct{ Event string }
	return d.Topic == registry.TopicCardStatus && json.Unmarshal([]byte(d.Body), &message) == nil && message.Event == issuance.EventActivate
}

func answeredTo(db *gorm.DB, d tell.Delivery, found Activation) (Activation, error) {
	var orders []order
	err := db.Where("business_key = ? AND operation = ?", d.ID.String(), ChangeStatus).Order("id DESC").Limit(1).Find(&orders).Error
	if err != nil {
		return found, err
	}
	if len(orders) == 0 {
		if found.At = d.At; d.State == tell.Waiting {
			found.State = ActivationWaiting
		}
		return found, nil
	}
	o := orders[0]
	found.At = o.BegunAt
	var stopped []lineRow
	if err := db.Where("bank = ? AND stopped", o.Bank).Limit(1).Find(&stopped).Error; err != nil {
		return found, err
	}
	switch {
	case o.open() && len(stopped) > 0:
		found.State, found.Words = ActivationAway, stopped[0].Reason
	case o.State == Unknown && o.Answer == whyPending:
		found.State = ActivationWaiting
	case o.State == Unknown, o.State == Begun && o.Attempts > 0:
		found.State = ActivationAway
	case o.open():
		found.State = ActivationWaiting
	case o.State == Refused:
		found.State, found.Code, found.Words = ActivationRefused, o.Code, o.Answer
		if o.EndedAt != nil {
			found.At = *o.EndedAt
		}
	}
	return found, nil
}

// ErrNothingToActivate: there is no account that waits for its activation.
var ErrNothingToActivate = &issuance.Error{
	Code:   "nothing-to-activate",
	Text:   profile.Text{ZH: "没有待激活的金融账户", EN: "there is no bank account to be activated"},
	Remedy: profile.Text{ZH: "请刷新后查看账户状态；卡未启用的，先启用卡。", EN: "Look at the account's state; activate the card first."},
}

// AskActivation asks the bank once more to activate the account of a card in
// use (再请银行激活): what it has refused, or was never asked. While a request is
// on its way that one stands.
func AskActivation(tx *registry.Tx, card uuid.UUID) error {
	var row struct {
		PersonID               uuid.UUID
		Number, ChipID, Status string
		Version                int64
	}
	err := tx.ForUpdate().Table("cards").Select("person_id, number, chip_id, status, version").Where("id = ?", card).Take(&row).Error
	if err != nil {
		return err
	}
	now, err := activation(tx.DB(), issuance.Card{ID: card, PersonID: row.PersonID, Status: row.Status})
	if err != nil {
		return err
	}
	subject := "card:" + card.String()
	switch {
	case row.Status != issuance.StatusNormal, !now.Askable() && !now.Pending():
		return ErrNothingToActivate
	case now.Pending():
		return tx.Audit("bank.activation.asked", subject, map[string]string{"already": now.State})
	}
	place, err := tx.PlaceOf(row.PersonID)
	if err != nil {
		return err
	}
	message := issuance.StatusMessage{CardNumber: row.Number, ChipID: row.ChipID, Status: row.Status, Event: issuance.EventActivate, Version: row.Version, At: tx.Now()}
	if err := tell.Write(tx, tell.Message{Peer: tell.Bank, Topic: registry.TopicCardStatus, Place: place, Subject: subject, Body: message}); err != nil {
		return err
	}
	return tx.Audit("bank.activation.asked", subject, nil)
}
