-- +goose Up

-- 制卡回执: what the province certifies of a card that it has made, signed, in the
-- transaction in which the card comes on record. It is never changed.
CREATE TABLE card_receipts (
    card_id UUID      NOT NULL PRIMARY KEY REFERENCES cards (id),
    receipt TEXT      NOT NULL CHECK (length(receipt) > 0),
    at      TIMESTAMP NOT NULL
);

-- +goose Down
DROP TABLE card_receipts;
