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
COMMIT;
PRAGMA foreign_keys = ON;
