-- What people do about an exception short of repairing its record. A row that is `open` may have somebody who looks after it,
-- and may rest until a time; one that was `resolved` by dismissing it says so.
ALTER TABLE exceptions ADD COLUMN assignee TEXT;
ALTER TABLE exceptions ADD COLUMN snoozed_until INTEGER;
ALTER TABLE exceptions ADD COLUMN dismissed INTEGER NOT NULL DEFAULT 0 CHECK (dismissed IN (0, 1));
CREATE INDEX exceptions_dismissed ON exceptions (seq) WHERE dismissed = 1;

CREATE TABLE exception_notes (
    seq       INTEGER PRIMARY KEY,
    exception INTEGER NOT NULL REFERENCES exceptions (seq),
    at        INTEGER NOT NULL,
    author    TEXT    NOT NULL,
    text      TEXT    NOT NULL
) STRICT;
CREATE INDEX exception_notes_by_exception ON exception_notes (exception);

-- What changed in a mapping table, row by row; NULL before for a new row, NULL after for one that is gone.
CREATE TABLE mapping_changes (
    seq         INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    destination TEXT    NOT NULL,
    before      TEXT,
    after       TEXT,
    version     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    actor       TEXT    NOT NULL
) STRICT;
CREATE INDEX mapping_changes_by_table ON mapping_changes (name);
CREATE INDEX mapping_changes_by_key ON mapping_changes (name, key);
