-- +goose Up

-- What approved applications still need of a bank is looked for by application.
CREATE INDEX bank_orders_application ON bank_orders (application_id) WHERE operation = 'account.open';
CREATE INDEX bank_fees_of ON bank_fees (application_id);

-- +goose Down
DROP INDEX bank_fees_of;
DROP INDEX bank_orders_application;
