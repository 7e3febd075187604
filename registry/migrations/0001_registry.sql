-- +goose Up

-- Facts about this database itself: the mark of a trial, the Vault's check value.
CREATE TABLE settings (
    name       TEXT NOT NULL PRIMARY KEY,
    value      TEXT NOT NULL,
    changed_at TIMESTAMP NOT NULL
);

-- The audit log (审计日志): one chain per prefecture. An entry refers to its
-- predecessor with the predecessor's hash, the head to the last entry: neither
-- database then deletes an entry or changes its place or hash.
CREATE TABLE audit_entries (
    chain       TEXT NOT NULL CHECK (length(chain) = 6),
    seq         BIGINT NOT NULL CHECK (seq >= 1),
    at          TIMESTAMP NOT NULL,
    operator    TEXT NOT NULL,
    workstation TEXT NOT NULL,
    place       TEXT NOT NULL,
    action      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    detail      TEXT NOT NULL,
    prev_seq    BIGINT,
    prev_hash   BYTEA NOT NULL CHECK (length(prev_hash) = 32),
    hash        BYTEA NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (chain, seq),
    CONSTRAINT audit_entries_link UNIQUE (chain, seq, hash),
    CONSTRAINT audit_entries_gapless CHECK (COALESCE(prev_seq, 0) = seq - 1),
    CONSTRAINT audit_entries_previous FOREIGN KEY (chain, prev_seq, prev_hash)
        REFERENCES audit_entries (chain, seq, hash)
);
CREATE INDEX audit_entries_subject ON audit_entries (subject);

CREATE TABLE audit_heads (
    chain TEXT NOT NULL PRIMARY KEY CHECK (length(chain) = 6),
    seq   BIGINT NOT NULL CHECK (seq >= 0),
    hash  BYTEA,
    proof BYTEA,
    CONSTRAINT audit_heads_empty CHECK ((seq = 0) = (hash IS NULL) AND (seq = 0) = (proof IS NULL)),
    CONSTRAINT audit_heads_last FOREIGN KEY (chain, seq, hash)
        REFERENCES audit_entries (chain, seq, hash)
);

-- Answers given, by the key under which they were asked for. The answer is
-- null only inside the transaction that computes it.
CREATE TABLE idempotency (
    operator   TEXT NOT NULL,
    key        TEXT NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request    BYTEA NOT NULL,
    answer     BYTEA,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (operator, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);

-- Administrative divisions (GB/T 2260): each code that was ever valid, under its
-- last name, with the code that followed it. Old codes stay: identity numbers
-- and issued cards carry them for life.
CREATE TABLE divisions (
    code       TEXT NOT NULL PRIMARY KEY CHECK (length(code) = 6),
    name       TEXT NOT NULL,
    level      TEXT NOT NULL CHECK (level IN ('province', 'prefecture', 'county')),
    parent     TEXT REFERENCES divisions (code),
    valid_from TEXT CHECK (length(valid_from) = 10),
    valid_to   TEXT CHECK (length(valid_to) = 10),
    successor  TEXT CHECK (length(successor) = 6),
    CONSTRAINT divisions_period CHECK (valid_to > valid_from),
    CONSTRAINT divisions_parent CHECK ((level = 'province') = (parent IS NULL)),
    CONSTRAINT divisions_successor CHECK ((valid_to IS NULL) = (successor IS NULL))
);

CREATE TABLE institutions (
    id         TEXT NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    kind       TEXT NOT NULL CHECK (kind IN ('office', 'hospital', 'pharmacy', 'bank', 'maker')),
    name       TEXT NOT NULL CHECK (length(name) > 0),
    place      TEXT NOT NULL REFERENCES divisions (code),
    level      INTEGER NOT NULL CHECK (level BETWEEN 0 AND 3),
    created_at TIMESTAMP NOT NULL,
    CONSTRAINT institutions_level CHECK (kind = 'hospital' OR level = 0)
);

CREATE TABLE workstations (
    id               TEXT NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    institution      TEXT NOT NULL REFERENCES institutions (id),
    place            TEXT NOT NULL REFERENCES divisions (code),
    kind             TEXT NOT NULL CHECK (kind IN ('counter', 'hospital', 'pharmacy')),
    cert_fingerprint TEXT UNIQUE CHECK (length(cert_fingerprint) = 64),
    created_at       TIMESTAMP NOT NULL,
    disabled_at      TIMESTAMP
);

CREATE TABLE operators (
    login       TEXT NOT NULL PRIMARY KEY CHECK (length(login) BETWEEN 2 AND 64 AND login = lower(login)),
    name        TEXT NOT NULL CHECK (length(name) > 0),
    institution TEXT NOT NULL REFERENCES institutions (id),
    place       TEXT NOT NULL REFERENCES divisions (code),
    password    TEXT NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    disabled_at TIMESTAMP
);

CREATE TABLE operator_roles (
    operator TEXT NOT NULL REFERENCES operators (login),
    role     TEXT NOT NULL CHECK (role IN ('clerk', 'reviewer', 'issuer', 'supervisor', 'cashier', 'admin')),
    PRIMARY KEY (operator, role)
);

CREATE TABLE operator_sessions (
    token_hash   BYTEA NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    operator     TEXT NOT NULL REFERENCES operators (login),
    workstation  TEXT NOT NULL REFERENCES workstations (id),
    created_at   TIMESTAMP NOT NULL,
    last_seen_at TIMESTAMP NOT NULL,
    expires_at   TIMESTAMP NOT NULL,
    CONSTRAINT operator_sessions_period CHECK (expires_at > created_at)
);
CREATE INDEX operator_sessions_operator ON operator_sessions (operator);

-- Failed sign-ins by keyed digest of the login as typed, whether there is such
-- an operator or not: both behave the same.
CREATE TABLE sign_in_failures (
    login_index  BYTEA NOT NULL PRIMARY KEY,
    failures     INTEGER NOT NULL CHECK (failures >= 0),
    last_at      TIMESTAMP NOT NULL,
    locked_until TIMESTAMP
);

-- Persons (参保人员). *_sealed is enciphered by the Vault, bound to column and
-- row; *_index is a keyed digest for exact search.
CREATE TABLE persons (
    id                  UUID NOT NULL PRIMARY KEY,
    id_number_sealed    BYTEA NOT NULL,
    id_number_index     BYTEA NOT NULL,
    name_sealed         BYTEA NOT NULL,
    name_index          BYTEA NOT NULL,
    name_tibetan_sealed BYTEA,
    phone_sealed        BYTEA,
    address_sealed      BYTEA,
    sex                 TEXT NOT NULL CHECK (sex IN ('0', '1', '2', '9')),
    ethnic              TEXT NOT NULL CHECK (length(ethnic) = 2),
    birth               TEXT NOT NULL CHECK (length(birth) = 10),
    place               TEXT NOT NULL REFERENCES divisions (code),
    alive               BOOLEAN NOT NULL,
    created_at          TIMESTAMP NOT NULL,
    created_by          TEXT NOT NULL,
    CONSTRAINT persons_id_number UNIQUE (id_number_index)
);
CREATE INDEX persons_name ON persons (name_index);
CREATE INDEX persons_place ON persons (place);
