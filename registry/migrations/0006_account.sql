-- +goose Up

-- 账户交易: debits and credits of the medical account on a chip. Each is stored
-- before the chip is asked; state is what the operation knows then, sealed, by
-- which an interrupted one is found out about. A card has one under way.
CREATE TABLE account_movements (
    id              UUID      NOT NULL PRIMARY KEY,
    card_id         UUID      NOT NULL REFERENCES cards (id),
    credit          BOOLEAN   NOT NULL,
    amount          BIGINT    NOT NULL CHECK (amount > 0),
    total           BIGINT    NOT NULL CHECK (total >= amount),
    terminal        TEXT      NOT NULL CHECK (length(terminal) = 12),
    terminal_serial BIGINT    NOT NULL CHECK (terminal_serial BETWEEN 1 AND 4294967295),
    state           TEXT      NOT NULL CHECK (state IN ('begun', 'done', 'void')),
    operation       BYTEA,
    card_serial     INTEGER,
    balance_before  BIGINT,
    balance_after   BIGINT,
    tac             TEXT,
    operator        TEXT      NOT NULL CHECK (length(operator) > 0),
    workstation     TEXT      NOT NULL CHECK (length(workstation) > 0),
    begun_at        TIMESTAMP NOT NULL,
    ended_at        TIMESTAMP,
    CONSTRAINT account_movements_ended CHECK ((state = 'begun') = (ended_at IS NULL)),
    CONSTRAINT account_movements_done CHECK (state <> 'done' OR (card_serial IS NOT NULL AND tac IS NOT NULL AND
        balance_after = balance_before + CASE WHEN credit THEN amount ELSE -amount END)),
    UNIQUE (terminal, terminal_serial)
);
CREATE UNIQUE INDEX account_movements_begun ON account_movements (card_id) WHERE state = 'begun';

-- +goose Down
DROP TABLE account_movements;
