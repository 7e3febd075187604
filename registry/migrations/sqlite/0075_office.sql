-- +goose NO TRANSACTION
-- +goose Up

-- 申领的乡镇窗口: 0040 made the table anew without the column that 0025 had added
-- to it. It is made anew with it; where the column is (0040 came before 0025),
-- its values stay: the inner locality is the table's own if there is one, else
-- the empty one outside.
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;
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
    CONSTRAINT applications_alone CHECK (handed_by IS NULL OR (reviewed_by IS NOT NULL AND made_by IS NOT NULL))
);
INSERT INTO applications_new (id, person_id, kind, place, state, card_number, card_id, entered_by, reviewed_by, reason, created_at, changed_at,
        method, channel, applicant, agent_sealed, ground, previous_id, holder_index, made_by, handed_by, stage_since, due_at, locality)
    SELECT a.id, a.person_id, a.kind, a.place, a.state, a.card_number, a.card_id, a.entered_by, a.reviewed_by, a.reason, a.created_at, a.changed_at,
        a.method, a.channel, a.applicant, a.agent_sealed, a.ground, a.previous_id, a.holder_index, a.made_by, a.handed_by, a.stage_since, a.due_at,
        (SELECT locality FROM applications own WHERE own.id = a.id)
    FROM (SELECT NULL AS locality) nowhere CROSS JOIN applications a;
DROP TABLE applications;
ALTER TABLE applications_new RENAME TO applications;
CREATE UNIQUE INDEX applications_running ON applications (person_id) WHERE state IN ('applied', 'numbered', 'batched', 'personalising', 'made');
CREATE INDEX applications_queue ON applications (state, place, due_at, id);
CREATE INDEX applications_person ON applications (person_id, id);
CREATE INDEX applications_place ON applications (place, id);
CREATE INDEX applications_locality ON applications (locality, id) WHERE locality IS NOT NULL;
COMMIT;
PRAGMA foreign_keys = ON;
