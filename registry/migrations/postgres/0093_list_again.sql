-- +goose Up

-- 集体申领再次办理: a row's draft may have been withdrawn when the list is gone
-- through again. The same change as in ../sqlite/0093_list_again.sql.
ALTER TABLE collective_rows DROP CONSTRAINT collective_rows_outcome_check;
ALTER TABLE collective_rows ADD CONSTRAINT collective_rows_outcome_check CHECK (outcome IN ('applied', 'draft', 'refused', 'withdrawn'));
