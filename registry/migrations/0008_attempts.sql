-- +goose Up

-- 认证尝试: how often in a row a chip was asked to accept an authentication that
-- it counts, without an answer that it did. Counted before the chip is asked.
CREATE TABLE chip_attempts (
    atr  TEXT      NOT NULL PRIMARY KEY CHECK (length(atr) > 0),
    open INTEGER   NOT NULL CHECK (open >= 0),
    at   TIMESTAMP NOT NULL
);

-- +goose Down
DROP TABLE chip_attempts;
