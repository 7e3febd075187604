-- +goose Up

-- 已对账的日期冻结: a reconciled day stays as it is, and nothing is booked into it
-- any more. The same change as in ../postgres/0056_bank_frozen.sql.
-- +goose StatementBegin
CREATE TRIGGER bank_days_stay BEFORE UPDATE ON bank_days
BEGIN SELECT RAISE(ABORT, 'bank_days: a reconciled day is frozen'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER bank_days_last BEFORE DELETE ON bank_days
BEGIN SELECT RAISE(ABORT, 'bank_days: a reconciled day is frozen'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER bank_orders_frozen BEFORE UPDATE OF business_day, amount_fen, state ON bank_orders
WHEN (NEW.business_day IS NOT OLD.business_day OR NEW.amount_fen <> OLD.amount_fen OR NEW.state <> OLD.state)
 AND EXISTS (SELECT 1 FROM bank_days d WHERE d.bank = NEW.bank AND (d.day >= NEW.business_day OR d.day >= OLD.business_day))
BEGIN SELECT RAISE(ABORT, 'bank_orders: the day is reconciled'); END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER bank_orders_frozen;
DROP TRIGGER bank_days_last;
DROP TRIGGER bank_days_stay;
