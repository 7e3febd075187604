-- +goose Up

-- 批次的开户银行: by the code that the bank has in the directory of banks
-- (issuance/bank/banks.yaml), as in bank_orders; it was a counter's institution,
-- and no batch had one.
ALTER TABLE batches DROP COLUMN bank;
ALTER TABLE batches ADD COLUMN bank TEXT CHECK (length(bank) BETWEEN 1 AND 64);

-- +goose Down
ALTER TABLE batches DROP COLUMN bank;
ALTER TABLE batches ADD COLUMN bank TEXT REFERENCES institutions (id);
