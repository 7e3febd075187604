-- +goose Up

-- What names a township or community names one that there is. SQLite adds no
-- foreign key to a column that exists: triggers hold the rule. Rows from before
-- stay as they are. The same rule as in ../postgres/0026_localities.sql.
-- +goose StatementBegin
CREATE TRIGGER persons_locality_insert BEFORE INSERT ON persons WHEN NEW.locality IS NOT NULL AND NOT EXISTS (SELECT 1 FROM localities WHERE code = NEW.locality)
BEGIN SELECT RAISE(ABORT, 'persons: no such locality'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER persons_locality_update BEFORE UPDATE OF locality ON persons WHEN NEW.locality IS NOT NULL AND NOT EXISTS (SELECT 1 FROM localities WHERE code = NEW.locality)
BEGIN SELECT RAISE(ABORT, 'persons: no such locality'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER addresses_locality_insert BEFORE INSERT ON addresses WHEN NEW.locality IS NOT NULL AND NOT EXISTS (SELECT 1 FROM localities WHERE code = NEW.locality)
BEGIN SELECT RAISE(ABORT, 'addresses: no such locality'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER addresses_locality_update BEFORE UPDATE OF locality ON addresses WHEN NEW.locality IS NOT NULL AND NOT EXISTS (SELECT 1 FROM localities WHERE code = NEW.locality)
BEGIN SELECT RAISE(ABORT, 'addresses: no such locality'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER institutions_locality_insert BEFORE INSERT ON institutions WHEN NEW.locality IS NOT NULL AND NOT EXISTS (SELECT 1 FROM localities WHERE code = NEW.locality)
BEGIN SELECT RAISE(ABORT, 'institutions: no such locality'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER institutions_locality_update BEFORE UPDATE OF locality ON institutions WHEN NEW.locality IS NOT NULL AND NOT EXISTS (SELECT 1 FROM localities WHERE code = NEW.locality)
BEGIN SELECT RAISE(ABORT, 'institutions: no such locality'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER localities_stay BEFORE DELETE ON localities BEGIN SELECT RAISE(ABORT, 'localities: rows are never deleted'); END;
-- +goose StatementEnd
