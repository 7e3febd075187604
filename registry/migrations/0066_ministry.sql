-- +goose Up

-- 部级持卡库中的副本: what the ministry was last told of a card, and what it said.
-- version counts what was told; the same content keeps its version, so that
-- telling it again is the same message. digest is a keyed digest of the content.
CREATE TABLE ministry_copies (
    card_id     UUID      NOT NULL PRIMARY KEY REFERENCES cards (id),
    version     BIGINT    NOT NULL CHECK (version >= 1),
    digest      BYTEA     NOT NULL CHECK (length(digest) = 16),
    status      TEXT      NOT NULL CHECK (status IN ('0', '1', '2', '3', '4', '9')),
    known       BOOLEAN   NOT NULL, -- the ministry has registered the card
    code        TEXT      NOT NULL, -- of its last answer
    answer      TEXT      NOT NULL,
    sent_at     TIMESTAMP NOT NULL,
    answered_at TIMESTAMP
);
CREATE INDEX cards_ministry ON cards (ministry_state, id) WHERE ministry_state <> 'accepted';

-- 向部里的定期工作: a monthly statistic sent, a day's comparison done, once each.
CREATE TABLE ministry_reports (
    kind    TEXT      NOT NULL CHECK (kind IN ('statistics', 'compare')),
    period  TEXT      NOT NULL CHECK (length(period) IN (7, 10)),
    at      TIMESTAMP NOT NULL,
    counts  TEXT      NOT NULL,
    PRIMARY KEY (kind, period)
);

-- +goose Down
DROP TABLE ministry_reports;
DROP INDEX cards_ministry;
DROP TABLE ministry_copies;
