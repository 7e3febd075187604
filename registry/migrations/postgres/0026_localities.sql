-- +goose Up

-- What names a township or community names one that there is. Rows from before
-- stay as they are. The same rule as in ../sqlite/0026_localities.sql.
ALTER TABLE persons ADD CONSTRAINT persons_locality_known FOREIGN KEY (locality) REFERENCES localities (code) NOT VALID;
ALTER TABLE addresses ADD CONSTRAINT addresses_locality_known FOREIGN KEY (locality) REFERENCES localities (code) NOT VALID;
ALTER TABLE institutions ADD CONSTRAINT institutions_locality_known FOREIGN KEY (locality) REFERENCES localities (code) NOT VALID;
