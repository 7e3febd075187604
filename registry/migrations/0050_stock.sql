-- +goose Up

-- 库存账: every movement of a card in stock, blank ones by serial, finished ones
-- by card number: out of a place and a state, into a place and a state. A
-- movement refers to the one before it with the place and state where that left
-- the card: neither database then lets a card be in two places, or leave a place
-- where it is not. Each side counts on a day of its place's book.
CREATE TABLE stock_movements (
    kind       TEXT      NOT NULL CHECK (kind IN ('blank', 'card')),
    item       TEXT      NOT NULL CHECK (length(item) BETWEEN 4 AND 64),
    seq        BIGINT    NOT NULL CHECK (seq >= 1),
    prev_seq   BIGINT,
    event      TEXT      NOT NULL CHECK (length(event) > 0),
    from_place TEXT      NOT NULL REFERENCES institutions (id),
    from_state TEXT      NOT NULL,
    from_day   TEXT      NOT NULL CHECK (length(from_day) = 10),
    to_place   TEXT      NOT NULL REFERENCES institutions (id),
    to_state   TEXT      NOT NULL CHECK (to_state IN ('ordered', 'stored', 'sent', 'issued', 'used', 'handed', 'spoiled', 'missing', 'destroyed')),
    to_day     TEXT      NOT NULL CHECK (length(to_day) = 10),
    document   TEXT      NOT NULL CHECK (length(document) > 0),
    reason     TEXT      NOT NULL,
    at         TIMESTAMP NOT NULL,
    operator   TEXT      NOT NULL,
    workstation TEXT     NOT NULL,
    PRIMARY KEY (kind, item, seq),
    CONSTRAINT stock_movements_link UNIQUE (kind, item, seq, to_place, to_state),
    CONSTRAINT stock_movements_gapless CHECK (COALESCE(prev_seq, 0) = seq - 1),
    CONSTRAINT stock_movements_first CHECK ((prev_seq IS NULL) = (from_state = 'outside')),
    CONSTRAINT stock_movements_moves CHECK (from_place <> to_place OR from_state <> to_state),
    CONSTRAINT stock_movements_previous FOREIGN KEY (kind, item, prev_seq, from_place, from_state)
        REFERENCES stock_movements (kind, item, seq, to_place, to_state)
);
CREATE INDEX stock_movements_from ON stock_movements (from_place, from_day);
CREATE INDEX stock_movements_to ON stock_movements (to_place, to_day);

-- 保管场所: the row that is locked while a place's book is written.
CREATE TABLE stock_places (
    place TEXT NOT NULL PRIMARY KEY REFERENCES institutions (id)
);

-- 发运: boxes on their way from a place to one a step away. Whoever sent it
-- does not accept it, and a difference is found by two.
CREATE TABLE stock_consignments (
    id          UUID      NOT NULL PRIMARY KEY,
    from_place  TEXT      NOT NULL REFERENCES institutions (id),
    to_place    TEXT      NOT NULL REFERENCES institutions (id),
    state       TEXT      NOT NULL CHECK (state IN ('sent', 'received', 'difference')),
    list        TEXT      UNIQUE CHECK (length(list) = 64),
    sent_by     TEXT      NOT NULL REFERENCES operators (login),
    sent_at     TIMESTAMP NOT NULL,
    accepted_by TEXT      REFERENCES operators (login),
    witnessed_by TEXT     REFERENCES operators (login),
    accepted_at TIMESTAMP,
    CONSTRAINT stock_consignments_way CHECK (from_place <> to_place),
    CONSTRAINT stock_consignments_accepted CHECK ((state = 'sent') = (accepted_by IS NULL) AND (state = 'sent') = (accepted_at IS NULL)),
    CONSTRAINT stock_consignments_other CHECK (accepted_by <> sent_by),
    CONSTRAINT stock_consignments_two CHECK (witnessed_by <> accepted_by),
    CONSTRAINT stock_consignments_difference CHECK (state <> 'difference' OR witnessed_by IS NOT NULL)
);
CREATE INDEX stock_consignments_to ON stock_consignments (to_place, state);

-- 箱: sealed by two persons; a maker's comes sealed by the maker. A seal is used
-- once.
CREATE TABLE stock_boxes (
    id          UUID      NOT NULL PRIMARY KEY,
    label       TEXT      NOT NULL CHECK (length(label) BETWEEN 1 AND 40),
    kind        TEXT      NOT NULL CHECK (kind IN ('blank', 'card')),
    place       TEXT      NOT NULL REFERENCES institutions (id),
    state       TEXT      NOT NULL CHECK (state IN ('packed', 'sent', 'received', 'difference', 'opened')),
    seal        TEXT      UNIQUE CHECK (length(seal) BETWEEN 1 AND 40),
    maker       BOOLEAN   NOT NULL,
    sealed_by   TEXT      REFERENCES operators (login),
    witnessed_by TEXT     REFERENCES operators (login),
    sealed_at   TIMESTAMP NOT NULL,
    opened_by   TEXT      REFERENCES operators (login),
    opened_with TEXT      REFERENCES operators (login),
    CONSTRAINT stock_boxes_two CHECK (sealed_by <> witnessed_by),
    CONSTRAINT stock_boxes_sealed CHECK (maker OR (seal IS NOT NULL AND sealed_by IS NOT NULL AND witnessed_by IS NOT NULL)),
    CONSTRAINT stock_boxes_opened CHECK ((state IN ('opened', 'difference')) = (opened_by IS NOT NULL) AND (opened_by IS NULL) = (opened_with IS NULL)),
    CONSTRAINT stock_boxes_opened_two CHECK (opened_by <> opened_with)
);
CREATE INDEX stock_boxes_place ON stock_boxes (place, state);
CREATE UNIQUE INDEX stock_boxes_label ON stock_boxes (label) WHERE state NOT IN ('opened', 'difference');

-- 发运内容: the boxes of a consignment; a box is on one way at a time.
CREATE TABLE stock_loads (
    consignment UUID    NOT NULL REFERENCES stock_consignments (id),
    box         UUID    NOT NULL REFERENCES stock_boxes (id),
    underway    BOOLEAN NOT NULL,
    PRIMARY KEY (consignment, box)
);
CREATE UNIQUE INDEX stock_loads_underway ON stock_loads (box) WHERE underway;

-- 箱内明细: what was packed, at which position; a card lies in one box at a time.
CREATE TABLE stock_contents (
    box    UUID    NOT NULL REFERENCES stock_boxes (id),
    slot   INTEGER NOT NULL CHECK (slot >= 1),
    kind   TEXT    NOT NULL,
    item   TEXT    NOT NULL,
    inside BOOLEAN NOT NULL,
    PRIMARY KEY (box, slot),
    CONSTRAINT stock_contents_item UNIQUE (box, kind, item)
);
CREATE UNIQUE INDEX stock_contents_inside ON stock_contents (kind, item) WHERE inside;

-- 领用: blanks that a counter holds until a day.
CREATE TABLE stock_leases (
    id          UUID      NOT NULL PRIMARY KEY,
    place       TEXT      NOT NULL REFERENCES institutions (id),
    workstation TEXT      NOT NULL REFERENCES workstations (id),
    holder      TEXT      NOT NULL REFERENCES operators (login),
    lent_by     TEXT      NOT NULL REFERENCES operators (login),
    lent_at     TIMESTAMP NOT NULL,
    expires_at  TIMESTAMP NOT NULL,
    returned_at TIMESTAMP,
    returned_by TEXT      REFERENCES operators (login),
    CONSTRAINT stock_leases_two CHECK (holder <> lent_by),
    CONSTRAINT stock_leases_period CHECK (expires_at > lent_at),
    CONSTRAINT stock_leases_returned CHECK ((returned_at IS NULL) = (returned_by IS NULL))
);
CREATE INDEX stock_leases_place ON stock_leases (place) WHERE returned_at IS NULL;

-- 销毁记录: under two signatures.
CREATE TABLE stock_destructions (
    id        UUID      NOT NULL PRIMARY KEY,
    place     TEXT      NOT NULL REFERENCES institutions (id),
    first_by  TEXT      NOT NULL REFERENCES operators (login),
    second_by TEXT      NOT NULL REFERENCES operators (login),
    method    TEXT      NOT NULL CHECK (length(method) BETWEEN 1 AND 200),
    cards     INTEGER   NOT NULL CHECK (cards >= 1),
    at        TIMESTAMP NOT NULL,
    CONSTRAINT stock_destructions_two CHECK (first_by <> second_by)
);

-- 成品卡: where a finished card is that the stock has taken over.
CREATE TABLE stock_cards (
    number      TEXT   NOT NULL PRIMARY KEY REFERENCES cards (number),
    kind        TEXT   NOT NULL DEFAULT 'card' CHECK (kind = 'card'),
    seq         BIGINT NOT NULL,
    holder      TEXT   NOT NULL REFERENCES institutions (id),
    state       TEXT   NOT NULL CHECK (state IN ('ordered', 'stored', 'sent', 'handed', 'spoiled', 'missing', 'destroyed')),
    destruction UUID   REFERENCES stock_destructions (id),
    CONSTRAINT stock_cards_destroyed CHECK ((state = 'destroyed') = (destruction IS NOT NULL)),
    CONSTRAINT stock_cards_ledger FOREIGN KEY (kind, number, seq, holder, state)
        REFERENCES stock_movements (kind, item, seq, to_place, to_state)
);
CREATE INDEX stock_cards_holder ON stock_cards (holder, state);

-- 异常: what was found that should not be, with the person who has to clear it.
CREATE TABLE stock_incidents (
    id        UUID      NOT NULL PRIMARY KEY,
    place     TEXT      NOT NULL REFERENCES institutions (id),
    finding   TEXT      NOT NULL CHECK (finding IN ('missing', 'extra', 'damaged', 'seal', 'difference')),
    kind      TEXT,
    item      TEXT,
    document  TEXT      NOT NULL,
    note      TEXT      NOT NULL,
    owner     TEXT      NOT NULL REFERENCES operators (login),
    opened_by TEXT      NOT NULL,
    opened_at TIMESTAMP NOT NULL,
    closed_by TEXT      REFERENCES operators (login),
    closed_at TIMESTAMP,
    outcome   TEXT,
    CONSTRAINT stock_incidents_closed CHECK ((closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (outcome IS NULL)),
    CONSTRAINT stock_incidents_other CHECK (closed_by <> owner)
);
CREATE INDEX stock_incidents_open ON stock_incidents (place) WHERE closed_at IS NULL;
CREATE INDEX stock_incidents_item ON stock_incidents (kind, item);

-- 日结: the book of a place to the end of a day, counted by two. Good cards and
-- waste lie apart. A day goes on from where the one before it ended.
CREATE TABLE stock_days (
    place     TEXT      NOT NULL REFERENCES institutions (id),
    kind      TEXT      NOT NULL CHECK (kind IN ('blank', 'card')),
    bin       TEXT      NOT NULL CHECK (bin IN ('good', 'waste')),
    day       TEXT      NOT NULL CHECK (length(day) = 10),
    prev_day  TEXT,
    opening   BIGINT    NOT NULL CHECK (opening >= 0),
    received  BIGINT    NOT NULL CHECK (received >= 0),
    sent      BIGINT    NOT NULL CHECK (sent >= 0),
    used      BIGINT    NOT NULL CHECK (used >= 0),
    spoiled   BIGINT    NOT NULL CHECK (spoiled >= 0),
    missing   BIGINT    NOT NULL CHECK (missing >= 0),
    destroyed BIGINT    NOT NULL CHECK (destroyed >= 0),
    closing   BIGINT    NOT NULL CHECK (closing >= 0),
    counted   BIGINT    NOT NULL CHECK (counted >= 0),
    difference BIGINT   NOT NULL,
    counted_by TEXT     NOT NULL REFERENCES operators (login),
    witnessed_by TEXT   NOT NULL REFERENCES operators (login),
    closed_at TIMESTAMP NOT NULL,
    PRIMARY KEY (place, kind, bin, day),
    CONSTRAINT stock_days_link UNIQUE (place, kind, bin, day, closing),
    CONSTRAINT stock_days_previous FOREIGN KEY (place, kind, bin, prev_day, opening)
        REFERENCES stock_days (place, kind, bin, day, closing),
    CONSTRAINT stock_days_order CHECK (prev_day < day),
    CONSTRAINT stock_days_first CHECK (prev_day IS NOT NULL OR opening = 0),
    CONSTRAINT stock_days_balance CHECK (closing = opening + received - sent - used - spoiled - missing - destroyed),
    CONSTRAINT stock_days_count CHECK (difference = counted - closing),
    CONSTRAINT stock_days_two CHECK (counted_by <> witnessed_by)
);

-- +goose Down
DROP TABLE stock_days;
DROP TABLE stock_incidents;
DROP TABLE stock_cards;
DROP TABLE stock_destructions;
DROP TABLE stock_leases;
DROP TABLE stock_contents;
DROP TABLE stock_loads;
DROP TABLE stock_boxes;
DROP TABLE stock_consignments;
DROP TABLE stock_places;
DROP TABLE stock_movements;
