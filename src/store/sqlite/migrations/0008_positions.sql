-- How far each regular search of another system got, in that system's own terms. One row a search: nothing of it grows.
CREATE TABLE positions (
    system   TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    position TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (system, kind)
) STRICT, WITHOUT ROWID;
