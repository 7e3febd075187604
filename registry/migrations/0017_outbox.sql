-- +goose Up

-- 待发消息: what peers are to be told, written in the transaction of the change
-- that it tells of. What is about a person names the person only: the message
-- itself is made when it is handed over, sealed to the peer.
CREATE TABLE outbox (
    id        UUID      NOT NULL PRIMARY KEY,
    at        TIMESTAMP NOT NULL,
    topic     TEXT      NOT NULL CHECK (length(topic) BETWEEN 1 AND 64),
    place     TEXT      NOT NULL CHECK (length(place) = 6),
    subject   TEXT      NOT NULL CHECK (length(subject) > 0),
    body      TEXT      NOT NULL,
    handed_at TIMESTAMP
);
CREATE INDEX outbox_waiting ON outbox (id) WHERE handed_at IS NULL;

-- 已收消息: what peers sent, once each, with what became of it.
CREATE TABLE received (
    peer    TEXT      NOT NULL CHECK (length(peer) > 0),
    id      UUID      NOT NULL,
    topic   TEXT      NOT NULL,
    at      TIMESTAMP NOT NULL,
    outcome TEXT      NOT NULL,
    PRIMARY KEY (peer, id)
);

-- +goose Down
DROP TABLE received;
DROP TABLE outbox;
