-- +goose Up

-- 审计: entries are only ever added. The same change as in
-- ../sqlite/0016_audit.sql.
-- +goose StatementBegin
CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = '23000', CONSTRAINT = 'audit_stays', TABLE = TG_TABLE_NAME;
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_heads_stay BEFORE DELETE OR TRUNCATE ON audit_heads FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();

-- 链尾签名: signed statements of the ends of chains, as JWS.
CREATE TABLE audit_checkpoints (
    id        UUID      NOT NULL PRIMARY KEY,
    at        TIMESTAMP NOT NULL,
    statement TEXT      NOT NULL CHECK (length(statement) > 0)
);
CREATE INDEX audit_checkpoints_at ON audit_checkpoints (at);
CREATE TRIGGER audit_checkpoints_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();

-- +goose Down
DROP TABLE audit_checkpoints;
DROP TRIGGER audit_heads_stay ON audit_heads;
DROP TRIGGER audit_entries_stay ON audit_entries;
DROP FUNCTION audit_stays;
