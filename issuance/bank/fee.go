package bank

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
	"onecard/registry"
)

// Fee is what a card costs its holder (收费).
type Fee struct {
	ID            uuid.UUID  `gorm:"column:id;primaryKey"`
	ApplicationID uuid.UUID  `gorm:"column:application_id"`
	PersonID      uuid.UUID  `gorm:"column:person_id"`
	Bank          string     `gorm:"column:bank"`
	Place         string     `gorm:"column:place"`
	Item          string     `gorm:"column:item"`
	AmountFen     int64      `gorm:"column:amount_fen"`
	Receipt       string     `gorm:"column:receipt"` // 收据号
	State         string     `gorm:"column:state"`   // due, free, paid, failed, refunding, refunded
	PaidAt        *time.Time `gorm:"column:paid_at"`
	CarriedFrom   *uuid.UUID `gorm:"column:carried_from"`
	CreatedAt     time.Time  `gorm:"column:created_at"`
	ChangedAt     time.Time  `gorm:"column:changed_at"`
}

// TableName implements gorm's schema.Tabler.
func (Fee) TableName() string { return "bank_fees" }

func (f Fee) subject() string { return "fee:" + f.ID.String() }

// What keeps a fee from being charged.
var (
	ErrPaidRecently = errors.New("一个月内已缴费并补换卡，不能再次缴费 a replacement was paid for and finished within the month")
	ErrFeeRunning   = errors.New("上一次补换卡正在办理，不能再次缴费 an earlier replacement that was paid for is still running")
	ErrNotPaid      = errors.New("没有可退的费用 there is no fee to give back")
)

// Charge has a bank charge what an application costs and gives the receipt's
// number (收费). Asked again, it returns the same fee. What costs nothing has a
// receipt, too. A fee that was paid for an application that failed counts for
// the next one; one that was paid for a finished replacement bars another
// within the time that the prices say.
func (s *Service) Charge(tx *registry.Tx, bank string, applicationID uuid.UUID, item string) (Fee, error) {
	p, err := s.peer(bank)
	if err != nil {
		return Fee{}, err
	}
	var a application
	if err := tx.ForUpdate().Where("id = ?", applicationID).Take(&a).Error; err != nil {
		return Fee{}, err
	}
	var there Fee
	err = tx.DB().Where("application_id = ? AND state IN ?", applicationID, []string{"due", "free", "paid", "refunding"}).Take(&there).Error
	if !errors.Is(err, gorm.ErrRecordNotFound) {
		return there, errors.Join(err, tx.Audit("bank.fee.asked", "application:"+applicationID.String(), nil))
	}
	price, err := s.prices.At(a.Place, gb.DayOf(tx.Now()))
	if err != nil {
		return Fee{}, err
	}
	amount, ok := price.of(item)
	if !ok {
		return Fee{}, &registry.FieldError{Field: "item", ZH: "应为 first、replacement、exchange 或 quality", EN: "first, replacement, exchange or quality"}
	}
	fee := Fee{ApplicationID: a.ID, PersonID: a.PersonID, Bank: p.Code, Place: a.Place, Item: item, AmountFen: amount, CreatedAt: tx.Now(), ChangedAt: tx.Now()}
	if fee.ID, err = tx.NewID(); err != nil {
		return Fee{}, err
	}
	if fee.Receipt, err = nextReceipt(tx); err != nil {
		return Fee{}, err
	}
	if amount == 0 {
		fee.State = "free"
	} else if err := s.carried(tx, &fee, price.OnceInDays); err != nil {
		return Fee{}, err
	}
	if err := tx.DB().Create(&fee).Error; err != nil {
		return Fee{}, err
	}
	if fee.State == "due" {
		if err := s.orderCharge(tx, fee, a); err != nil {
			return Fee{}, err
		}
	}
	return fee, tx.Audit("bank.fee."+fee.State, "application:"+a.ID.String(), map[string]string{
		"receipt": fee.Receipt, "item": item, "amountFen": fmt.Sprint(amount)})
}

// carried looks for a fee of the last days: one of a failed application is
// carried over, one of another bars the new one.
func (s *Service) carried(tx *registry.Tx, fee *Fee, days int) error {
	fee.State = "due"
	var recent []struct {
		Fee   Fee    `gorm:"embedded"`
		Stage string `gorm:"column:stage"`
	}
	err := tx.DB().Table("bank_fees").Select("bank_fees.*, applications.state AS stage").
		Joins("JOIN applications ON applications.id = bank_fees.application_id").
		Where("bank_fees.person_id = ? AND bank_fees.item = ? AND bank_fees.state IN ?", fee.PersonID, fee.Item, []string{"due", "paid"}).
		Where("bank_fees.created_at > ?", tx.Now().AddDate(0, 0, -days)).
		Where("NOT EXISTS (SELECT 1 FROM bank_fees later WHERE later.carried_from = bank_fees.id)").
		Order("bank_fees.created_at").Find(&recent).Error
	if err != nil {
		return err
	}
	for _, earlier := range recent {
		failed := strings.Contains(" returned withdrawn cancelled ", " "+earlier.Stage+" ")
		switch {
		case earlier.Fee.State == "paid" && failed:
			fee.State, fee.Bank, fee.AmountFen, fee.PaidAt, fee.CarriedFrom = "paid", earlier.Fee.Bank, earlier.Fee.AmountFen, earlier.Fee.PaidAt, &earlier.Fee.ID
			return nil
		case earlier.Fee.State == "paid" && (earlier.Stage == "handed" || earlier.Stage == "made"):
			return ErrPaidRecently
		default:
			return ErrFeeRunning
		}
	}
	return nil
}

func (s *Service) orderCharge(tx *registry.Tx, fee Fee, a application) error {
	person, err := tx.PersonByID(fee.PersonID)
	if err != nil {
		return err
	}
	ask := Ask{Application: a.ID.String(), Name: person.Name, IDType: person.IDType, IDNumber: person.Number(), Receipt: fee.Receipt, Item: fee.Item, AmountFen: fee.AmountFen}
	_, _, err = s.begin(tx, order{Bank: fee.Bank, Operation: ChargeFee, Subject: fee.subject(), Key: "charge", Place: fee.Place,
		PersonID: &fee.PersonID, ApplicationID: &fee.ApplicationID, AmountFen: fee.AmountFen}, ask)
	return err
}

// nextReceipt draws a receipt's number: province, day, number without gaps.
func nextReceipt(tx *registry.Tx) (string, error) {
	number, err := tx.Draw("bank-receipt")
	if err != nil {
		return "", fmt.Errorf("bank: receipt: %w", err)
	}
	return fmt.Sprintf("63%s%08d", tx.Now().In(gb.Beijing).Format("20060102"), number), nil
}

// Refund has the bank give a fee back (退费).
func (s *Service) Refund(tx *registry.Tx, applicationID uuid.UUID, reason string) (Fee, error) {
	if strings.TrimSpace(reason) == "" {
		return Fee{}, &registry.FieldError{Field: "reason", ZH: "须写明退费原因", EN: "say why"}
	}
	var fee Fee
	err := tx.ForUpdate().Where("application_id = ? AND state = 'paid' AND NOT EXISTS (SELECT 1 FROM bank_fees later WHERE later.carried_from = bank_fees.id)", applicationID).Take(&fee).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Fee{}, ErrNotPaid
	} else if err != nil {
		return Fee{}, err
	}
	charge, err := s.chargeOf(tx, fee)
	if err != nil {
		return Fee{}, err
	}
	_, _, err = s.begin(tx, order{Bank: fee.Bank, Operation: RefundFee, Subject: fee.subject(), Key: "refund", Place: fee.Place,
		PersonID: &fee.PersonID, ApplicationID: &fee.ApplicationID, AmountFen: fee.AmountFen},
		Ask{Message: charge.ID, Receipt: fee.Receipt, AmountFen: fee.AmountFen, Reason: reason})
	if err != nil {
		return Fee{}, err
	}
	fee.State = "refunding"
	return fee, s.feeBecomes(tx, fee.ID, "paid", "refunding", nil)
}

// chargeOf returns the order by which a fee was charged, for an earlier
// application perhaps.
func (s *Service) chargeOf(tx *registry.Tx, fee Fee) (o order, err error) {
	for fee.CarriedFrom != nil {
		var earlier Fee
		if err := tx.DB().Where("id = ?", *fee.CarriedFrom).Take(&earlier).Error; err != nil {
			return order{}, err
		}
		fee = earlier
	}
	return o, tx.DB().Where("operation = ? AND subject = ? AND state = ?", ChargeFee, fee.subject(), Done).Take(&o).Error
}

func (s *Service) feeBecomes(tx *registry.Tx, id uuid.UUID, from, to string, values map[string]any) error {
	changes := map[string]any{"state": to, "changed_at": tx.Now()}
	for column, value := range values {
		changes[column] = value
	}
	moved := tx.DB().Model(&Fee{}).Where("id = ? AND state = ?", id, from).Updates(changes)
	if moved.Error != nil {
		return moved.Error
	}
	if moved.RowsAffected == 0 {
		return registry.ErrConflict
	}
	return tx.Audit("bank.fee."+to, Fee{ID: id}.subject(), nil)
}

func feeOf(o order) (uuid.UUID, error) {
	_, id, _ := strings.Cut(o.Subject, ":")
	return uuid.Parse(id)
}

func sameMoney(o order, ask Ask, answer Answer) string {
	if answer.AmountFen != o.AmountFen || answer.Receipt != ask.Receipt {
		return "银行入账金额或收据号与指令不符"
	}
	return ""
}

func (s *Service) settleCharge(tx *registry.Tx, o order, ask Ask, answer Answer) (string, error) {
	return s.settleFee(tx, o, ask, answer, "due", "paid", map[string]any{"paid_at": tx.Now()})
}

func (s *Service) settleRefund(tx *registry.Tx, o order, ask Ask, answer Answer) (string, error) {
	return s.settleFee(tx, o, ask, answer, "refunding", "refunded", nil)
}

func (s *Service) settleFee(tx *registry.Tx, o order, ask Ask, answer Answer, from, to string, values map[string]any) (string, error) {
	if misfit := sameMoney(o, ask, answer); misfit != "" {
		return misfit, nil
	}
	id, err := feeOf(o)
	if err != nil {
		return "", err
	}
	return "", s.feeBecomes(tx, id, from, to, values)
}

func (s *Service) chargeFailed(tx *registry.Tx, o order, _ string) error {
	id, err := feeOf(o)
	if err != nil {
		return err
	}
	return s.feeBecomes(tx, id, "due", "failed", nil)
}

func (s *Service) refundFailed(tx *registry.Tx, o order, _ string) error {
	id, err := feeOf(o)
	if err != nil {
		return err
	}
	return s.feeBecomes(tx, id, "refunding", "paid", nil)
}

// booked adds to what is written of an order that is done the day in whose
// books it stands (账务日期): the bank's, or when that day is reconciled the
// first one that is not.
func (s *Service) booked(tx *registry.Tx, o order, answer Answer, values map[string]any) (map[string]any, error) {
	if o.Operation != ChargeFee && o.Operation != RefundFee {
		return values, nil
	}
	if err := lockBooks(tx, o.Bank); err != nil {
		return nil, err
	}
	on := gb.DayOf(tx.Now()).String()
	if told, err := time.Parse(time.DateOnly, answer.Day); err == nil && told.Format(time.DateOnly) <= on {
		on = answer.Day
	}
	var last string
	err := tx.DB().Table("bank_days").Where("bank = ?", o.Bank).Select("COALESCE(MAX(day), '')").Scan(&last).Error
	if err != nil {
		return nil, err
	}
	if on <= last {
		closed, err := time.Parse(time.DateOnly, last)
		if err != nil {
			return nil, err
		}
		on = closed.AddDate(0, 0, 1).Format(time.DateOnly)
	}
	values["business_day"] = on
	return values, nil
}

// lockBooks lets either one booking or the reconciliation go on at a time.
func lockBooks(tx *registry.Tx, bank string) error {
	return openBooks(tx, bank, clause.LockingStrengthUpdate)
}

// openBooks locks the books of a bank until the transaction ends; those who share
// them go on beside each other, and nobody has them alone meanwhile.
func openBooks(tx *registry.Tx, bank, strength string) error {
	take := func() error {
		return tx.DB().Clauses(clause.Locking{Strength: strength}).Where("bank = ?", bank).Take(&lineRow{}).Error
	}
	err := take()
	if !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	row := lineRow{Bank: bank, ChangedAt: tx.Now(), ChangedBy: tx.Actor().Operator}
	if err := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return err
	}
	return take()
}
