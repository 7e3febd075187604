-- +goose Up

-- 乡、镇、街道和村、社区 (统计用区划代码): each code that was ever valid, under its
-- last name, with the code that followed it where that is known.
CREATE TABLE localities (
    code       TEXT NOT NULL PRIMARY KEY CHECK (length(code) IN (9, 12)),
    name       TEXT NOT NULL CHECK (length(name) > 0),
    level      TEXT NOT NULL CHECK (level IN ('township', 'community')),
    division   TEXT NOT NULL REFERENCES divisions (code),
    township   TEXT REFERENCES localities (code),
    valid_from TEXT CHECK (length(valid_from) = 10),
    valid_to   TEXT CHECK (length(valid_to) = 10),
    successor  TEXT REFERENCES localities (code),
    CONSTRAINT localities_level CHECK ((level = 'township') = (length(code) = 9) AND (level = 'township') = (township IS NULL)),
    CONSTRAINT localities_above CHECK (division = substr(code, 1, 6) AND (township IS NULL OR township = substr(code, 1, 9))),
    CONSTRAINT localities_period CHECK (valid_to > valid_from),
    CONSTRAINT localities_successor CHECK (successor IS NULL OR valid_to IS NOT NULL)
);
CREATE INDEX localities_division ON localities (division);

-- 已装入的乡村表: the data files that localities was filled from, compressed; the
-- newest edition is in force.
CREATE TABLE place_tables (
    digest    BYTEA     NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    edition   TEXT      NOT NULL CHECK (length(edition) = 10),
    source    TEXT      NOT NULL CHECK (length(source) > 0),
    content   BYTEA     NOT NULL,
    loaded_at TIMESTAMP NOT NULL,
    loaded_by TEXT      NOT NULL
);

-- 乡镇、村级经办: operators and workstations of an office below the county, and
-- where an application was entered.
ALTER TABLE operators ADD COLUMN locality TEXT REFERENCES localities (code);
ALTER TABLE workstations ADD COLUMN locality TEXT REFERENCES localities (code);
ALTER TABLE applications ADD COLUMN locality TEXT REFERENCES localities (code);
CREATE INDEX applications_place ON applications (place, id);
CREATE INDEX applications_locality ON applications (locality, id) WHERE locality IS NOT NULL;
CREATE INDEX persons_locality ON persons (locality) WHERE locality IS NOT NULL;
