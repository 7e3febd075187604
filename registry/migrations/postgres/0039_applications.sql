-- +goose Up

-- 卡的全生命周期. The same change as in ../sqlite/0040_life.sql. Which states an
-- application and a card can be in, and which follows which, is no longer said
-- here: triggers made from the table of the workflow hold it.
ALTER TABLE operator_roles DROP CONSTRAINT operator_roles_role_check;
ALTER TABLE operator_roles ADD CONSTRAINT operator_roles_role_check CHECK (role IN ('clerk', 'reviewer', 'issuer', 'supervisor', 'cashier', 'admin', 'producer', 'storekeeper'));

ALTER TABLE applications DROP CONSTRAINT applications_kind_check;
ALTER TABLE applications DROP CONSTRAINT applications_state_check;
ALTER TABLE applications DROP CONSTRAINT applications_reviewed;
ALTER TABLE applications ADD CONSTRAINT applications_kind_check CHECK (kind IN ('first', 'replacement', 'exchange', 'temporary'));
ALTER TABLE applications ADD COLUMN method TEXT NOT NULL DEFAULT 'instant' CHECK (method IN ('instant', 'batch'));
ALTER TABLE applications ADD COLUMN channel TEXT NOT NULL DEFAULT 'counter' CHECK (length(channel) BETWEEN 1 AND 16);
ALTER TABLE applications ADD COLUMN applicant TEXT NOT NULL DEFAULT 'holder' CHECK (applicant IN ('holder', 'guardian', 'agent', 'employer', 'school', 'community', 'bank'));
ALTER TABLE applications ADD COLUMN agent_sealed BYTEA;
ALTER TABLE applications ADD COLUMN ground TEXT NOT NULL DEFAULT '';
ALTER TABLE applications ADD COLUMN previous_id UUID REFERENCES cards (id);
ALTER TABLE applications ADD COLUMN holder_index BYTEA CHECK (length(holder_index) = 16);
ALTER TABLE applications ADD COLUMN made_by TEXT CHECK (length(made_by) > 0);
ALTER TABLE applications ADD COLUMN handed_by TEXT CHECK (length(handed_by) > 0);
ALTER TABLE applications ADD COLUMN stage_since TIMESTAMP;
ALTER TABLE applications ADD COLUMN due_at TIMESTAMP;
UPDATE applications SET stage_since = changed_at;
ALTER TABLE applications ADD CONSTRAINT applications_reviewed CHECK (state IN ('draft', 'applied', 'returned', 'withdrawn') OR (reviewed_by IS NOT NULL AND card_number IS NOT NULL));
ALTER TABLE applications ADD CONSTRAINT applications_previous CHECK ((kind IN ('replacement', 'exchange')) = (previous_id IS NOT NULL));
-- Who entered and who reviewed are two persons; so a card that was made and
-- handed over has passed through two at least, whoever made it (无人可独自发卡).
ALTER TABLE applications ADD CONSTRAINT applications_alone CHECK (handed_by IS NULL OR (reviewed_by IS NOT NULL AND made_by IS NOT NULL));
DROP INDEX applications_running;
CREATE UNIQUE INDEX applications_running ON applications (person_id) WHERE state IN ('applied', 'numbered', 'batched', 'personalising', 'made');
DROP INDEX applications_state;
CREATE INDEX applications_queue ON applications (state, place, due_at, id);

ALTER TABLE cards ADD COLUMN kind TEXT NOT NULL DEFAULT 'permanent' CHECK (kind IN ('permanent', 'temporary'));
ALTER TABLE cards ADD COLUMN application_id UUID UNIQUE REFERENCES applications (id);
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
