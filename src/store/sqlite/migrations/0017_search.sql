-- What records are found by: 1 an address, 2 an item number, 3 an idempotency key, 4 a sender's id. `digest` is keyed; `row` is
-- an order's (1, 2), a delivery's (3) or an event's (4). Written behind the events, never in their transactions.
CREATE TABLE terms (
    kind   INTEGER NOT NULL,
    digest BLOB    NOT NULL,
    row    INTEGER NOT NULL,
    PRIMARY KEY (kind, digest, row)
) STRICT, WITHOUT ROWID;
CREATE INDEX terms_by_row ON terms (row, kind);

-- Order numbers from their end, so that the last digits find them.
CREATE TABLE endings (
    reversed TEXT    NOT NULL,
    subject  INTEGER NOT NULL,
    PRIMARY KEY (reversed, subject)
) STRICT, WITHOUT ROWID;

-- A destination's number. Receipts mostly rise, so a new one grows the index at its end.
CREATE INDEX deliveries_by_receipt ON deliveries (receipt) WHERE receipt IS NOT NULL;
-- What waits for a person because of one value.
CREATE INDEX exceptions_open_by_value ON exceptions (lower(value)) WHERE state = 'open' AND value IS NOT NULL;

-- What came and went by five minutes: counted in the transaction that changes it, a row a group of commands and not an order.
-- `class` is how long a delivery took from its receipt, -1 where that is not known or not asked.
CREATE TABLE traffic (
    slot        INTEGER NOT NULL,
    what        TEXT    NOT NULL,
    destination TEXT    NOT NULL,
    class       INTEGER NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (slot, what, destination, class)
) STRICT, WITHOUT ROWID;

-- What was there before is counted once, nine days back from the newest event.
INSERT INTO traffic (slot, what, destination, class, n)
    SELECT received_at / 300000000, 'accepted', '', -1, COUNT(*) FROM envelopes NOT INDEXED
    WHERE received_at >= (SELECT received_at FROM envelopes ORDER BY seq DESC LIMIT 1) - 777600000000
    GROUP BY 1;
INSERT INTO traffic (slot, what, destination, class, n)
    SELECT settled_at / 300000000, 'delivered', destination, -1, COUNT(*) FROM deliveries NOT INDEXED
    WHERE state = 'delivered'
    AND settled_at >= (SELECT received_at FROM envelopes ORDER BY seq DESC LIMIT 1) - 777600000000
    GROUP BY 1, 3;
INSERT INTO traffic (slot, what, destination, class, n)
    SELECT slot, 'parked', '', -1, COUNT(*) FROM (
        SELECT MIN(opened_at) / 300000000 AS slot FROM exceptions
        WHERE opened_at >= (SELECT received_at FROM envelopes ORDER BY seq DESC LIMIT 1) - 777600000000
        GROUP BY COALESCE(envelope, -seq)
    ) GROUP BY 1;
