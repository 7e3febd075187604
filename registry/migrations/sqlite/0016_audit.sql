-- +goose Up

-- 审计: entries are only ever added. The same change as in
-- ../postgres/0016_audit.sql.
-- +goose StatementBegin
CREATE TRIGGER audit_entries_stay_update BEFORE UPDATE ON audit_entries BEGIN SELECT RAISE(ABORT, 'audit_stays'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_entries_stay_delete BEFORE DELETE ON audit_entries BEGIN SELECT RAISE(ABORT, 'audit_stays'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_heads_stay_delete BEFORE DELETE ON audit_heads BEGIN SELECT RAISE(ABORT, 'audit_stays'); END;
-- +goose StatementEnd

-- 链尾签名: signed statements of the ends of chains, as JWS.
CREATE TABLE audit_checkpoints (
    id        UUID      NOT NULL PRIMARY KEY,
    at        TIMESTAMP NOT NULL,
    statement TEXT      NOT NULL CHECK (length(statement) > 0)
);
CREATE INDEX audit_checkpoints_at ON audit_checkpoints (at);
-- +goose StatementBegin
CREATE TRIGGER audit_checkpoints_stay_update BEFORE UPDATE ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'audit_stays'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_checkpoints_stay_delete BEFORE DELETE ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'audit_stays'); END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE audit_checkpoints;
DROP TRIGGER audit_heads_stay_delete;
DROP TRIGGER audit_entries_stay_delete;
DROP TRIGGER audit_entries_stay_update;
