-- +goose Up

-- 集体申领再次办理: a row's draft may have been withdrawn when the list is gone
-- through again. The same change as in ../postgres/0093_list_again.sql: SQLite
-- cannot change a CHECK, the table is made anew.
CREATE TABLE collective_rows_new (
    order_id       UUID    NOT NULL REFERENCES collective_orders (id),
    row_number     BIGINT  NOT NULL CHECK (row_number >= 2),
    pass           INTEGER NOT NULL CHECK (pass >= 1),
    outcome        TEXT    NOT NULL CHECK (outcome IN ('applied', 'draft', 'refused', 'withdrawn')),
    application_id UUID    UNIQUE REFERENCES applications (id),
    code           TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    reason_en      TEXT    NOT NULL,
    PRIMARY KEY (order_id, row_number),
    CONSTRAINT collective_rows_application CHECK ((outcome = 'refused') = (application_id IS NULL))
);
INSERT INTO collective_rows_new SELECT order_id, row_number, pass, outcome, application_id, code, reason, reason_en FROM collective_rows;
DROP TABLE collective_rows;
ALTER TABLE collective_rows_new RENAME TO collective_rows;
