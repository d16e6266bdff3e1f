-- DAT-1: since when nothing personal of it is left.
ALTER TABLE subjects ADD COLUMN erased_at INTEGER;

-- DAT-2: what the walk along the rows passed while it was not old enough yet, and when to look again.
CREATE TABLE kept_longer (
    what    TEXT    NOT NULL,
    look_at INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (what, look_at, seq)
) STRICT, WITHOUT ROWID;

-- Bodies that belong to a complaint alone are few; the walk along the events does not meet them.
CREATE INDEX exceptions_with_body ON exceptions (payload) WHERE payload IS NOT NULL;
