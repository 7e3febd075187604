-- +goose Up

-- 交易流水: the journal of card transactions. Written before a transaction
-- leaves; the states and their transitions are the table in exchange/states.go.
-- A blocked row stands for a reversal that came before its original.
CREATE TABLE transactions (
    id                 UUID      NOT NULL PRIMARY KEY,
    state              TEXT      NOT NULL CHECK (state IN ('pending', 'confirmed', 'declined', 'unknown', 'reversing', 'reversed', 'blocked')),
    institution        TEXT      NOT NULL CHECK (length(institution) > 0),
    institution_name   TEXT      NOT NULL,
    institution_kind   TEXT      NOT NULL,
    institution_level  INTEGER   NOT NULL,
    place_of_treatment TEXT      NOT NULL,
    terminal           TEXT      NOT NULL CHECK (length(terminal) > 0),
    business_date      TEXT,
    serial_number      BIGINT    CHECK (serial_number > 0),
    business           TEXT      NOT NULL,
    fingerprint        BYTEA     NOT NULL,
    proof_id           UUID,
    card_id            UUID,
    card_number        TEXT      NOT NULL,
    person_id          UUID,
    insurance_kind     TEXT      NOT NULL,
    place_insured      TEXT      NOT NULL,
    rule               TEXT      NOT NULL,
    routes_version     TEXT      NOT NULL,
    backend            TEXT      NOT NULL,
    total_fen          BIGINT    NOT NULL CHECK (total_fen >= 0),
    fund_fen           BIGINT    NOT NULL DEFAULT 0 CHECK (fund_fen >= 0),
    account_fen        BIGINT    NOT NULL DEFAULT 0 CHECK (account_fen >= 0),
    cash_fen           BIGINT    NOT NULL DEFAULT 0 CHECK (cash_fen >= 0),
    balance_fen        BIGINT    NOT NULL DEFAULT 0 CHECK (balance_fen >= 0),
    items              TEXT      NOT NULL,
    lines              TEXT      NOT NULL,
    refusal            TEXT      NOT NULL,
    reversal_reason    TEXT      NOT NULL,
    operator           TEXT      NOT NULL,
    created_at         TIMESTAMP NOT NULL,
    deadline           TIMESTAMP NOT NULL,
    ended_at           TIMESTAMP,
    CHECK ((state IN ('pending', 'unknown', 'reversing')) = (ended_at IS NULL)),
    CHECK (state <> 'confirmed' OR fund_fen + account_fen + cash_fen = total_fen),
    CHECK (state = 'blocked' OR (business_date IS NOT NULL AND serial_number IS NOT NULL AND proof_id IS NOT NULL
        AND card_id IS NOT NULL AND person_id IS NOT NULL AND total_fen > 0 AND length(rule) > 0 AND length(backend) > 0)),
    UNIQUE (institution, terminal, business_date, serial_number)
);

-- what recovery works on
CREATE INDEX transactions_open ON transactions (backend, id) WHERE state IN ('pending', 'unknown', 'reversing');

-- 参保登记: who is insured where and how, in the reference back end.
CREATE TABLE insurance_insured (
    person_id  UUID NOT NULL PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('employee', 'resident')),
    place      TEXT NOT NULL CHECK (length(place) = 6),
    from_date  TEXT NOT NULL,
    until_date TEXT CHECK (until_date >= from_date)
);

-- 账户: balance = credits - debits of the transfers. Only the outside world may
-- stand below zero, so that all balances together are always zero.
CREATE TABLE insurance_accounts (
    id          TEXT   NOT NULL PRIMARY KEY,
    kind        TEXT   NOT NULL CHECK (kind IN ('personal', 'pool', 'receivable', 'drawer', 'outside')),
    balance_fen BIGINT NOT NULL DEFAULT 0,
    CHECK (kind = 'outside' OR balance_fen >= 0)
);

-- 结算: one row per transaction id that the back end has an answer for.
CREATE TABLE insurance_settlements (
    id             UUID      NOT NULL PRIMARY KEY,
    state          TEXT      NOT NULL CHECK (state IN ('confirmed', 'declined', 'reversed', 'blocked')),
    fingerprint    BYTEA     NOT NULL,
    person_id      UUID,
    year           INTEGER   NOT NULL,
    kind           TEXT      NOT NULL,
    total_fen      BIGINT    NOT NULL CHECK (total_fen >= 0),
    fund_fen       BIGINT    NOT NULL CHECK (fund_fen >= 0),
    account_fen    BIGINT    NOT NULL CHECK (account_fen >= 0),
    cash_fen       BIGINT    NOT NULL CHECK (cash_fen >= 0),
    deductible_fen BIGINT    NOT NULL CHECK (deductible_fen >= 0),
    outcome        TEXT      NOT NULL,
    settled_at     TIMESTAMP NOT NULL,
    reversed_at    TIMESTAMP,
    CHECK (state NOT IN ('confirmed', 'reversed') OR fund_fen + account_fen + cash_fen = total_fen),
    CHECK ((state = 'reversed') = (reversed_at IS NOT NULL))
);
CREATE INDEX insurance_settlements_person ON insurance_settlements (person_id, year, kind);

-- 账务流水: append only. One transfer takes amount from debit and gives it to
-- credit; a counter-transfer names the transfer that it takes back.
CREATE TABLE insurance_transfers (
    cause      UUID      NOT NULL,
    number     INTEGER   NOT NULL CHECK (number > 0),
    debit      TEXT      NOT NULL REFERENCES insurance_accounts (id),
    credit     TEXT      NOT NULL REFERENCES insurance_accounts (id),
    amount_fen BIGINT    NOT NULL CHECK (amount_fen > 0),
    reverses   INTEGER   CHECK (reverses < number),
    at         TIMESTAMP NOT NULL,
    PRIMARY KEY (cause, number),
    UNIQUE (cause, reverses),
    CHECK (debit <> credit)
);

-- 年度累计: what a person has used of the year's deductible and cap.
CREATE TABLE insurance_accumulators (
    person_id      UUID    NOT NULL,
    year           INTEGER NOT NULL,
    kind           TEXT    NOT NULL,
    deductible_fen BIGINT  NOT NULL CHECK (deductible_fen >= 0),
    fund_fen       BIGINT  NOT NULL CHECK (fund_fen >= 0),
    PRIMARY KEY (person_id, year, kind)
);

-- +goose Down

DROP TABLE insurance_accumulators;
DROP TABLE insurance_transfers;
DROP TABLE insurance_settlements;
DROP TABLE insurance_accounts;
DROP TABLE insurance_insured;
DROP TABLE transactions;
