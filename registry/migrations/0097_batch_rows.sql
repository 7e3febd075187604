-- +goose Up

-- In which batches an application has been, whatever became of its row.
CREATE INDEX batch_items_of ON batch_items (application_id);

-- +goose Down
DROP INDEX batch_items_of;
