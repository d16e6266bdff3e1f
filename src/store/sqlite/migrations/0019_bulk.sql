-- Acts on many records at once. The list of members is made when the act is asked for, and never again; what becomes of a
-- member is written with its effect.
CREATE TABLE bulk_acts (
    seq            INTEGER PRIMARY KEY,
    id             BLOB    NOT NULL UNIQUE,
    what           TEXT    NOT NULL CHECK (what IN ('replay', 'resend')),
    state          TEXT    NOT NULL CHECK (state IN
        ('awaiting_approval', 'waiting', 'running', 'done', 'undone', 'stopped', 'refused')),
    -- As asked, and the sums of money at that time: JSON.
    filter         TEXT    NOT NULL,
    sums           TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    asked_by       TEXT    NOT NULL,
    asked_at       INTEGER NOT NULL,
    needs_approval INTEGER NOT NULL CHECK (needs_approval IN (0, 1)),
    approved_by    TEXT,
    approved_at    INTEGER,
    begins_at      INTEGER,
    began_at       INTEGER,
    ended_by       TEXT,
    ended_at       INTEGER,
    ending         TEXT    NOT NULL DEFAULT '',
    per_minute     INTEGER NOT NULL,
    total          INTEGER NOT NULL,
    acted          INTEGER NOT NULL DEFAULT 0,
    still_parked   INTEGER NOT NULL DEFAULT 0,
    skipped        INTEGER NOT NULL DEFAULT 0,
    CHECK (acted + skipped <= total),
    CHECK ((state IN ('awaiting_approval', 'waiting', 'running')) = (ended_at IS NULL)),
    CHECK (state NOT IN ('waiting', 'running', 'done') OR begins_at IS NOT NULL)
) STRICT;
CREATE INDEX bulk_acts_open ON bulk_acts (seq) WHERE state IN ('waiting', 'running');
CREATE INDEX bulk_acts_by_state ON bulk_acts (state);

CREATE TABLE bulk_members (
    bulk        INTEGER NOT NULL REFERENCES bulk_acts (seq),
    -- From 1: their turns come in this order.
    number      INTEGER NOT NULL,
    -- An exception or a delivery, by what the act does.
    target      BLOB    NOT NULL,
    subject     INTEGER NOT NULL,
    state       TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'acted', 'skipped')),
    -- Its turn came, and nothing is written of what became of it.
    begun       INTEGER NOT NULL DEFAULT 0 CHECK (begun IN (0, 1)),
    deaths      INTEGER NOT NULL DEFAULT 0,
    result      TEXT,
    explanation TEXT    NOT NULL DEFAULT '',
    made        BLOB,
    at          INTEGER,
    PRIMARY KEY (bulk, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX bulk_members_begun ON bulk_members (bulk) WHERE begun = 1;
CREATE INDEX bulk_members_by_subject ON bulk_members (subject);
