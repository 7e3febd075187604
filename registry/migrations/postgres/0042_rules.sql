-- +goose Up

-- 规则版本: who started the platform with the text, where and why; a version is
-- never changed. The same change as in ../sqlite/0042_rules.sql.
ALTER TABLE rule_versions ADD COLUMN changed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE rule_versions ADD COLUMN changed_on TEXT NOT NULL DEFAULT '';
ALTER TABLE rule_versions ADD COLUMN change_reason TEXT NOT NULL DEFAULT '';
-- +goose StatementBegin
CREATE FUNCTION rule_versions_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version of a rule is never changed' USING ERRCODE = '23000', CONSTRAINT = 'rule_versions_stay', TABLE = TG_TABLE_NAME;
END $$;
-- +goose StatementEnd
CREATE TRIGGER rule_versions_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_versions FOR EACH STATEMENT EXECUTE FUNCTION rule_versions_stay();

-- +goose Down
DROP TRIGGER rule_versions_stay ON rule_versions;
DROP FUNCTION rule_versions_stay;
ALTER TABLE rule_versions DROP COLUMN change_reason;
ALTER TABLE rule_versions DROP COLUMN changed_on;
ALTER TABLE rule_versions DROP COLUMN changed_by;
