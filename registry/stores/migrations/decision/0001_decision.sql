-- +goose Up

-- 每日事实: counts by day and place, de-identified. A dimension that would leave
-- fewer persons than the store's least is '*': the count stands, who it is does
-- not.
CREATE TABLE facts (
    day      TEXT   NOT NULL CHECK (length(day) = 10),
    measure  TEXT   NOT NULL,
    place    TEXT   NOT NULL CHECK (length(place) = 6),
    first    TEXT   NOT NULL,
    second   TEXT   NOT NULL,
    third    TEXT   NOT NULL,
    number   BIGINT NOT NULL CHECK (number >= 0),
    PRIMARY KEY (day, measure, place, first, second, third)
);
CREATE TABLE days (
    day      TEXT      NOT NULL PRIMARY KEY,
    taken_at TIMESTAMP NOT NULL
);

-- +goose Down
DROP TABLE days;
DROP TABLE facts;
