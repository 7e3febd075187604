-- +goose Up

-- 人员: the whole file of a resident. *_index are keyed digests, for what need
-- not be unique the first eight bytes. version counts the changes; the row as it
-- was before each of them stands in persons_history (see history.go).
ALTER TABLE persons ADD COLUMN id_type TEXT NOT NULL DEFAULT 'resident' CHECK (id_type IN ('resident', 'household', 'hongkong-macao', 'taiwan', 'residence-permit', 'permanent-residence', 'passport', 'officer', 'police'));
ALTER TABLE persons ADD COLUMN name_mongolian_sealed BYTEA;
ALTER TABLE persons ADD COLUMN sound_index BYTEA CHECK (length(sound_index) = 8);
ALTER TABLE persons ADD COLUMN initials_index BYTEA CHECK (length(initials_index) = 8);
ALTER TABLE persons ADD COLUMN phone_index BYTEA CHECK (length(phone_index) = 8);
ALTER TABLE persons ADD COLUMN postcode TEXT CHECK (length(postcode) = 6);
ALTER TABLE persons ADD COLUMN nationality TEXT NOT NULL DEFAULT 'CHN' CHECK (length(nationality) = 3);
ALTER TABLE persons ADD COLUMN locality TEXT CHECK (length(locality) IN (9, 12));
ALTER TABLE persons ADD COLUMN household_kind TEXT CHECK (household_kind IN ('urban', 'rural', 'resident', 'hongkong-macao-taiwan', 'foreign'));
ALTER TABLE persons ADD COLUMN household_index BYTEA CHECK (length(household_index) = 8);
ALTER TABLE persons ADD COLUMN household_role TEXT;
ALTER TABLE persons ADD COLUMN education TEXT;
ALTER TABLE persons ADD COLUMN employment TEXT;
ALTER TABLE persons ADD COLUMN employer TEXT REFERENCES institutions (id);
ALTER TABLE persons ADD COLUMN life_state TEXT NOT NULL DEFAULT 'living' CHECK (life_state IN ('living', 'dead', 'imprisoned', 'missing', 'unknown'));
ALTER TABLE persons ADD COLUMN police_state TEXT NOT NULL DEFAULT '00' CHECK (police_state IN ('00', '01', '02', '03', '04'));
ALTER TABLE persons ADD COLUMN ministry_state TEXT NOT NULL DEFAULT 'unsent' CHECK (ministry_state IN ('unsent', 'sent', 'accepted', 'duplicate', 'rejected', 'unknown', 'stale'));
ALTER TABLE persons ADD COLUMN merged_into UUID REFERENCES persons (id);
ALTER TABLE persons ADD COLUMN version BIGINT NOT NULL DEFAULT 1 CHECK (version >= 1);
ALTER TABLE persons ADD COLUMN changed_at TIMESTAMP;
ALTER TABLE persons ADD COLUMN changed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE persons ADD COLUMN changed_on TEXT NOT NULL DEFAULT '';
ALTER TABLE persons ADD COLUMN change_reason TEXT NOT NULL DEFAULT '';
UPDATE persons SET life_state = CASE WHEN alive THEN 'living' ELSE 'dead' END, changed_at = created_at, changed_by = created_by, name_index = substr(name_index, 1, 8);
ALTER TABLE persons DROP COLUMN alive;
DROP INDEX persons_place;
CREATE INDEX persons_birth ON persons (place, birth);
CREATE INDEX persons_sound ON persons (sound_index, birth);
CREATE INDEX persons_initials ON persons (initials_index, place, birth);
CREATE INDEX persons_phone ON persons (phone_index) WHERE phone_index IS NOT NULL;
CREATE INDEX persons_household ON persons (household_index) WHERE household_index IS NOT NULL;
CREATE INDEX persons_merged ON persons (merged_into) WHERE merged_into IS NOT NULL;

-- 曾用号码、其他系统的编号: every other number under which a person is or was
-- known; system says in which system or of which document. One number means one
-- person, for ever.
CREATE TABLE person_numbers (
    system     TEXT      NOT NULL CHECK (length(system) BETWEEN 1 AND 40),
    number_index BYTEA   NOT NULL CHECK (length(number_index) = 16),
    person_id  UUID      NOT NULL REFERENCES persons (id),
    number_sealed BYTEA  NOT NULL,
    state      TEXT      NOT NULL CHECK (state IN ('valid', 'former')),
    version    BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at TIMESTAMP NOT NULL,
    changed_by TEXT      NOT NULL,
    changed_on TEXT      NOT NULL,
    change_reason TEXT   NOT NULL,
    PRIMARY KEY (number_index, system)
);
CREATE INDEX person_numbers_person ON person_numbers (person_id);

-- 参保险种: the insured kinds of a person by place (参保地).
CREATE TABLE insured (
    person_id  UUID      NOT NULL REFERENCES persons (id),
    kind       TEXT      NOT NULL CHECK (kind IN ('pension', 'rural-pension', 'medical', 'resident-medical', 'unemployment', 'work-injury', 'maternity')),
    place      TEXT      NOT NULL REFERENCES divisions (code),
    state      TEXT      NOT NULL CHECK (state IN ('insured', 'suspended', 'ended')),
    since      TEXT      CHECK (length(since) = 10),
    until      TEXT      CHECK (length(until) = 10),
    version    BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at TIMESTAMP NOT NULL,
    changed_by TEXT      NOT NULL,
    changed_on TEXT      NOT NULL,
    change_reason TEXT   NOT NULL,
    PRIMARY KEY (person_id, kind, place),
    CONSTRAINT insured_period CHECK (until >= since),
    CONSTRAINT insured_ended CHECK ((state = 'ended') OR until IS NULL)
);

-- 银行账户: the financial accounts of a person, apart from the card's status.
CREATE TABLE bank_accounts (
    id         UUID      NOT NULL PRIMARY KEY,
    person_id  UUID      NOT NULL REFERENCES persons (id),
    bank       TEXT      NOT NULL CHECK (length(bank) BETWEEN 1 AND 64),
    account_sealed BYTEA NOT NULL,
    account_index  BYTEA NOT NULL CHECK (length(account_index) = 16),
    state      TEXT      NOT NULL CHECK (state IN ('preopened', 'active', 'oral-loss', 'written-loss', 'frozen', 'closed')),
    version    BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at TIMESTAMP NOT NULL,
    changed_by TEXT      NOT NULL,
    changed_on TEXT      NOT NULL,
    change_reason TEXT   NOT NULL,
    CONSTRAINT bank_accounts_account UNIQUE (account_index)
);
CREATE INDEX bank_accounts_person ON bank_accounts (person_id);

-- 地址: further addresses; persons.address_sealed is the one for letters.
CREATE TABLE addresses (
    id         UUID      NOT NULL PRIMARY KEY,
    person_id  UUID      NOT NULL REFERENCES persons (id),
    kind       TEXT      NOT NULL CHECK (kind IN ('registered', 'residence', 'work', 'delivery')),
    place      TEXT      REFERENCES divisions (code),
    locality   TEXT      CHECK (length(locality) IN (9, 12)),
    address_sealed BYTEA NOT NULL,
    postcode   TEXT      CHECK (length(postcode) = 6),
    version    BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at TIMESTAMP NOT NULL,
    changed_by TEXT      NOT NULL,
    changed_on TEXT      NOT NULL,
    change_reason TEXT   NOT NULL,
    CONSTRAINT addresses_kind UNIQUE (person_id, kind)
);

-- 监护人: who acts for a minor; registered as a person, or told by name and number.
CREATE TABLE guardians (
    ward_id     UUID      NOT NULL REFERENCES persons (id),
    guardian_id UUID      REFERENCES persons (id),
    name_sealed BYTEA,
    number_sealed BYTEA,
    relation    TEXT      NOT NULL CHECK (relation IN ('father', 'mother', 'other')),
    proof       TEXT      NOT NULL CHECK (proof IN ('household-book', 'birth-certificate', 'other')),
    version     BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at  TIMESTAMP NOT NULL,
    changed_by  TEXT      NOT NULL,
    changed_on  TEXT      NOT NULL,
    change_reason TEXT    NOT NULL,
    PRIMARY KEY (ward_id, relation),
    CONSTRAINT guardians_self CHECK (guardian_id <> ward_id),
    CONSTRAINT guardians_known CHECK (guardian_id IS NOT NULL OR (name_sealed IS NOT NULL AND number_sealed IS NOT NULL))
);
CREATE INDEX guardians_guardian ON guardians (guardian_id);

-- 人群: the groups of the founding plan to which a person belongs.
CREATE TABLE person_groups (
    person_id  UUID      NOT NULL REFERENCES persons (id),
    label      TEXT      NOT NULL CHECK (label IN ('urban-worker', 'urban-resident', 'farmer-herder', 'migrant-worker', 'unemployed', 'surplus-labour', 'graduate', 'civil-servant', 'specialist', 'veteran-officer', 'jobseeker', 'retired')),
    since      TEXT      CHECK (length(since) = 10),
    until      TEXT      CHECK (length(until) = 10),
    version    BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at TIMESTAMP NOT NULL,
    changed_by TEXT      NOT NULL,
    changed_on TEXT      NOT NULL,
    change_reason TEXT   NOT NULL,
    PRIMARY KEY (person_id, label)
);

-- 原医保就医卡: the old card of a medical pool, until a social security card is
-- activated in its place.
CREATE TABLE old_cards (
    pool       TEXT      NOT NULL REFERENCES divisions (code),
    number_index BYTEA   NOT NULL CHECK (length(number_index) = 16),
    number_sealed BYTEA  NOT NULL,
    person_id  UUID      NOT NULL REFERENCES persons (id),
    state      TEXT      NOT NULL CHECK (state IN ('valid', 'lost', 'ended')),
    balance    BIGINT    NOT NULL CHECK (balance >= 0),
    version    BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at TIMESTAMP NOT NULL,
    changed_by TEXT      NOT NULL,
    changed_on TEXT      NOT NULL,
    change_reason TEXT   NOT NULL,
    PRIMARY KEY (pool, number_index)
);
CREATE INDEX old_cards_person ON old_cards (person_id);

-- 照片与附件: photographs, signatures and papers, sealed; the digest finds the
-- same picture under two persons.
CREATE TABLE attachments (
    id         UUID      NOT NULL PRIMARY KEY,
    person_id  UUID      NOT NULL REFERENCES persons (id),
    kind       TEXT      NOT NULL CHECK (kind IN ('photo', 'signature', 'id-front', 'id-back', 'household-book', 'birth-certificate', 'authorisation', 'application-form', 'other')),
    media_type TEXT      NOT NULL,
    content_sealed BYTEA NOT NULL,
    content_index  BYTEA NOT NULL CHECK (length(content_index) = 16),
    size       BIGINT    NOT NULL CHECK (size BETWEEN 1 AND 4194304),
    state      TEXT      NOT NULL CHECK (state IN ('valid', 'replaced', 'refused')),
    version    BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at TIMESTAMP NOT NULL,
    changed_by TEXT      NOT NULL,
    changed_on TEXT      NOT NULL,
    change_reason TEXT   NOT NULL
);
CREATE INDEX attachments_person ON attachments (person_id, kind);
CREATE INDEX attachments_content ON attachments (content_index);
CREATE UNIQUE INDEX attachments_photo ON attachments (person_id) WHERE kind = 'photo' AND state = 'valid';

-- 各方收到的姓名字节: the exact bytes under which a peer knows a name.
CREATE TABLE peer_names (
    person_id  UUID      NOT NULL REFERENCES persons (id),
    peer       TEXT      NOT NULL CHECK (length(peer) BETWEEN 1 AND 64),
    encoding   TEXT      NOT NULL CHECK (encoding IN ('UTF-8', 'GBK', 'GB 18030')),
    bytes_sealed BYTEA   NOT NULL,
    cut        BOOLEAN   NOT NULL,
    version    BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at TIMESTAMP NOT NULL,
    changed_by TEXT      NOT NULL,
    changed_on TEXT      NOT NULL,
    change_reason TEXT   NOT NULL,
    PRIMARY KEY (person_id, peer)
);

-- 合并: two files of one person made one, and undone. moved lists the rows that
-- changed hands.
CREATE TABLE merges (
    id          UUID      NOT NULL PRIMARY KEY,
    kept_id     UUID      NOT NULL REFERENCES persons (id),
    absorbed_id UUID      NOT NULL REFERENCES persons (id),
    at          TIMESTAMP NOT NULL,
    operator    TEXT      NOT NULL,
    workstation TEXT      NOT NULL,
    reason      TEXT      NOT NULL CHECK (length(reason) > 0),
    undone_at   TIMESTAMP,
    undone_by   TEXT,
    undone_on   TEXT,
    undo_reason TEXT,
    CONSTRAINT merges_two CHECK (kept_id <> absorbed_id),
    CONSTRAINT merges_undone CHECK ((undone_at IS NULL) = (undone_by IS NULL) AND (undone_at IS NULL) = (undo_reason IS NULL))
);
CREATE UNIQUE INDEX merges_absorbed ON merges (absorbed_id) WHERE undone_at IS NULL;
CREATE INDEX merges_kept ON merges (kept_id);
CREATE TABLE merge_moves (
    merge_id UUID NOT NULL REFERENCES merges (id),
    kind     TEXT NOT NULL,
    row_key  TEXT NOT NULL,
    PRIMARY KEY (merge_id, kind, row_key)
);

-- 疑似重复: what a person has to decide: one or two people. second_id is the
-- other file; without it told_sealed is what a file's row told of the number of
-- the first.
CREATE TABLE duplicate_cases (
    id         UUID      NOT NULL PRIMARY KEY,
    first_id   UUID      NOT NULL REFERENCES persons (id),
    second_id  UUID      REFERENCES persons (id),
    told_sealed BYTEA,
    told_index BYTEA     CHECK (length(told_index) = 16),
    rule       TEXT      NOT NULL CHECK (rule IN ('same-name-birth', 'same-sound-birth', 'same-phone-name', 'same-photo', 'number-other-name')),
    place      TEXT      NOT NULL REFERENCES divisions (code),
    state      TEXT      NOT NULL CHECK (state IN ('open', 'same', 'different')),
    found_at   TIMESTAMP NOT NULL,
    decided_at TIMESTAMP,
    decided_by TEXT,
    reason     TEXT,
    CONSTRAINT duplicate_cases_two CHECK ((second_id IS NULL) = (told_sealed IS NOT NULL) AND (second_id IS NULL) = (told_index IS NOT NULL)),
    CONSTRAINT duplicate_cases_order CHECK (first_id < second_id),
    CONSTRAINT duplicate_cases_decided CHECK ((state = 'open') = (decided_at IS NULL) AND (state = 'open') = (decided_by IS NULL)),
    CONSTRAINT duplicate_cases_pair UNIQUE (first_id, second_id, rule),
    CONSTRAINT duplicate_cases_told UNIQUE (first_id, rule, told_index)
);
CREATE INDEX duplicate_cases_open ON duplicate_cases (place, id) WHERE state = 'open';

-- 规则版本: the text of each rule as it stood.
CREATE TABLE rule_versions (
    name    TEXT      NOT NULL,
    version BIGINT    NOT NULL CHECK (version >= 1),
    since   TIMESTAMP NOT NULL,
    content TEXT      NOT NULL,
    PRIMARY KEY (name, version)
);

-- 存量数据导入: one row for each file, and how far it has come.
CREATE TABLE imports (
    id         UUID      NOT NULL PRIMARY KEY,
    mapping    TEXT      NOT NULL,
    place      TEXT      NOT NULL REFERENCES divisions (code),
    digest     BYTEA     NOT NULL CHECK (length(digest) = 32),
    size       BIGINT    NOT NULL,
    state      TEXT      NOT NULL CHECK (state IN ('running', 'done')),
    byte_offset BIGINT   NOT NULL,
    row_number BIGINT    NOT NULL,
    reject_length BIGINT NOT NULL,
    read_rows  BIGINT    NOT NULL,
    added      BIGINT    NOT NULL,
    changed    BIGINT    NOT NULL,
    unchanged  BIGINT    NOT NULL,
    rejected   BIGINT    NOT NULL,
    persons_before BIGINT NOT NULL,
    lease_owner TEXT     NOT NULL,
    lease_until TIMESTAMP NOT NULL,
    begun_at   TIMESTAMP NOT NULL,
    changed_at TIMESTAMP NOT NULL,
    begun_by   TEXT      NOT NULL,
    CONSTRAINT imports_file UNIQUE (mapping, digest),
    CONSTRAINT imports_counts CHECK (read_rows = added + changed + unchanged + rejected)
);

-- 卡的各个状态维度: beside the card's status (AAZ502) each its own.
ALTER TABLE cards ADD COLUMN production TEXT NOT NULL DEFAULT 'made' CHECK (production IN ('ordered', 'making', 'made', 'inspected', 'scrapped'));
ALTER TABLE cards ADD COLUMN custody TEXT NOT NULL DEFAULT 'county' CHECK (custody IN ('maker', 'province', 'prefecture', 'county', 'township', 'holder', 'returned', 'destroyed'));
ALTER TABLE cards ADD COLUMN chip TEXT NOT NULL DEFAULT 'personalised' CHECK (chip IN ('blank', 'keyed', 'personalised', 'in-use', 'application-locked', 'pin-locked', 'blocked', 'destroyed'));
ALTER TABLE cards ADD COLUMN bank_account UUID REFERENCES bank_accounts (id);
ALTER TABLE cards ADD COLUMN ministry_state TEXT NOT NULL DEFAULT 'unsent' CHECK (ministry_state IN ('unsent', 'sent', 'accepted', 'duplicate', 'rejected', 'unknown', 'stale'));
ALTER TABLE cards ADD COLUMN version BIGINT NOT NULL DEFAULT 1 CHECK (version >= 1);
ALTER TABLE cards ADD COLUMN changed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE cards ADD COLUMN changed_on TEXT NOT NULL DEFAULT '';
ALTER TABLE cards ADD COLUMN change_reason TEXT NOT NULL DEFAULT '';
UPDATE cards SET custody = CASE WHEN status = '0' THEN 'county' ELSE 'holder' END, chip = CASE WHEN status = '0' THEN 'personalised' WHEN status = '9' THEN 'blocked' ELSE 'in-use' END;

-- 空白卡库存: blank and pre-made cards by serial.
CREATE TABLE blank_cards (
    serial     TEXT      NOT NULL PRIMARY KEY CHECK (length(serial) BETWEEN 4 AND 64),
    maker      TEXT      NOT NULL REFERENCES institutions (id),
    product    TEXT      NOT NULL CHECK (length(product) BETWEEN 1 AND 64),
    box        TEXT      NOT NULL,
    holder     TEXT      NOT NULL REFERENCES institutions (id),
    state      TEXT      NOT NULL CHECK (state IN ('ordered', 'stored', 'issued', 'used', 'spoiled', 'missing', 'destroyed')),
    card_id    UUID      UNIQUE REFERENCES cards (id),
    version    BIGINT    NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_at TIMESTAMP NOT NULL,
    changed_by TEXT      NOT NULL,
    changed_on TEXT      NOT NULL,
    change_reason TEXT   NOT NULL,
    CONSTRAINT blank_cards_used CHECK ((state = 'used') = (card_id IS NOT NULL))
);
CREATE INDEX blank_cards_holder ON blank_cards (holder, state);
