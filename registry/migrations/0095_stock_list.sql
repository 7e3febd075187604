-- +goose Up

-- 库存明细: the cards of a place are listed by their names, a page at a time.
CREATE INDEX blank_cards_list ON blank_cards (holder, serial);
CREATE INDEX stock_cards_list ON stock_cards (holder, number);

-- +goose Down
DROP INDEX stock_cards_list;
DROP INDEX blank_cards_list;
