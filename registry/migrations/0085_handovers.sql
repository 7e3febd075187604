-- +goose Up

-- 领卡登记: who takes a card before it is activated: the holder, or an agent with
-- a document, a relation and a proof; and the signature, a picture among the
-- papers of the holder. A later line of a card stands before an earlier one.
CREATE TABLE handovers (
    id           UUID      NOT NULL PRIMARY KEY,
    card_id      UUID      NOT NULL REFERENCES cards (id),
    taker        TEXT      NOT NULL CHECK (taker IN ('holder', 'agent')),
    proof        TEXT      NOT NULL CHECK (proof IN ('', 'authorisation', 'household-book', 'birth-certificate', 'institution-letter', 'other')),
    agent_sealed BYTEA,
    signature    UUID      REFERENCES attachments (id),
    place        TEXT      NOT NULL CHECK (length(place) = 6),
    operator     TEXT      NOT NULL CHECK (length(operator) > 0),
    workstation  TEXT      NOT NULL,
    at           TIMESTAMP NOT NULL,
    CONSTRAINT handovers_agent CHECK ((taker = 'agent') = (agent_sealed IS NOT NULL)),
    CONSTRAINT handovers_proof CHECK ((taker = 'agent') = (length(proof) > 0))
);
CREATE INDEX handovers_card ON handovers (card_id, id);

-- +goose Down
DROP TABLE handovers;
