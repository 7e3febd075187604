-- +goose Up
-- Whether another card was applied for in a card's place is asked at every end
-- of a loss report.
CREATE INDEX applications_by_previous ON applications (previous_id) WHERE previous_id IS NOT NULL;
