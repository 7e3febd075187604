-- +goose Up

-- 盲索引密钥的版本: the version of the key INDEX under which a transaction that
-- ends in this chain has to have written. A change of the key moves all chains
-- at once, so that whoever has not heard of it writes nothing more.
ALTER TABLE audit_heads ADD COLUMN index_version BIGINT NOT NULL DEFAULT 1;

-- 换盲索引密钥进度: how far the run to a version has come in each table. A pass
-- that finds nothing to change in any table is the proof that it is done.
CREATE TABLE reindex_progress (
    table_name TEXT      NOT NULL PRIMARY KEY,
    version    BIGINT    NOT NULL CHECK (version > 0),
    pass       BIGINT    NOT NULL CHECK (pass > 0),
    after      TEXT      NOT NULL,
    done       BOOLEAN   NOT NULL,
    seen       BIGINT    NOT NULL CHECK (seen >= 0),
    changed    BIGINT    NOT NULL CHECK (changed >= 0),
    strange    BIGINT    NOT NULL CHECK (strange >= 0),
    changed_at TIMESTAMP NOT NULL
);

-- The number of a row that a merge moved is found when its digest changes.
CREATE INDEX merge_moves_row ON merge_moves (row_key, kind);

-- +goose Down
DROP INDEX merge_moves_row;
DROP TABLE reindex_progress;
ALTER TABLE audit_heads DROP COLUMN index_version;
