-- What people are told about. An alert is open until `resolved_at`; `clear_since` is set while nothing is wrong any more
-- and it waits out its time. `level` is how far up the ladder of contacts it has gone, `told_at` when that level was told.
CREATE TABLE alerts (
    seq             INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE,
    rule            TEXT    NOT NULL,
    subject         TEXT    NOT NULL,
    severity        TEXT    NOT NULL CHECK (severity IN ('info', 'warning', 'error', 'critical')),
    what            TEXT    NOT NULL,
    next            TEXT    NOT NULL,
    waiting         INTEGER NOT NULL,
    since           INTEGER NOT NULL,
    opened_at       INTEGER NOT NULL,
    changed_at      INTEGER NOT NULL,
    clear_since     INTEGER,
    resolved_at     INTEGER,
    acknowledged_at INTEGER,
    acknowledged_by TEXT,
    level           INTEGER NOT NULL,
    told_at         INTEGER NOT NULL,
    relapses        INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX alerts_open ON alerts (rule, subject) WHERE resolved_at IS NULL;
CREATE INDEX alerts_ended ON alerts (resolved_at) WHERE resolved_at IS NOT NULL;

-- The outbox: written with the alert they are about, sent afterwards, and one of a kind (an alert tells a contact once).
CREATE TABLE alert_messages (
    seq        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE,
    alert      BLOB    NOT NULL,
    contact    TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('raised', 'escalated', 'resolved')),
    level      INTEGER NOT NULL,
    notice     TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'sent', 'failed', 'withdrawn')),
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER,
    detail     TEXT,
    UNIQUE (alert, contact, kind, level)
) STRICT;
CREATE INDEX alert_messages_waiting ON alert_messages (contact, due_at) WHERE state = 'waiting';

-- Orders first heard of, an hour a row, for what is usual at that hour; and up to which subject they are counted.
CREATE TABLE order_hours (
    system  TEXT    NOT NULL,
    hour    INTEGER NOT NULL,
    orders  INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (system, hour)
) STRICT, WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('order_hours_to', '0'), ('alive_at', '0');
