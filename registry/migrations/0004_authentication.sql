-- +goose Up

-- 认证限额: how often a card or a terminal has asked within the window that runs.
-- subject is card:<id>, chip:<keyed digest> or terminal:<workstation>.
CREATE TABLE authentication_counts (
    subject   TEXT      NOT NULL,
    name      TEXT      NOT NULL,
    began_at  TIMESTAMP NOT NULL,
    used      INTEGER   NOT NULL CHECK (used >= 0),
    PRIMARY KEY (subject, name)
);

-- 已用随机数: challenges that were answered, by card and key.
CREATE TABLE authentication_challenges (
    subject   TEXT      NOT NULL,
    key       TEXT      NOT NULL,
    challenge TEXT      NOT NULL CHECK (length(challenge) IN (8, 16)),
    used_at   TIMESTAMP NOT NULL,
    PRIMARY KEY (subject, key, challenge)
);

-- 密码重装: round one was answered and round two is awaited, for this card at
-- this terminal. The number itself is kept nowhere.
CREATE TABLE authentication_reloads (
    subject     TEXT      NOT NULL,
    workstation TEXT      NOT NULL REFERENCES workstations (id),
    operator    TEXT      NOT NULL,
    began_at    TIMESTAMP NOT NULL,
    PRIMARY KEY (subject, workstation)
);

-- +goose Down

DROP TABLE authentication_reloads;
DROP TABLE authentication_challenges;
DROP TABLE authentication_counts;
