-- +goose NO TRANSACTION
-- +goose Up

-- 机构: of every kind, the offices on four tiers. SQLite cannot change a CHECK:
-- the table is made anew, by the steps of its own manual (ALTER TABLE, 7).
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;
CREATE TABLE institutions_new (
    id            TEXT NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    kind          TEXT NOT NULL CHECK (kind IN ('office', 'hospital', 'pharmacy', 'bank', 'maker', 'employer', 'school', 'community')),
    name          TEXT NOT NULL CHECK (length(name) > 0),
    place         TEXT NOT NULL REFERENCES divisions (code),
    level         INTEGER NOT NULL CHECK (level BETWEEN 0 AND 3),
    created_at    TIMESTAMP NOT NULL,
    tier          TEXT CHECK (tier IN ('province', 'prefecture', 'county', 'township')),
    parent        TEXT REFERENCES institutions (id),
    locality      TEXT CHECK (length(locality) IN (9, 12)),
    credit_code   TEXT UNIQUE CHECK (length(credit_code) = 18),
    version       BIGINT NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at    TIMESTAMP,
    changed_by    TEXT NOT NULL DEFAULT '',
    changed_on    TEXT NOT NULL DEFAULT '',
    change_reason TEXT NOT NULL DEFAULT '',
    CONSTRAINT institutions_level CHECK (kind = 'hospital' OR level = 0),
    CONSTRAINT institutions_tier CHECK (kind = 'office' OR tier IS NULL)
);
INSERT INTO institutions_new (id, kind, name, place, level, created_at, changed_at)
    SELECT id, kind, name, place, level, created_at, created_at FROM institutions;
DROP TABLE institutions;
ALTER TABLE institutions_new RENAME TO institutions;
CREATE INDEX institutions_place ON institutions (place, kind);
COMMIT;
PRAGMA foreign_keys = ON;
