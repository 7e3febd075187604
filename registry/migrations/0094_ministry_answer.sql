-- +goose Up

-- 部级查重: what the ministry has said of the applicant stands on the
-- application, for the review: whether there is a card in another province, and
-- in which.
ALTER TABLE applications ADD COLUMN ministry_state TEXT NOT NULL DEFAULT 'none' CHECK (ministry_state IN ('none', 'asked', 'accepted', 'duplicate', 'rejected', 'unknown'));
ALTER TABLE applications ADD COLUMN ministry_province TEXT NOT NULL DEFAULT '' CHECK (length(ministry_province) <= 6);
ALTER TABLE applications ADD COLUMN ministry_at TIMESTAMP;
