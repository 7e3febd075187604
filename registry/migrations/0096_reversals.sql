-- +goose Up

-- The order that a reversal takes back is looked for by the reversal.
CREATE UNIQUE INDEX bank_orders_reversal ON bank_orders (reversal_id) WHERE reversal_id IS NOT NULL;

-- +goose Down
DROP INDEX bank_orders_reversal;
