-- +goose Up

-- 金融账户: which application an account was opened for, when, and how many
-- changes the bank has told of it (a change that comes late is known by it).
ALTER TABLE bank_accounts ADD COLUMN application_id UUID REFERENCES applications (id);
ALTER TABLE bank_accounts ADD COLUMN opened_on TEXT CHECK (length(opened_on) = 10);
ALTER TABLE bank_accounts ADD COLUMN bank_seq BIGINT NOT NULL DEFAULT 0 CHECK (bank_seq >= 0);
CREATE UNIQUE INDEX bank_accounts_application ON bank_accounts (application_id) WHERE state <> 'closed';
CREATE INDEX bank_accounts_bank ON bank_accounts (bank, id);

-- 银行文件: files to and from banks, by what is in them; none is taken twice.
CREATE TABLE bank_files (
    id         UUID      NOT NULL PRIMARY KEY,
    bank       TEXT      NOT NULL CHECK (length(bank) BETWEEN 1 AND 64),
    kind       TEXT      NOT NULL CHECK (kind IN ('account-open', 'account-return', 'statement')),
    batch      TEXT      NOT NULL CHECK (length(batch) BETWEEN 1 AND 40),
    name       TEXT      NOT NULL,
    digest     TEXT      NOT NULL CHECK (length(digest) = 64),
    state      TEXT      NOT NULL CHECK (state IN ('sent', 'taking', 'taken')),
    row_count  BIGINT    NOT NULL CHECK (row_count >= 0),
    done_rows  BIGINT    NOT NULL DEFAULT 0 CHECK (done_rows >= 0),
    bad_rows   BIGINT    NOT NULL DEFAULT 0 CHECK (bad_rows >= 0),
    begun_at   TIMESTAMP NOT NULL,
    ended_at   TIMESTAMP,
    CONSTRAINT bank_files_name UNIQUE (name),
    CONSTRAINT bank_files_counts CHECK (done_rows + bad_rows <= row_count)
);
-- One opening file stands for a batch, whatever became of the paper.
CREATE UNIQUE INDEX bank_files_batch ON bank_files (bank, batch) WHERE kind = 'account-open';

-- 逐行结果: what became of the rows of a file that could not be taken.
CREATE TABLE bank_file_rows (
    file_id    UUID      NOT NULL REFERENCES bank_files (id),
    row_number BIGINT    NOT NULL CHECK (row_number >= 1),
    order_id   UUID,
    code       TEXT      NOT NULL,
    reason     TEXT      NOT NULL,
    PRIMARY KEY (file_id, row_number)
);

-- 银行指令流水: the journal of what a bank is asked to do, written before it
-- leaves. The states and what leads from one to another are the table in
-- issuance/bank/machine.go. batch says that it goes by file.
CREATE TABLE bank_orders (
    id             UUID      NOT NULL PRIMARY KEY,
    bank           TEXT      NOT NULL CHECK (length(bank) BETWEEN 1 AND 64),
    operation      TEXT      NOT NULL CHECK (operation IN ('account.open', 'account.status', 'holder.change', 'fee.charge', 'fee.refund', 'message.reverse')),
    subject        TEXT      NOT NULL CHECK (length(subject) > 0),
    business_key   TEXT      NOT NULL CHECK (length(business_key) BETWEEN 1 AND 80),
    state          TEXT      NOT NULL CHECK (state IN ('begun', 'sent', 'unknown', 'done', 'refused', 'reversed')),
    place          TEXT      NOT NULL CHECK (length(place) = 6),
    person_id      UUID      REFERENCES persons (id),
    application_id UUID      REFERENCES applications (id),
    account_id     UUID      REFERENCES bank_accounts (id),
    amount_fen     BIGINT    NOT NULL DEFAULT 0 CHECK (amount_fen >= 0),
    batch          TEXT      CHECK (length(batch) BETWEEN 1 AND 40),
    body_sealed    BYTEA     NOT NULL,
    code           TEXT      NOT NULL DEFAULT '',
    answer         TEXT      NOT NULL DEFAULT '',
    attempts       INTEGER   NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    reversal_id    UUID      REFERENCES bank_orders (id),
    business_day   TEXT      CHECK (length(business_day) = 10),
    operator       TEXT      NOT NULL CHECK (length(operator) > 0),
    begun_at       TIMESTAMP NOT NULL,
    sent_at        TIMESTAMP,
    next_at        TIMESTAMP NOT NULL,
    ended_at       TIMESTAMP,
    CONSTRAINT bank_orders_ended CHECK ((state IN ('begun', 'sent', 'unknown')) = (ended_at IS NULL)),
    CONSTRAINT bank_orders_fee CHECK ((operation IN ('fee.charge', 'fee.refund')) = (amount_fen > 0)),
    CONSTRAINT bank_orders_day CHECK ((operation IN ('fee.charge', 'fee.refund') AND state = 'done') = (business_day IS NOT NULL))
);
-- 不重: of one act there is one order, until the bank has refused or undone it.
CREATE UNIQUE INDEX bank_orders_once ON bank_orders (operation, subject, business_key) WHERE state IN ('begun', 'sent', 'unknown', 'done');
CREATE INDEX bank_orders_due ON bank_orders (bank, next_at) WHERE state IN ('begun', 'sent', 'unknown');
CREATE INDEX bank_orders_subject ON bank_orders (subject, id);
CREATE INDEX bank_orders_key ON bank_orders (business_key);
CREATE INDEX bank_orders_batch ON bank_orders (bank, batch, id) WHERE batch IS NOT NULL;
CREATE INDEX bank_orders_day_of ON bank_orders (bank, business_day) WHERE business_day IS NOT NULL;

-- 补换卡收费: what a card costs its holder; one fee for an application.
CREATE TABLE bank_fees (
    id             UUID      NOT NULL PRIMARY KEY,
    application_id UUID      NOT NULL REFERENCES applications (id),
    person_id      UUID      NOT NULL REFERENCES persons (id),
    bank           TEXT      NOT NULL CHECK (length(bank) BETWEEN 1 AND 64),
    place          TEXT      NOT NULL CHECK (length(place) = 6),
    item           TEXT      NOT NULL CHECK (item IN ('first', 'replacement', 'exchange', 'quality')),
    amount_fen     BIGINT    NOT NULL CHECK (amount_fen >= 0),
    receipt        TEXT      NOT NULL CHECK (length(receipt) BETWEEN 1 AND 32),
    state          TEXT      NOT NULL CHECK (state IN ('due', 'free', 'paid', 'failed', 'refunding', 'refunded')),
    paid_at        TIMESTAMP,
    carried_from   UUID      REFERENCES bank_fees (id),
    created_at     TIMESTAMP NOT NULL,
    changed_at     TIMESTAMP NOT NULL,
    CONSTRAINT bank_fees_receipt UNIQUE (receipt),
    CONSTRAINT bank_fees_free CHECK ((state = 'free') = (amount_fen = 0)),
    CONSTRAINT bank_fees_paid CHECK (state NOT IN ('paid', 'refunding', 'refunded') OR paid_at IS NOT NULL)
);
CREATE UNIQUE INDEX bank_fees_application ON bank_fees (application_id) WHERE state IN ('due', 'free', 'paid', 'refunding');
-- What was paid for one application counts once for another.
CREATE UNIQUE INDEX bank_fees_carried ON bank_fees (carried_from);
CREATE INDEX bank_fees_person ON bank_fees (person_id, created_at);
INSERT INTO card_number_sequence (name, next) VALUES ('bank-receipt', 1);

-- 日终对账: one row for each day of a bank; a reconciled day is frozen.
CREATE TABLE bank_days (
    bank       TEXT      NOT NULL,
    day        TEXT      NOT NULL CHECK (length(day) = 10),
    file_id    UUID      NOT NULL REFERENCES bank_files (id),
    ours       TEXT      NOT NULL,
    theirs     TEXT      NOT NULL,
    agreed     BIGINT    NOT NULL CHECK (agreed >= 0),
    only_ours  BIGINT    NOT NULL CHECK (only_ours >= 0),
    only_bank  BIGINT    NOT NULL CHECK (only_bank >= 0),
    differing  BIGINT    NOT NULL CHECK (differing >= 0),
    frozen_at  TIMESTAMP NOT NULL,
    PRIMARY KEY (bank, day)
);

-- 对账明细: the bank's rows of a day while they are compared.
CREATE TABLE bank_statement_rows (
    bank       TEXT      NOT NULL,
    day        TEXT      NOT NULL,
    kind       TEXT      NOT NULL CHECK (kind IN ('account', 'fee')),
    item_key   TEXT      NOT NULL,
    account_index BYTEA  CHECK (length(account_index) = 16),
    said       TEXT      NOT NULL,
    PRIMARY KEY (bank, day, kind, item_key)
);

CREATE INDEX bank_statement_accounts ON bank_statement_rows (bank, day, account_index);

-- 差异: what we and a bank have differently. Each has an owner until it is
-- settled. item_key is the digest of an account or the id of an order.
CREATE TABLE bank_items (
    id         UUID      NOT NULL PRIMARY KEY,
    bank       TEXT      NOT NULL,
    day        TEXT      NOT NULL CHECK (length(day) = 10),
    kind       TEXT      NOT NULL CHECK (kind IN ('account', 'fee')),
    class      TEXT      NOT NULL CHECK (class IN ('only-ours', 'only-bank', 'differ')),
    item_key   TEXT      NOT NULL,
    ours       TEXT      NOT NULL,
    theirs     TEXT      NOT NULL,
    owner      TEXT      NOT NULL CHECK (length(owner) BETWEEN 1 AND 64),
    state      TEXT      NOT NULL CHECK (state IN ('open', 'settled')),
    reason     TEXT      NOT NULL DEFAULT '',
    settled_by TEXT,
    found_at   TIMESTAMP NOT NULL,
    settled_at TIMESTAMP,
    CONSTRAINT bank_items_settled CHECK ((state = 'settled') = (settled_at IS NOT NULL) AND (state = 'settled') = (settled_by IS NOT NULL) AND (state = 'open' OR length(reason) > 0))
);
CREATE UNIQUE INDEX bank_items_open ON bank_items (bank, kind, item_key) WHERE state = 'open';
CREATE INDEX bank_items_day ON bank_items (bank, day);

-- 线路: a bank to which nothing is to be sent for now.
CREATE TABLE bank_lines (
    bank       TEXT      NOT NULL PRIMARY KEY,
    stopped    BOOLEAN   NOT NULL,
    reason     TEXT      NOT NULL,
    changed_at TIMESTAMP NOT NULL,
    changed_by TEXT      NOT NULL,
    CONSTRAINT bank_lines_reason CHECK (NOT stopped OR length(reason) > 0)
);

-- +goose Down
DROP TABLE bank_lines;
DROP TABLE bank_items;
DROP TABLE bank_statement_rows;
DROP TABLE bank_days;
DROP TABLE bank_fees;
DROP TABLE bank_orders;
DROP TABLE bank_file_rows;
DROP TABLE bank_files;
