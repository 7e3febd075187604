-- +goose Up

-- 未能转发: what a peer could not be told, because its mapping table has no way to
-- say it; field and reason, no values.
CREATE TABLE undelivered (
    message_id UUID      NOT NULL REFERENCES outbox (id),
    peer       TEXT      NOT NULL CHECK (length(peer) BETWEEN 1 AND 64),
    topic      TEXT      NOT NULL,
    subject    TEXT      NOT NULL,
    why        TEXT      NOT NULL CHECK (length(why) > 0),
    at         TIMESTAMP NOT NULL,
    PRIMARY KEY (message_id, peer)
);

-- Messages that wait name the status as the mapping tables do.
UPDATE outbox SET body = replace(body, '"status":', '"cardStatus":') WHERE topic = 'card.status' AND handed_at IS NULL;

-- +goose Down
DROP TABLE undelivered;
