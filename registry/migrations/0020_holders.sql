-- +goose Up

-- 户号: sealed as well as indexed, so that it can be shown.
ALTER TABLE persons ADD COLUMN household_sealed BYTEA;
-- Two files with one telephone number and one name: see duplicates.go.
DROP INDEX persons_phone;
CREATE INDEX persons_phone ON persons (phone_index, name_index) WHERE phone_index IS NOT NULL;

-- The last day on which an address or a guardian holds; a row is never deleted.
ALTER TABLE addresses ADD COLUMN until TEXT CHECK (length(until) = 10);
ALTER TABLE guardians ADD COLUMN until TEXT CHECK (length(until) = 10);
