package bank

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/issuance"
	"onecard/issuance/tell"
	"onecard/registry"
)

// ErrUnderWay: the banks have been asked and not all have answered.
var ErrUnderWay = errors.New("银行尚未全部回应 not all banks have answered yet")

// statusChanges maps the card's status AAZ502 to what its account is to become.
// What is not there is not the bank's business: sealed and application locked.
var statusChanges = map[string]string{"1": ChangeUnloss, "2": ChangeLoss, "4": ChangeOralLoss, "9": ChangeClose}

// settledStates are those in which a change is as good as made.
var settledStates = map[string][]string{
	ChangeUnloss: {Active, Preopened}, ChangeLoss: {WrittenLoss, Frozen}, ChangeOralLoss: {OralLoss, WrittenLoss, Frozen}, ChangeClose: {Closed},
}

// Deliver implements tell.Deliverer: it tells the banks of the person's accounts
// how a card is (topic card.status, subject card:<id>) or what of a person was
// changed (person.changed, person:<id>). What is to be said is read when it
// leaves, so that a message that is late says how things are now. An error that
// matches ErrUnderWay says that it is too early.
func (s *Service) Deliver(ctx context.Context, d tell.Delivery) (tell.Answer, error) {
	if err := s.beforeTold(ctx, d); err != nil {
		return tell.Answer{}, err
	}
	var orders []order
	err := s.changes.InTx(ctx, registry.Actor{Operator: "system:bank", Place: d.Place}, func(tx *registry.Tx) (err error) {
		orders, err = s.told(tx, d)
		return errors.Join(err, tx.Audit("bank.told", d.Subject, map[string]string{"topic": d.Topic, "message": d.ID.String()}))
	})
	var refused *registry.FieldError
	switch {
	case errors.Is(err, ErrUnderWay):
		return tell.Answer{Code: "opening", Text: "账户开立中"}, err
	case errors.As(err, &refused):
		return tell.Answer{Code: "invalid", Text: refused.Error()}, nil
	case err != nil:
		return tell.Answer{}, err
	case len(orders) == 0:
		return tell.Answer{Code: "none", Text: "没有需要告知的金融账户", Acknowledged: true}, nil
	}
	result := tell.Answer{Acknowledged: true}
	for _, o := range orders {
		if o, err = s.now(ctx, o); err != nil {
			return tell.Answer{}, err
		}
		result.Code, result.Text = o.Code, o.Answer
		switch {
		case o.open():
			return result, ErrUnderWay
		case o.State != Done:
			result.Acknowledged = false
			return result, nil
		}
	}
	return result, nil
}

// now sends an order that waits, at once, and returns it as it then stands.
func (s *Service) now(ctx context.Context, o order) (order, error) {
	if o.open() && !o.NextAt.After(s.db.Now()) {
		due, err := s.due(ctx, o.Bank, o.ID)
		if err != nil {
			return o, err
		}
		for _, waiting := range due {
			if err := s.step(ctx, waiting); err != nil && !errors.Is(err, ErrNoAnswer) {
				return o, err
			}
		}
	}
	return find(s.db.Read(ctx), o.ID)
}

// beforeTold sees to it that a card has its account when its activation is told.
func (s *Service) beforeTold(ctx context.Context, d tell.Delivery) error {
	_, text, _ := strings.Cut(d.Subject, ":")
	id, err := uuid.Parse(text)
	if err != nil || !activates(d) {
		return nil // told looks at what is wrong with it
	}
	return s.dueOfCard(ctx, id)
}

// told returns the orders that a delivery makes, and makes those that are
// missing.
func (s *Service) told(tx *registry.Tx, d tell.Delivery) ([]order, error) {
	kind, text, _ := strings.Cut(d.Subject, ":")
	id, err := uuid.Parse(text)
	switch {
	case err == nil && d.Topic == registry.TopicCardStatus && kind == "card":
		return s.tellStatus(tx, d, id)
	case err == nil && d.Topic == issuance.TopicPersonChanged && kind == "person":
		return s.tellPerson(tx, d, id)
	}
	return nil, &registry.FieldError{Field: "topic", ZH: "应为 card.status 与 card:<id>，或 person.changed 与 person:<id>", EN: "card.status with card:<id>, or person.changed with person:<id>"}
}

// again returns the orders that were made for a delivery before.
func again(tx *registry.Tx, d tell.Delivery) (orders []order, err error) {
	return orders, tx.DB().Where("business_key = ?", d.ID.String()).Order("id").Find(&orders).Error
}

func (s *Service) tellStatus(tx *registry.Tx, d tell.Delivery, cardID uuid.UUID) ([]order, error) {
	if made, err := again(tx, d); err != nil || len(made) > 0 {
		return made, err
	}
	var card struct {
		PersonID uuid.UUID
		Number   string
		Status   string
	}
	if err := tx.DB().Table("cards").Where("id = ?", cardID).Take(&card).Error; err != nil {
		return nil, err
	}
	change, ok := statusChanges[card.Status]
	if !ok {
		return nil, nil
	}
	// An account that is being opened is told how its card is when it is there.
	now, err := activation(tx.DB(), issuance.Card{ID: cardID, PersonID: card.PersonID, Status: card.Status})
	switch {
	case err != nil:
		return nil, err
	case now.State == ActivationOpening:
		return nil, ErrUnderWay
	}
	activating := activates(d) && card.Status == issuance.StatusNormal
	// The account that was opened for the card; accounts that were taken over
	// from elsewhere belong to no application and go with any card, but are not
	// closed while the person has another.
	accounts, err := s.accounts(tx, card.PersonID, func(query *gorm.DB) *gorm.DB {
		return query.Where("application_id IN (SELECT id FROM applications WHERE card_id = ?) OR application_id IS NULL AND (? <> '9' OR NOT EXISTS (SELECT 1 FROM cards other WHERE other.person_id = ? AND other.status <> '9'))",
			cardID, card.Status, card.PersonID)
	})
	if err != nil {
		return nil, err
	}
	var orders []order
	for _, a := range accounts {
		change := change
		switch {
		case activating && a.State == Preopened && a.ApplicationID != nil:
			change = ChangeActivate
		case slices.Contains(settledStates[change], a.State):
			continue
		}
		number, err := s.number(tx, a)
		if err != nil {
			return nil, err
		}
		o, _, err := s.begin(tx, a.order(d, ChangeStatus), Ask{Account: number, CardNumber: card.Number, Change: change})
		if err != nil {
			return nil, err
		}
		orders = append(orders, o)
	}
	return orders, nil
}

func (s *Service) tellPerson(tx *registry.Tx, d tell.Delivery, personID uuid.UUID) ([]order, error) {
	if made, err := again(tx, d); err != nil || len(made) > 0 {
		return made, err
	}
	person, err := tx.PersonByID(personID)
	if err != nil {
		return nil, err
	}
	accounts, err := s.accounts(tx, personID, func(query *gorm.DB) *gorm.DB { return query })
	if err != nil {
		return nil, err
	}
	var orders []order
	for _, a := range accounts {
		number, err := s.number(tx, a)
		if err != nil {
			return nil, err
		}
		o, _, err := s.begin(tx, a.order(d, ChangeHolder),
			Ask{Account: number, Name: person.Name, IDType: person.IDType, IDNumber: person.Number(), Phone: person.Phone, Place: person.Place})
		if err != nil {
			return nil, err
		}
		orders = append(orders, o)
	}
	return orders, nil
}

// accounts returns a person's accounts at configured banks that are not closed.
func (s *Service) accounts(tx *registry.Tx, person uuid.UUID, which func(*gorm.DB) *gorm.DB) ([]account, error) {
	var all, reached []account
	if err := which(tx.DB().Where("person_id = ? AND state <> ?", person, Closed)).Order("id").Find(&all).Error; err != nil {
		return nil, err
	}
	for _, a := range all {
		if p, err := s.peer(a.Bank); err == nil {
			a.Bank = p.Code
			reached = append(reached, a)
		}
	}
	return reached, nil
}

// wake lets messages be told at once that waited for a bank: those that a
// condition chooses.
func wake(tx *registry.Tx, condition string, values ...any) error {
	return tx.DB().Model(&tell.Delivery{}).Where("peer = ? AND state = ?", tell.Bank, tell.Waiting).Where(condition, values...).Update("next_at", tx.Now()).Error
}

func (a account) order(d tell.Delivery, operation string) order {
	return order{Bank: a.Bank, Operation: operation, Subject: a.subject(), Key: d.ID.String(), Place: d.Place, PersonID: &a.PersonID, ApplicationID: a.ApplicationID, AccountID: &a.ID}
}
