-- May be taken early: the books of step 6 are opened with what an order's state is by now, and that asks for wanted reads.
-- Orders that are to be read from Commerce: one row an order, however many payloads hint at it.
CREATE TABLE IF NOT EXISTS wanted_reads (
    seq          INTEGER PRIMARY KEY,
    subject      INTEGER NOT NULL UNIQUE,
    system       TEXT NOT NULL,
    entity_id    INTEGER,
    increment_id TEXT,
    store_id     INTEGER,
    why          TEXT NOT NULL,
    patience     TEXT NOT NULL CHECK (patience IN ('saved', 'unsaved')),
    asked_at     INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    tries        INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS wanted_reads_due ON wanted_reads (system, due_at);

-- The envelopes that wait for such a read. An envelope here is concluded and still counts as due, unless a person was
-- asked about it.
CREATE TABLE IF NOT EXISTS awaited_reads (
    envelope INTEGER PRIMARY KEY,
    read     INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS awaited_reads_by_read ON awaited_reads (read);
