-- +goose Up

-- 对照表: by which mapping table a peer is spoken with; empty: the one of its name.
ALTER TABLE peers ADD COLUMN mapping TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE peers DROP COLUMN mapping;
