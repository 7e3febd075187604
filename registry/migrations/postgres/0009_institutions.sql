-- +goose Up

-- 机构: of every kind, the offices on four tiers. The same change as in
-- ../sqlite/0009_institutions.sql.
ALTER TABLE institutions DROP CONSTRAINT institutions_kind_check;
ALTER TABLE institutions ADD CONSTRAINT institutions_kind_check CHECK (kind IN ('office', 'hospital', 'pharmacy', 'bank', 'maker', 'employer', 'school', 'community'));
ALTER TABLE institutions ADD COLUMN tier TEXT CHECK (tier IN ('province', 'prefecture', 'county', 'township'));
ALTER TABLE institutions ADD COLUMN parent TEXT REFERENCES institutions (id);
ALTER TABLE institutions ADD COLUMN locality TEXT CHECK (length(locality) IN (9, 12));
ALTER TABLE institutions ADD COLUMN credit_code TEXT UNIQUE CHECK (length(credit_code) = 18);
ALTER TABLE institutions ADD COLUMN version BIGINT NOT NULL DEFAULT 1 CHECK (version >= 1);
ALTER TABLE institutions ADD COLUMN changed_at TIMESTAMP;
ALTER TABLE institutions ADD COLUMN changed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE institutions ADD COLUMN changed_on TEXT NOT NULL DEFAULT '';
ALTER TABLE institutions ADD COLUMN change_reason TEXT NOT NULL DEFAULT '';
UPDATE institutions SET changed_at = created_at;
ALTER TABLE institutions ADD CONSTRAINT institutions_tier CHECK (kind = 'office' OR tier IS NULL);
CREATE INDEX institutions_place ON institutions (place, kind);
