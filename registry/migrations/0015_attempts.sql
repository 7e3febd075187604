-- +goose Up

-- 认证尝试 are counted per key of a chip: each key of a chip has its own counter,
-- and a good answer under one says nothing of another.
DROP TABLE chip_attempts;
CREATE TABLE chip_attempts (
    atr  TEXT      NOT NULL CHECK (length(atr) > 0),
    key  TEXT      NOT NULL CHECK (length(key) > 0),
    open INTEGER   NOT NULL CHECK (open >= 1),
    at   TIMESTAMP NOT NULL,
    PRIMARY KEY (atr, key)
);
ALTER TABLE chip_sessions ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0);

-- +goose Down
ALTER TABLE chip_sessions DROP COLUMN attempts;
DROP TABLE chip_attempts;
CREATE TABLE chip_attempts (
    atr  TEXT      NOT NULL PRIMARY KEY CHECK (length(atr) > 0),
    open INTEGER   NOT NULL CHECK (open >= 0),
    at   TIMESTAMP NOT NULL
);
