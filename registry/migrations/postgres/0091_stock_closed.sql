-- +goose Up

-- A closed day takes nothing more: asked once of all the lines that a statement
-- writes, for a maker's list is thousands of them. The embedded database has no
-- triggers of statements: there ../sqlite/0051_stock.sql stays.
DROP TRIGGER stock_movements_closed ON stock_movements;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION stock_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM (SELECT from_place AS place, from_day AS day FROM fresh UNION SELECT to_place, to_day FROM fresh) f
        JOIN stock_days d ON d.place = f.place AND d.day >= f.day) THEN
        RAISE EXCEPTION 'the day is closed' USING ERRCODE = '23000', CONSTRAINT = 'stock_closed', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER stock_movements_closed AFTER INSERT ON stock_movements REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION stock_closed();

-- +goose Down
DROP TRIGGER stock_movements_closed ON stock_movements;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION stock_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM stock_days d WHERE (d.place = NEW.from_place AND d.day >= NEW.from_day) OR (d.place = NEW.to_place AND d.day >= NEW.to_day)) THEN
        RAISE EXCEPTION 'the day is closed' USING ERRCODE = '23000', CONSTRAINT = 'stock_closed', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER stock_movements_closed BEFORE INSERT ON stock_movements FOR EACH ROW EXECUTE FUNCTION stock_closed();
