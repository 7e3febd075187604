-- +goose Up

-- 集体申领: a list of an employer, a school or a village. The same list is the
-- same order however often it is handed in; pass counts how often it was gone
-- through.
CREATE TABLE collective_orders (
    id          UUID      NOT NULL PRIMARY KEY,
    institution TEXT      NOT NULL REFERENCES institutions (id),
    digest      BYTEA     NOT NULL CHECK (length(digest) = 32),
    kind        TEXT      NOT NULL CHECK (kind IN ('first', 'replacement', 'exchange', 'temporary')),
    method      TEXT      NOT NULL CHECK (method IN ('instant', 'batch')),
    place       TEXT      NOT NULL CHECK (length(place) = 6),
    state       TEXT      NOT NULL CHECK (state IN ('open', 'done')),
    pass        INTEGER   NOT NULL CHECK (pass >= 1),
    entered_by  TEXT      NOT NULL CHECK (length(entered_by) > 0),
    created_at  TIMESTAMP NOT NULL,
    changed_at  TIMESTAMP NOT NULL,
    CONSTRAINT collective_orders_once UNIQUE (institution, digest, kind)
);

-- What became of each row. It has no personal data: the person is the
-- application's.
CREATE TABLE collective_rows (
    order_id       UUID    NOT NULL REFERENCES collective_orders (id),
    row_number     BIGINT  NOT NULL CHECK (row_number >= 2),
    pass           INTEGER NOT NULL CHECK (pass >= 1),
    outcome        TEXT    NOT NULL CHECK (outcome IN ('applied', 'draft', 'refused')),
    application_id UUID    UNIQUE REFERENCES applications (id),
    code           TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    reason_en      TEXT    NOT NULL,
    PRIMARY KEY (order_id, row_number),
    CONSTRAINT collective_rows_application CHECK ((outcome = 'refused') = (application_id IS NULL))
);
