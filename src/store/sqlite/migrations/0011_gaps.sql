-- Numbers between two orders that are here which were asked for once: `found` came in, `reserved` never became an order,
-- `refused` could not be asked for.
CREATE TABLE gaps (
    system    TEXT    NOT NULL,
    scope     TEXT    NOT NULL,
    number    TEXT    NOT NULL,
    outcome   TEXT    NOT NULL CHECK (outcome IN ('found', 'reserved', 'refused')),
    asked_at  INTEGER NOT NULL,
    PRIMARY KEY (system, scope, number)
) STRICT, WITHOUT ROWID;
