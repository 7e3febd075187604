-- +goose Up

-- 卡: a card and its life (AAZ502). At most one card of a person is in force.
CREATE TABLE cards (
    id           UUID      NOT NULL PRIMARY KEY,
    number       TEXT      NOT NULL UNIQUE CHECK (length(number) = 9),
    chip_id      TEXT      NOT NULL UNIQUE CHECK (length(chip_id) = 32),
    chip_serial  TEXT      NOT NULL CHECK (length(chip_serial) = 8),
    atr          TEXT      NOT NULL UNIQUE,
    person_id    UUID      NOT NULL REFERENCES persons (id),
    spec_version TEXT      NOT NULL CHECK (length(spec_version) = 4),
    key_version  INTEGER   NOT NULL CHECK (key_version BETWEEN 1 AND 254),
    status       TEXT      NOT NULL CHECK (status IN ('0', '1', '2', '3', '4', '9')),
    issued_on    TEXT      NOT NULL CHECK (length(issued_on) = 10),
    expires_on   TEXT      NOT NULL CHECK (length(expires_on) = 10),
    created_at   TIMESTAMP NOT NULL,
    changed_at   TIMESTAMP NOT NULL,
    CONSTRAINT cards_period CHECK (expires_on > issued_on)
);
CREATE UNIQUE INDEX cards_in_force ON cards (person_id) WHERE status IN ('0', '1', '2', '3', '4');
CREATE INDEX cards_person ON cards (person_id, id);

-- 申领: an application. Whoever entered it does not review it, and a person has
-- one that runs. The states are those of the workflow table.
CREATE TABLE applications (
    id          UUID      NOT NULL PRIMARY KEY,
    person_id   UUID      NOT NULL REFERENCES persons (id),
    kind        TEXT      NOT NULL CHECK (kind IN ('first')),
    place       TEXT      NOT NULL CHECK (length(place) = 6),
    state       TEXT      NOT NULL CHECK (state IN ('applied', 'returned', 'withdrawn', 'numbered', 'personalising', 'made', 'handed', 'cancelled')),
    card_number TEXT      UNIQUE CHECK (length(card_number) = 9),
    card_id     UUID      UNIQUE REFERENCES cards (id),
    entered_by  TEXT      NOT NULL CHECK (length(entered_by) > 0),
    reviewed_by TEXT      CHECK (length(reviewed_by) > 0),
    reason      TEXT      NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    changed_at  TIMESTAMP NOT NULL,
    CONSTRAINT applications_four_eyes CHECK (reviewed_by <> entered_by),
    CONSTRAINT applications_reviewed CHECK (state IN ('applied', 'returned', 'withdrawn') OR (reviewed_by IS NOT NULL AND card_number IS NOT NULL)),
    CONSTRAINT applications_made CHECK ((state IN ('made', 'handed', 'cancelled')) = (card_id IS NOT NULL))
);
CREATE UNIQUE INDEX applications_running ON applications (person_id) WHERE state IN ('applied', 'numbered', 'personalising', 'made');
CREATE INDEX applications_state ON applications (state, id);
CREATE INDEX applications_person ON applications (person_id, id);

-- 卡状态变更: every change of a card's status, with who made it and why.
CREATE TABLE card_status_log (
    id          UUID      NOT NULL PRIMARY KEY,
    card_id     UUID      NOT NULL REFERENCES cards (id),
    event       TEXT      NOT NULL CHECK (length(event) > 0),
    from_status TEXT      NOT NULL,
    to_status   TEXT      NOT NULL,
    reason      TEXT      NOT NULL,
    operator    TEXT      NOT NULL,
    workstation TEXT      NOT NULL,
    at          TIMESTAMP NOT NULL,
    CONSTRAINT card_status_log_change CHECK (from_status <> to_status)
);
CREATE INDEX card_status_log_card ON card_status_log (card_id, id);

-- 序列: the body of the next card number and the next change of the list of
-- invalid cards. A row stays locked until its transaction ends, so that the
-- numbers are in the order of the commits.
CREATE TABLE card_number_sequence (
    name TEXT   NOT NULL PRIMARY KEY,
    next BIGINT NOT NULL CHECK (next >= 0)
);
INSERT INTO card_number_sequence (name, next) VALUES ('card', 10000000), ('invalid', 1);

-- 制卡流水: what is to be written on which chip, stored before the first write;
-- intention and receipt are sealed.
CREATE TABLE personalisations (
    id             UUID      NOT NULL PRIMARY KEY,
    application_id UUID      NOT NULL REFERENCES applications (id),
    chip_serial    TEXT      NOT NULL CHECK (length(chip_serial) = 8),
    atr            TEXT      NOT NULL,
    card_number    TEXT      NOT NULL UNIQUE CHECK (length(card_number) = 9),
    intention      BYTEA     NOT NULL,
    receipt        BYTEA,
    key_version    INTEGER   NOT NULL CHECK (key_version BETWEEN 1 AND 254),
    state          TEXT      NOT NULL CHECK (state IN ('begun', 'made', 'spoiled')),
    attempts       INTEGER   NOT NULL CHECK (attempts >= 1),
    begun_at       TIMESTAMP NOT NULL,
    ended_at       TIMESTAMP,
    CONSTRAINT personalisations_ended CHECK ((state = 'begun') = (ended_at IS NULL)),
    CONSTRAINT personalisations_receipt CHECK ((state = 'made') = (receipt IS NOT NULL))
);
CREATE UNIQUE INDEX personalisations_application ON personalisations (application_id) WHERE state IN ('begun', 'made');
-- A chip is used once: a spoiled one is never tried again.
CREATE UNIQUE INDEX personalisations_chip ON personalisations (atr);

-- 芯片会话: work on a chip between two scripts; state and answer are sealed. A
-- chip and a reader are in one open session at most.
CREATE TABLE chip_sessions (
    id          UUID      NOT NULL PRIMARY KEY,
    operation   TEXT      NOT NULL,
    work        TEXT      NOT NULL,
    operator    TEXT      NOT NULL,
    workstation TEXT      NOT NULL,
    place       TEXT      NOT NULL CHECK (length(place) = 6),
    reader      TEXT      NOT NULL,
    atr         TEXT      NOT NULL,
    subject     TEXT      NOT NULL,
    seq         INTEGER   NOT NULL CHECK (seq >= 0),
    status      TEXT      NOT NULL CHECK (status IN ('open', 'done', 'failed', 'superseded')),
    state       BYTEA     NOT NULL,
    asked       BYTEA     NOT NULL,
    answer      BYTEA     NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    changed_at  TIMESTAMP NOT NULL,
    expires_at  TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX chip_sessions_chip ON chip_sessions (atr) WHERE status = 'open';
CREATE UNIQUE INDEX chip_sessions_reader ON chip_sessions (workstation, reader) WHERE status = 'open';
CREATE INDEX chip_sessions_subject ON chip_sessions (subject) WHERE status = 'open';

-- 失效名单: the changes that terminals must know, in the order in which they
-- happened; status 1 takes a card off the list.
CREATE TABLE invalid_cards (
    seq         BIGINT    NOT NULL PRIMARY KEY CHECK (seq >= 1),
    card_id     UUID      NOT NULL REFERENCES cards (id),
    chip_id     TEXT      NOT NULL CHECK (length(chip_id) = 32),
    card_number TEXT      NOT NULL CHECK (length(card_number) = 9),
    status      TEXT      NOT NULL CHECK (status IN ('0', '1', '2', '3', '4', '9')),
    at          TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX invalid_cards_card ON invalid_cards (card_id, seq);
