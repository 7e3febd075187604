-- +goose Up

-- 卡的全生命周期. The same change as in ../sqlite/0039_applications.sql. Which states an
-- application and a card can be in, and which follows which, is no longer said
-- here: triggers made from the table of the workflow hold it.
ALTER TABLE operator_roles DROP CONSTRAINT operator_roles_role_check;
ALTER TABLE operator_roles ADD CONSTRAINT operator_roles_role_check CHECK (role IN ('clerk', 'reviewer', 'issuer', 'supervisor', 'cashier', 'admin', 'producer', 'storekeeper'));

ALTER TABLE applications DROP CONSTRAINT applications_kind_check;
ALTER TABLE applications DROP CONSTRAINT applications_state_check;
ALTER TABLE applications DROP CONSTRAINT applications_reviewed;
ALTER TABLE applications ADD CONSTRAINT applications_kind_check CHECK (kind IN ('first', 'replacement', 'exchange', 'temporary'));
ALTER TABLE applications ADD COLUMN method TEXT NOT NULL DEFAULT 'instant' CHECK (method IN ('instant', 'batch'));
ALTER TABLE applications ADD COLUMN channel TEXT NOT NULL DEFAULT 'counter' CHECK (length(channel) BETWEEN 1 AND 16);
ALTER TABLE applications ADD COLUMN applicant TEXT NOT NULL DEFAULT 'holder' CHECK (applicant IN ('holder', 'guardian', 'agent', 'employer', 'school', 'community', 'bank'));
ALTER TABLE applications ADD COLUMN agent_sealed BYTEA;
ALTER TABLE applications ADD COLUMN ground TEXT NOT NULL DEFAULT '';
ALTER TABLE applications ADD COLUMN previous_id UUID REFERENCES cards (id);
ALTER TABLE applications ADD COLUMN holder_index BYTEA CHECK (length(holder_index) = 16);
ALTER TABLE applications ADD COLUMN made_by TEXT CHECK (length(made_by) > 0);
ALTER TABLE applications ADD COLUMN handed_by TEXT CHECK (length(handed_by) > 0);
ALTER TABLE applications ADD COLUMN stage_since TIMESTAMP;
ALTER TABLE applications ADD COLUMN due_at TIMESTAMP;
UPDATE applications SET stage_since = changed_at;
ALTER TABLE applications ADD CONSTRAINT applications_reviewed CHECK (state IN ('draft', 'applied', 'returned', 'withdrawn') OR (reviewed_by IS NOT NULL AND card_number IS NOT NULL));
ALTER TABLE applications ADD CONSTRAINT applications_previous CHECK ((kind IN ('replacement', 'exchange')) = (previous_id IS NOT NULL));
-- Who entered and who reviewed are two persons; so a card that was made and
-- handed over has passed through two at least, whoever made it (无人可独自发卡).
ALTER TABLE applications ADD CONSTRAINT applications_alone CHECK (handed_by IS NULL OR (reviewed_by IS NOT NULL AND made_by IS NOT NULL));
DROP INDEX applications_running;
CREATE UNIQUE INDEX applications_running ON applications (person_id) WHERE state IN ('applied', 'numbered', 'batched', 'personalising', 'made');
DROP INDEX applications_state;
CREATE INDEX applications_queue ON applications (state, place, due_at, id);
