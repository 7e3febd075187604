-- +goose Up

-- 获批卡商与产品: what the ministry has approved: who may make which card, how
-- many, how long. ordered counts the cards of normal batches that went or are to
-- go to production.
CREATE TABLE suppliers (
    id           TEXT      NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    institution  TEXT      NOT NULL REFERENCES institutions (id),
    product      TEXT      NOT NULL CHECK (length(product) BETWEEN 1 AND 64),
    approval     TEXT      NOT NULL CHECK (length(approval) BETWEEN 1 AND 64),
    spec_version TEXT      NOT NULL CHECK (length(spec_version) = 4),
    quota        BIGINT    NOT NULL CHECK (quota >= 0),
    ordered      BIGINT    NOT NULL DEFAULT 0,
    valid_from   TEXT      NOT NULL CHECK (length(valid_from) = 10),
    valid_to     TEXT      NOT NULL CHECK (length(valid_to) = 10),
    state        TEXT      NOT NULL CHECK (state IN ('approved', 'suspended')),
    delivery_key TEXT      NOT NULL CHECK (length(delivery_key) BETWEEN 1 AND 32),
    certificate  TEXT      NOT NULL CHECK (length(certificate) > 0),
    version      BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at   TIMESTAMP NOT NULL,
    changed_by   TEXT      NOT NULL,
    changed_on   TEXT      NOT NULL,
    change_reason TEXT     NOT NULL,
    CONSTRAINT suppliers_product UNIQUE (institution, product, approval),
    CONSTRAINT suppliers_quota CHECK (ordered >= 0 AND ordered <= quota),
    CONSTRAINT suppliers_period CHECK (valid_to >= valid_from)
);

-- 制卡批次: size is the number of its rows; a batch is closed when each of them
-- left before production, became a card, or was destroyed.
CREATE TABLE batches (
    id           UUID      NOT NULL PRIMARY KEY,
    number       TEXT      NOT NULL UNIQUE CHECK (length(number) BETWEEN 1 AND 32),
    kind         TEXT      NOT NULL CHECK (kind IN ('normal', 'test')),
    supplier     TEXT      NOT NULL REFERENCES suppliers (id),
    bank         TEXT      REFERENCES institutions (id),
    card_type    TEXT      NOT NULL CHECK (length(card_type) = 1),
    place        TEXT      NOT NULL REFERENCES divisions (code),
    most         BIGINT    NOT NULL CHECK (most BETWEEN 1 AND 1000000),
    state        TEXT      NOT NULL CHECK (state IN ('open', 'ordered', 'banked', 'sent', 'returned', 'inspected', 'closed', 'cancelled')),
    size         BIGINT    NOT NULL DEFAULT 0 CHECK (size >= 0 AND size <= most),
    ordered_by   TEXT      NOT NULL CHECK (length(ordered_by) > 0),
    key_version  INTEGER   CHECK (key_version BETWEEN 1 AND 99),
    -- counted when it is closed
    unmade       BIGINT,
    made         BIGINT,
    scrapped     BIGINT,
    lease_owner  TEXT      NOT NULL DEFAULT '',
    lease_until  TIMESTAMP NOT NULL,
    created_at   TIMESTAMP NOT NULL,
    version      BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at   TIMESTAMP NOT NULL,
    changed_by   TEXT      NOT NULL,
    changed_on   TEXT      NOT NULL,
    change_reason TEXT     NOT NULL,
    CONSTRAINT batches_kind UNIQUE (id, kind),
    CONSTRAINT batches_closed CHECK (state <> 'closed' OR (unmade IS NOT NULL AND made IS NOT NULL AND scrapped IS NOT NULL AND unmade + made + scrapped = size))
);
CREATE INDEX batches_state ON batches (state, id);

-- 芯片清单: the chips that lie with a maker. A chip is for one row, for ever.
CREATE TABLE production_chips (
    atr          TEXT      NOT NULL PRIMARY KEY CHECK (length(atr) BETWEEN 24 AND 66),
    supplier     TEXT      NOT NULL REFERENCES suppliers (id),
    chip_prefix  TEXT      NOT NULL UNIQUE CHECK (length(chip_prefix) = 24),
    list_digest  TEXT      NOT NULL CHECK (length(list_digest) = 64),
    state        TEXT      NOT NULL CHECK (state IN ('free', 'bound', 'made', 'spoiled', 'destroyed')),
    changed_at   TIMESTAMP NOT NULL
);
CREATE INDEX production_chips_free ON production_chips (supplier, atr) WHERE state = 'free';

-- 批次明细: one row, one card. Rows of a test batch are about nobody and never
-- become a card of record. intention is sealed.
CREATE TABLE batch_items (
    batch_id       UUID      NOT NULL,
    seq            BIGINT    NOT NULL CHECK (seq >= 1),
    kind           TEXT      NOT NULL,
    application_id UUID      REFERENCES applications (id),
    person_id      UUID      REFERENCES persons (id),
    card_number    TEXT      NOT NULL CHECK (length(card_number) = 9),
    state          TEXT      NOT NULL CHECK (state IN ('ordered', 'accounted', 'no-account', 'making', 'made', 'key-error', 'scrapped', 'inspected', 'failed', 'cancelled')),
    reason         TEXT      NOT NULL DEFAULT '',
    bank_account   UUID      REFERENCES bank_accounts (id),
    atr            TEXT      UNIQUE REFERENCES production_chips (atr),
    chip_id        TEXT      UNIQUE CHECK (length(chip_id) = 32),
    intention      BYTEA,
    card_id        UUID      UNIQUE REFERENCES cards (id),
    changed_at     TIMESTAMP NOT NULL,
    PRIMARY KEY (batch_id, seq),
    CONSTRAINT batch_items_batch FOREIGN KEY (batch_id, kind) REFERENCES batches (id, kind),
    CONSTRAINT batch_items_number UNIQUE (batch_id, card_number),
    CONSTRAINT batch_items_test CHECK ((kind = 'test') = (application_id IS NULL) AND (kind = 'test') = (person_id IS NULL) AND (kind = 'normal' OR card_id IS NULL)),
    CONSTRAINT batch_items_chip CHECK ((state IN ('ordered', 'accounted', 'no-account', 'cancelled')) = (atr IS NULL)
        AND (atr IS NULL) = (chip_id IS NULL) AND (atr IS NULL) = (intention IS NULL)),
    CONSTRAINT batch_items_card CHECK (kind = 'test' OR (state IN ('made', 'inspected')) = (card_id IS NOT NULL) OR (state IN ('failed', 'scrapped') AND card_id IS NOT NULL))
);
-- An application is in one batch at a time.
CREATE UNIQUE INDEX batch_items_application ON batch_items (application_id) WHERE state IN ('ordered', 'accounted', 'making', 'made', 'inspected');
CREATE INDEX batch_items_state ON batch_items (batch_id, state, seq);

-- 文件: what went to the maker and what came back, by digest. taken is how many
-- rows of a return have been dealt with.
CREATE TABLE batch_files (
    digest   TEXT      NOT NULL PRIMARY KEY CHECK (length(digest) = 64),
    batch_id UUID      NOT NULL REFERENCES batches (id),
    kind     TEXT      NOT NULL CHECK (kind IN ('production', 'return', 'outcome')),
    name     TEXT      NOT NULL,
    size     BIGINT    NOT NULL CHECK (size > 0),
    records  BIGINT    NOT NULL CHECK (records >= 0),
    taken    BIGINT    NOT NULL CHECK (taken BETWEEN 0 AND records),
    accepted BIGINT    NOT NULL DEFAULT 0,
    repeated BIGINT    NOT NULL DEFAULT 0,
    refused  BIGINT    NOT NULL DEFAULT 0,
    at       TIMESTAMP NOT NULL,
    operator TEXT      NOT NULL,
    CONSTRAINT batch_files_counts CHECK (accepted + repeated + refused = CASE WHEN kind = 'return' THEN taken ELSE 0 END)
);
CREATE UNIQUE INDEX batch_files_production ON batch_files (batch_id) WHERE kind = 'production';
CREATE INDEX batch_files_batch ON batch_files (batch_id, at);

-- 质检: by somebody else than who ordered the batch.
CREATE TABLE inspections (
    batch_id  UUID      NOT NULL,
    seq       BIGINT    NOT NULL,
    at        TIMESTAMP NOT NULL,
    inspector TEXT      NOT NULL CHECK (length(inspector) > 0),
    ordered_by TEXT     NOT NULL,
    passed    BOOLEAN   NOT NULL,
    session   UUID,
    reason    TEXT      NOT NULL,
    PRIMARY KEY (batch_id, seq),
    FOREIGN KEY (batch_id, seq) REFERENCES batch_items (batch_id, seq),
    CONSTRAINT inspections_two CHECK (inspector <> ordered_by),
    CONSTRAINT inspections_reason CHECK (passed OR length(reason) > 0),
    CONSTRAINT inspections_read CHECK (NOT passed OR session IS NOT NULL)
);

-- 销毁记录: a spoiled card is destroyed before the eyes of two.
CREATE TABLE destructions (
    batch_id  UUID      NOT NULL,
    seq       BIGINT    NOT NULL,
    method    TEXT      NOT NULL CHECK (method IN ('shredded', 'punched', 'melted')),
    reason    TEXT      NOT NULL CHECK (length(reason) > 0),
    first_by  TEXT      NOT NULL CHECK (length(first_by) > 0),
    first_at  TIMESTAMP NOT NULL,
    second_by TEXT,
    second_at TIMESTAMP,
    PRIMARY KEY (batch_id, seq),
    FOREIGN KEY (batch_id, seq) REFERENCES batch_items (batch_id, seq),
    CONSTRAINT destructions_two CHECK (second_by <> first_by),
    CONSTRAINT destructions_signed CHECK ((second_by IS NULL) = (second_at IS NULL))
);

-- 批次号: the next number of a day.
CREATE TABLE batch_sequence (
    day  TEXT   NOT NULL PRIMARY KEY CHECK (length(day) = 8),
    next BIGINT NOT NULL CHECK (next >= 1)
);

-- +goose Down
DROP TABLE batch_sequence;
DROP TABLE destructions;
DROP TABLE inspections;
DROP TABLE batch_files;
DROP TABLE batch_items;
DROP TABLE production_chips;
DROP TABLE batches;
DROP TABLE suppliers;
