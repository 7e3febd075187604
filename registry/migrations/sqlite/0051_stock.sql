-- +goose NO TRANSACTION
-- +goose Up

-- 空白卡: where a blank is says the ledger. A blank is used from the moment at
-- which its personalisation begins; the card comes on record at its end. SQLite
-- cannot change a CHECK: the table is made anew, by the steps of its own manual
-- (ALTER TABLE, 7).
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;
CREATE TABLE blank_cards_new (
    serial     TEXT      NOT NULL PRIMARY KEY CHECK (length(serial) BETWEEN 4 AND 64),
    maker      TEXT      NOT NULL REFERENCES institutions (id),
    product    TEXT      NOT NULL CHECK (length(product) BETWEEN 1 AND 64),
    box        TEXT      NOT NULL,
    holder     TEXT      NOT NULL REFERENCES institutions (id),
    state      TEXT      NOT NULL CHECK (state IN ('ordered', 'stored', 'sent', 'issued', 'used', 'spoiled', 'missing', 'destroyed')),
    card_id    UUID      UNIQUE REFERENCES cards (id),
    version    BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at TIMESTAMP NOT NULL,
    changed_by TEXT      NOT NULL,
    changed_on TEXT      NOT NULL,
    change_reason TEXT   NOT NULL,
    kind       TEXT      NOT NULL DEFAULT 'blank' CHECK (kind = 'blank'),
    seq        BIGINT    NOT NULL DEFAULT 1,
    lease      UUID      REFERENCES stock_leases (id),
    destruction UUID     REFERENCES stock_destructions (id),
    CONSTRAINT blank_cards_used CHECK (card_id IS NULL OR state = 'used'),
    CONSTRAINT blank_cards_issued CHECK ((state = 'issued') = (lease IS NOT NULL)),
    CONSTRAINT blank_cards_destroyed CHECK ((state = 'destroyed') = (destruction IS NOT NULL)),
    CONSTRAINT blank_cards_ledger FOREIGN KEY (kind, serial, seq, holder, state)
        REFERENCES stock_movements (kind, item, seq, to_place, to_state)
);
INSERT INTO stock_movements (kind, item, seq, event, from_place, from_state, from_day, to_place, to_state, to_day, document, reason, at, operator, workstation)
    SELECT 'blank', serial, 1, 'order', maker, 'outside', substr(changed_at, 1, 10), holder, state, substr(changed_at, 1, 10), 'migration', change_reason, changed_at, changed_by, changed_on FROM blank_cards;
INSERT INTO blank_cards_new (serial, maker, product, box, holder, state, card_id, version, changed_at, changed_by, changed_on, change_reason)
    SELECT serial, maker, product, box, holder, state, card_id, version, changed_at, changed_by, changed_on, change_reason FROM blank_cards;
DROP TABLE blank_cards;
ALTER TABLE blank_cards_new RENAME TO blank_cards;
CREATE INDEX blank_cards_holder ON blank_cards (holder, state);
CREATE INDEX blank_cards_lease ON blank_cards (lease) WHERE lease IS NOT NULL;

-- What stands in the books stays, and a closed day takes nothing more.
-- +goose StatementBegin
CREATE TRIGGER stock_movements_stay_update BEFORE UPDATE ON stock_movements BEGIN SELECT RAISE(ABORT, 'stock_stays'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER stock_movements_stay_delete BEFORE DELETE ON stock_movements BEGIN SELECT RAISE(ABORT, 'stock_stays'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER stock_days_stay_update BEFORE UPDATE ON stock_days BEGIN SELECT RAISE(ABORT, 'stock_stays'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER stock_days_stay_delete BEFORE DELETE ON stock_days BEGIN SELECT RAISE(ABORT, 'stock_stays'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER stock_destructions_stay_update BEFORE UPDATE ON stock_destructions BEGIN SELECT RAISE(ABORT, 'stock_stays'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER stock_destructions_stay_delete BEFORE DELETE ON stock_destructions BEGIN SELECT RAISE(ABORT, 'stock_stays'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER stock_movements_closed BEFORE INSERT ON stock_movements
WHEN EXISTS (SELECT 1 FROM stock_days d WHERE (d.place = NEW.from_place AND d.day >= NEW.from_day) OR (d.place = NEW.to_place AND d.day >= NEW.to_day))
BEGIN SELECT RAISE(ABORT, 'stock_closed'); END;
-- +goose StatementEnd
COMMIT;
PRAGMA foreign_keys = ON;
