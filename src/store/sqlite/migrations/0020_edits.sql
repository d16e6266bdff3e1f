-- Documents that a person edited: from which, who, why. The text itself stands with every other document, and is erased with it.
CREATE TABLE edits (
    document  INTEGER PRIMARY KEY REFERENCES documents (seq),
    original  INTEGER NOT NULL REFERENCES documents (seq),
    edited_by TEXT NOT NULL,
    reason    TEXT NOT NULL
) STRICT;

-- Filters of lists that are kept under a name. `owner` is the id of the person or token that keeps it, and goes with it.
CREATE TABLE views (
    id         BLOB    NOT NULL PRIMARY KEY,
    list       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    name_key   TEXT    NOT NULL,
    filter     TEXT    NOT NULL,
    shared     INTEGER NOT NULL CHECK (shared IN (0, 1)),
    owner      TEXT    NOT NULL,
    kept_by    TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- The names that somebody has for one list are all different, and so are the shared ones.
CREATE UNIQUE INDEX views_own ON views (owner, list, name_key) WHERE shared = 0;
CREATE UNIQUE INDEX views_shared ON views (list, name_key) WHERE shared = 1;
CREATE INDEX views_by_owner ON views (owner);

-- The view that somebody begins with.
CREATE TABLE start_views (
    owner TEXT NOT NULL PRIMARY KEY,
    view  BLOB NOT NULL REFERENCES views (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX start_views_by_view ON start_views (view);
