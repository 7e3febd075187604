-- +goose Up

-- 规则版本: who started the platform with the text, where and why; a version is
-- never changed. The same change as in ../postgres/0042_rules.sql.
ALTER TABLE rule_versions ADD COLUMN changed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE rule_versions ADD COLUMN changed_on TEXT NOT NULL DEFAULT '';
ALTER TABLE rule_versions ADD COLUMN change_reason TEXT NOT NULL DEFAULT '';
-- +goose StatementBegin
CREATE TRIGGER rule_versions_stay_update BEFORE UPDATE ON rule_versions BEGIN SELECT RAISE(ABORT, 'rule_versions_stay'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER rule_versions_stay_delete BEFORE DELETE ON rule_versions BEGIN SELECT RAISE(ABORT, 'rule_versions_stay'); END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER rule_versions_stay_delete;
DROP TRIGGER rule_versions_stay_update;
ALTER TABLE rule_versions DROP COLUMN change_reason;
ALTER TABLE rule_versions DROP COLUMN changed_on;
ALTER TABLE rule_versions DROP COLUMN changed_by;
