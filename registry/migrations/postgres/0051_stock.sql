-- +goose Up

-- 空白卡: where a blank is says the ledger. A blank is used from the moment at
-- which its personalisation begins; the card comes on record at its end. The same
-- change as in ../sqlite/0051_stock.sql.
ALTER TABLE blank_cards DROP CONSTRAINT blank_cards_state_check;
ALTER TABLE blank_cards ADD CONSTRAINT blank_cards_state_check CHECK (state IN ('ordered', 'stored', 'sent', 'issued', 'used', 'spoiled', 'missing', 'destroyed'));
ALTER TABLE blank_cards DROP CONSTRAINT blank_cards_used;
ALTER TABLE blank_cards ADD CONSTRAINT blank_cards_used CHECK (card_id IS NULL OR state = 'used');
ALTER TABLE blank_cards ADD COLUMN kind TEXT NOT NULL DEFAULT 'blank' CHECK (kind = 'blank');
ALTER TABLE blank_cards ADD COLUMN seq BIGINT NOT NULL DEFAULT 1;
ALTER TABLE blank_cards ADD COLUMN lease UUID REFERENCES stock_leases (id);
ALTER TABLE blank_cards ADD COLUMN destruction UUID REFERENCES stock_destructions (id);
INSERT INTO stock_movements (kind, item, seq, event, from_place, from_state, from_day, to_place, to_state, to_day, document, reason, at, operator, workstation)
    SELECT 'blank', serial, 1, 'order', maker, 'outside', to_char(changed_at, 'YYYY-MM-DD'), holder, state, to_char(changed_at, 'YYYY-MM-DD'), 'migration', change_reason, changed_at, changed_by, changed_on FROM blank_cards;
ALTER TABLE blank_cards ADD CONSTRAINT blank_cards_issued CHECK ((state = 'issued') = (lease IS NOT NULL));
ALTER TABLE blank_cards ADD CONSTRAINT blank_cards_destroyed CHECK ((state = 'destroyed') = (destruction IS NOT NULL));
ALTER TABLE blank_cards ADD CONSTRAINT blank_cards_ledger FOREIGN KEY (kind, serial, seq, holder, state)
    REFERENCES stock_movements (kind, item, seq, to_place, to_state);
CREATE INDEX blank_cards_lease ON blank_cards (lease) WHERE lease IS NOT NULL;

-- What stands in the books stays, and a closed day takes nothing more.
-- +goose StatementBegin
CREATE FUNCTION stock_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the books are only added to' USING ERRCODE = '23000', CONSTRAINT = 'stock_stays', TABLE = TG_TABLE_NAME;
END $$;
-- +goose StatementEnd
CREATE TRIGGER stock_movements_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_movements FOR EACH STATEMENT EXECUTE FUNCTION stock_stays();
CREATE TRIGGER stock_days_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_days FOR EACH STATEMENT EXECUTE FUNCTION stock_stays();
CREATE TRIGGER stock_destructions_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_destructions FOR EACH STATEMENT EXECUTE FUNCTION stock_stays();
-- +goose StatementBegin
CREATE FUNCTION stock_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM stock_days d WHERE (d.place = NEW.from_place AND d.day >= NEW.from_day) OR (d.place = NEW.to_place AND d.day >= NEW.to_day)) THEN
        RAISE EXCEPTION 'the day is closed' USING ERRCODE = '23000', CONSTRAINT = 'stock_closed', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER stock_movements_closed BEFORE INSERT ON stock_movements FOR EACH ROW EXECUTE FUNCTION stock_closed();
