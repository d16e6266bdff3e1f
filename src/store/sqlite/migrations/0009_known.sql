-- What Commerce said of products and attributes, so that an order need not wait for it. Nothing hangs on these rows: what is
-- missing is asked for again.
CREATE TABLE known (
    system     TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    id         INTEGER NOT NULL,
    sku        TEXT,
    fetched_at INTEGER NOT NULL,
    body       TEXT,
    PRIMARY KEY (system, kind, id)
) STRICT, WITHOUT ROWID;
