-- +goose Up

-- 换密钥进度: how far the newest re-sealing run has come in each table. head is
-- what values begin with under the key that it seals with, after the key of the
-- last row that it has seen.
CREATE TABLE reseal_progress (
    table_name TEXT      NOT NULL PRIMARY KEY,
    head       BYTEA     NOT NULL CHECK (length(head) = 3),
    after      TEXT      NOT NULL,
    done       BOOLEAN   NOT NULL,
    seen       BIGINT    NOT NULL CHECK (seen >= 0),
    resealed   BIGINT    NOT NULL CHECK (resealed BETWEEN 0 AND seen),
    changed_at TIMESTAMP NOT NULL
);

-- +goose Down
DROP TABLE reseal_progress;
