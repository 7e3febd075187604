-- +goose Up

-- 申领人、证件有效期、校样确认: for which institution an application is, how long the
-- holder's identity document is valid, and which photograph the applicant has
-- confirmed as the one that the card will show.
ALTER TABLE applications ADD COLUMN institution TEXT REFERENCES institutions (id);
ALTER TABLE applications ADD COLUMN valid_from TEXT CHECK (length(valid_from) = 10);
ALTER TABLE applications ADD COLUMN valid_until TEXT CHECK (length(valid_until) = 10);
ALTER TABLE applications ADD COLUMN photo_index BYTEA CHECK (length(photo_index) = 16);
ALTER TABLE applications ADD COLUMN confirmed_at TIMESTAMP CHECK ((photo_index IS NULL) = (confirmed_at IS NULL));
ALTER TABLE applications ADD COLUMN confirmed_by TEXT CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL));

-- 待办队列: by the day on which a stage is to be over, for the whole province, and
-- by kind and way of making for any place. For one place there is
-- applications_queue.
CREATE INDEX applications_due ON applications (state, due_at, id);
CREATE INDEX applications_kinds ON applications (state, kind, method, place, due_at, id);
