-- Troubles of destinations. Few rows: open ones, and the last that ended.
CREATE TABLE incidents (
    seq              INTEGER PRIMARY KEY,
    id               BLOB    NOT NULL UNIQUE,
    destination      TEXT    NOT NULL,
    kind             TEXT    NOT NULL CHECK (kind IN ('backlog', 'paused', 'broken', 'held')),
    why              TEXT    NOT NULL,
    opened_at        INTEGER NOT NULL,
    reopened_at      INTEGER,
    ended_at         INTEGER,
    waiting_most     INTEGER NOT NULL,
    drain_per_minute INTEGER,
    drained_at       INTEGER
) STRICT;
CREATE UNIQUE INDEX incidents_open ON incidents (destination) WHERE ended_at IS NULL;
