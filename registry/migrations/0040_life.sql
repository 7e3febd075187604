-- +goose Up

-- 卡的全生命周期: cards of two kinds, what ends by itself, and who was told.
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
