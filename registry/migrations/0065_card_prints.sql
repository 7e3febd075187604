-- +goose Up

-- 卡面打印记录: every time a card was printed, and what became of it as whoever
-- looked at the card says. It is apart from the chip's state: a face may be
-- printed again, with a reason; a chip is written once.
CREATE TABLE card_prints (
    id          UUID      NOT NULL PRIMARY KEY,
    card_id     UUID      NOT NULL REFERENCES cards (id),
    attempt     INTEGER   NOT NULL CHECK (attempt >= 1),
    printer     TEXT      NOT NULL CHECK (length(printer) BETWEEN 1 AND 64),
    outcome     TEXT      NOT NULL CHECK (outcome IN ('printed', 'failed')),
    cause       TEXT      NOT NULL, -- why it failed
    again       BOOLEAN   NOT NULL, -- the card had been printed well before
    reason      TEXT      NOT NULL, -- why it was printed again
    operator    TEXT      NOT NULL CHECK (length(operator) > 0),
    workstation TEXT      NOT NULL,
    at          TIMESTAMP NOT NULL,
    CONSTRAINT card_prints_attempt UNIQUE (card_id, attempt),
    CONSTRAINT card_prints_cause CHECK ((outcome = 'failed') = (length(cause) > 0)),
    CONSTRAINT card_prints_reason CHECK (again = (length(reason) > 0))
);

-- +goose Down
DROP TABLE card_prints;
