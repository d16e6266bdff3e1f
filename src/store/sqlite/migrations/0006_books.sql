-- API-2: what a call under an Idempotency-Key was answered, written in the transaction of its effect.
CREATE TABLE kept_answers (
    scope       BLOB    NOT NULL PRIMARY KEY,
    fingerprint BLOB    NOT NULL,
    status      INTEGER NOT NULL,
    headers     TEXT    NOT NULL,
    kept_at     INTEGER NOT NULL,
    body        BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_answers_by_age ON kept_answers (kept_at);

-- API-5: from where. NULL in rows of before this column, whose digests do not cover it.
ALTER TABLE audit ADD COLUMN source TEXT;

-- P2 in money: what an order is booked as, "STATE CURRENCY MILLIONTHS", and the sums of all that are. The sums change in
-- the transaction that changes an order; amounts are whole millionths, as text because they may exceed 64 bits.
ALTER TABLE subjects ADD COLUMN booked TEXT;
CREATE TABLE order_sums (
    system        TEXT    NOT NULL,
    currency      TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    orders        INTEGER NOT NULL,
    millionths    TEXT    NOT NULL,
    without_total INTEGER NOT NULL,
    PRIMARY KEY (system, currency, state)
) STRICT, WITHOUT ROWID;
