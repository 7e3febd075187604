-- +goose Up

-- 申领的乡镇窗口: here 0040 changed the table as it was, and the column of 0025
-- is where it was put. See ../sqlite/0075_office.sql.
CREATE INDEX IF NOT EXISTS applications_place ON applications (place, id);
CREATE INDEX IF NOT EXISTS applications_locality ON applications (locality, id) WHERE locality IS NOT NULL;
