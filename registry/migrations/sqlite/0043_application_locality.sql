-- +goose Up

-- 乡镇、村级经办: where an application was entered. When 0040 made the table anew
-- it left this column of 0025 and its indexes out; on PostgreSQL they have stayed.
ALTER TABLE applications ADD COLUMN locality TEXT REFERENCES localities (code);
CREATE INDEX applications_place ON applications (place, id);
CREATE INDEX applications_locality ON applications (locality, id) WHERE locality IS NOT NULL;

-- +goose Down
DROP INDEX applications_locality;
DROP INDEX applications_place;
ALTER TABLE applications DROP COLUMN locality;
