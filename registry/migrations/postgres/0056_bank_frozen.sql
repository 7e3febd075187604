-- +goose Up

-- 已对账的日期冻结: a reconciled day stays as it is, and nothing is booked into it
-- any more. The same change as in ../sqlite/0056_bank_frozen.sql.
-- +goose StatementBegin
CREATE FUNCTION bank_days_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'bank_days: a reconciled day is frozen' USING ERRCODE = '23000', CONSTRAINT = 'bank_days_stay', TABLE = TG_TABLE_NAME;
END $$;
-- +goose StatementEnd
CREATE TRIGGER bank_days_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON bank_days FOR EACH STATEMENT EXECUTE FUNCTION bank_days_stay();
-- +goose StatementBegin
CREATE FUNCTION bank_orders_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM bank_days d WHERE d.bank = NEW.bank AND (d.day >= NEW.business_day OR d.day >= OLD.business_day)) THEN
        RAISE EXCEPTION 'bank_orders: the day is reconciled' USING ERRCODE = '23000', CONSTRAINT = 'bank_orders_frozen', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER bank_orders_frozen BEFORE UPDATE OF business_day, amount_fen, state ON bank_orders FOR EACH ROW
WHEN (NEW.business_day IS DISTINCT FROM OLD.business_day OR NEW.amount_fen <> OLD.amount_fen OR NEW.state <> OLD.state)
EXECUTE FUNCTION bank_orders_frozen();

-- +goose Down
DROP TRIGGER bank_orders_frozen ON bank_orders;
DROP FUNCTION bank_orders_frozen;
DROP TRIGGER bank_days_stay ON bank_days;
DROP FUNCTION bank_days_stay;
