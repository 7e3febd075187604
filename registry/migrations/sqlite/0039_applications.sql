-- +goose NO TRANSACTION
-- +goose Up

-- 卡的全生命周期. Which states an application and a card can be in, and which
-- follows which, is no longer said here: triggers made from the table of the
-- workflow hold it. SQLite cannot change a CHECK: the tables are made anew, by
-- the steps of its own manual (ALTER TABLE, 7).
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;
CREATE TABLE operator_roles_new (
    operator TEXT NOT NULL REFERENCES operators (login),
    role     TEXT NOT NULL CHECK (role IN ('clerk', 'reviewer', 'issuer', 'supervisor', 'cashier', 'admin', 'producer', 'storekeeper')),
    PRIMARY KEY (operator, role)
);
INSERT INTO operator_roles_new (operator, role) SELECT operator, role FROM operator_roles;
DROP TABLE operator_roles;
ALTER TABLE operator_roles_new RENAME TO operator_roles;

CREATE TABLE applications_new (
    id          UUID      NOT NULL PRIMARY KEY,
    person_id   UUID      NOT NULL REFERENCES persons (id),
    kind        TEXT      NOT NULL CHECK (kind IN ('first', 'replacement', 'exchange', 'temporary')),
    place       TEXT      NOT NULL CHECK (length(place) = 6),
    state       TEXT      NOT NULL,
    card_number TEXT      UNIQUE CHECK (length(card_number) = 9),
    card_id     UUID      UNIQUE REFERENCES cards (id),
    entered_by  TEXT      NOT NULL CHECK (length(entered_by) > 0),
    reviewed_by TEXT      CHECK (length(reviewed_by) > 0),
    reason      TEXT      NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    changed_at  TIMESTAMP NOT NULL,
    method      TEXT      NOT NULL DEFAULT 'instant' CHECK (method IN ('instant', 'batch')),
    channel     TEXT      NOT NULL DEFAULT 'counter' CHECK (length(channel) BETWEEN 1 AND 16),
    applicant   TEXT      NOT NULL DEFAULT 'holder' CHECK (applicant IN ('holder', 'guardian', 'agent', 'employer', 'school', 'community', 'bank')),
    agent_sealed BYTEA,
    ground      TEXT      NOT NULL DEFAULT '',
    previous_id UUID      REFERENCES cards (id),
    holder_index BYTEA    CHECK (length(holder_index) = 16),
    made_by     TEXT      CHECK (length(made_by) > 0),
    handed_by   TEXT      CHECK (length(handed_by) > 0),
    stage_since TIMESTAMP,
    due_at      TIMESTAMP,
    locality    TEXT      REFERENCES localities (code),
    CONSTRAINT applications_four_eyes CHECK (reviewed_by <> entered_by),
    CONSTRAINT applications_reviewed CHECK (state IN ('draft', 'applied', 'returned', 'withdrawn') OR (reviewed_by IS NOT NULL AND card_number IS NOT NULL)),
    CONSTRAINT applications_made CHECK ((state IN ('made', 'handed', 'cancelled')) = (card_id IS NOT NULL)),
    CONSTRAINT applications_previous CHECK ((kind IN ('replacement', 'exchange')) = (previous_id IS NOT NULL)),
    -- Who entered and who reviewed are two persons; so a card that was made and
    -- handed over has passed through two at least, whoever made it (无人可独自发卡).
    CONSTRAINT applications_alone CHECK (handed_by IS NULL OR (reviewed_by IS NOT NULL AND made_by IS NOT NULL))
);
INSERT INTO applications_new (id, person_id, kind, place, state, card_number, card_id, entered_by, reviewed_by, reason, created_at, changed_at, stage_since, locality)
    SELECT id, person_id, kind, place, state, card_number, card_id, entered_by, reviewed_by, reason, created_at, changed_at, changed_at, locality FROM applications;
DROP TABLE applications;
ALTER TABLE applications_new RENAME TO applications;
CREATE UNIQUE INDEX applications_running ON applications (person_id) WHERE state IN ('applied', 'numbered', 'batched', 'personalising', 'made');
CREATE INDEX applications_queue ON applications (state, place, due_at, id);
CREATE INDEX applications_person ON applications (person_id, id);
CREATE INDEX applications_place ON applications (place, id);
CREATE INDEX applications_locality ON applications (locality, id) WHERE locality IS NOT NULL;

ALTER TABLE cards ADD COLUMN kind TEXT NOT NULL DEFAULT 'permanent' CHECK (kind IN ('permanent', 'temporary'));
ALTER TABLE cards ADD COLUMN application_id UUID REFERENCES applications (id);
CREATE UNIQUE INDEX cards_application ON cards (application_id);
ALTER TABLE cards ADD COLUMN loss_ends_at TIMESTAMP;
ALTER TABLE cards ADD COLUMN loss_warned_at TIMESTAMP;
UPDATE cards SET application_id = (SELECT id FROM applications WHERE applications.card_id = cards.id);
-- 一人一卡: one card of a person works; one of a kind is in use, one of a kind waits
-- to be handed over.
DROP INDEX cards_in_force;
CREATE UNIQUE INDEX cards_working ON cards (person_id) WHERE status = '1';
CREATE UNIQUE INDEX cards_in_use ON cards (person_id, kind) WHERE status IN ('1', '2', '3', '4');
CREATE UNIQUE INDEX cards_waiting ON cards (person_id, kind) WHERE status = '0';
CREATE INDEX cards_loss_ends ON cards (loss_ends_at) WHERE status = '4';
CREATE INDEX cards_lost ON cards (changed_at) WHERE status = '2';
CREATE INDEX cards_expire ON cards (expires_on) WHERE kind = 'temporary' AND status IN ('0', '1', '2', '3', '4');

-- An application whose card was scrapped is made again.
DROP INDEX personalisations_application;
CREATE UNIQUE INDEX personalisations_application ON personalisations (application_id) WHERE state = 'begun';

ALTER TABLE card_status_log ADD COLUMN reason_code TEXT NOT NULL DEFAULT '';
ALTER TABLE card_status_log ADD COLUMN channel TEXT NOT NULL DEFAULT 'counter';

-- 通知: what one peer must know of a card or a person, and whether it does. What
-- is about a person names the person only; the message is made when it leaves.
CREATE TABLE deliveries (
    id         UUID      NOT NULL PRIMARY KEY,
    peer       TEXT      NOT NULL CHECK (length(peer) BETWEEN 1 AND 32),
    rank       INTEGER   NOT NULL CHECK (rank BETWEEN 1 AND 9),
    topic      TEXT      NOT NULL CHECK (length(topic) BETWEEN 1 AND 64),
    place      TEXT      NOT NULL CHECK (length(place) = 6),
    subject    TEXT      NOT NULL CHECK (length(subject) > 0),
    body       TEXT      NOT NULL,
    state      TEXT      NOT NULL CHECK (state IN ('waiting', 'acknowledged', 'refused')),
    attempts   INTEGER   NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    at         TIMESTAMP NOT NULL,
    next_at    TIMESTAMP NOT NULL,
    ended_at   TIMESTAMP,
    code       TEXT      NOT NULL DEFAULT '',
    answer     TEXT      NOT NULL DEFAULT '',
    CONSTRAINT deliveries_ended CHECK ((state = 'waiting') = (ended_at IS NULL))
);
CREATE INDEX deliveries_due ON deliveries (peer, next_at) WHERE state = 'waiting';
CREATE INDEX deliveries_subject ON deliveries (subject, peer, id);
CREATE INDEX outbox_subject ON outbox (subject, id);
COMMIT;
PRAGMA foreign_keys = ON;
