-- +goose Up

-- 外部单位: who may fetch and send, and what of which places. topics and sends
-- are lists of words, places of prefixes of division codes, with blanks between.
CREATE TABLE peers (
    name        TEXT      NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    fingerprint TEXT      NOT NULL UNIQUE CHECK (length(fingerprint) = 64),
    certificate BYTEA     NOT NULL,
    topics      TEXT      NOT NULL,
    sends       TEXT      NOT NULL,
    places      TEXT      NOT NULL,
    last        BIGINT    NOT NULL DEFAULT 0 CHECK (last >= 0),
    changed_at  TIMESTAMP NOT NULL
);

-- 发送: messages for a peer, numbered without gaps, sealed to its certificate.
CREATE TABLE messages (
    peer       TEXT      NOT NULL REFERENCES peers (name),
    seq        BIGINT    NOT NULL CHECK (seq >= 1),
    id         UUID      NOT NULL,
    topic      TEXT      NOT NULL,
    body       TEXT      NOT NULL,
    at         TIMESTAMP NOT NULL,
    stored_at  TIMESTAMP NOT NULL,
    fetched_at TIMESTAMP,
    PRIMARY KEY (peer, seq),
    UNIQUE (peer, id)
);

-- 接收: what a peer sent, sealed to the province, and what became of it.
CREATE TABLE inbox (
    peer        TEXT      NOT NULL REFERENCES peers (name),
    id          UUID      NOT NULL,
    topic       TEXT      NOT NULL,
    body        TEXT      NOT NULL,
    received_at TIMESTAMP NOT NULL,
    taken_at    TIMESTAMP,
    outcome     TEXT      NOT NULL DEFAULT '',
    PRIMARY KEY (peer, id)
);
CREATE INDEX inbox_waiting ON inbox (received_at) WHERE taken_at IS NULL;

-- +goose Down
DROP TABLE inbox;
DROP TABLE messages;
DROP TABLE peers;
