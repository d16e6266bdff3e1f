-- Order is `seq`, the order of our commits; public ids are 16 time-ordered bytes beside it. Times are microseconds UTC.
-- Bodies live apart from states, and come last in their rows, so that neither a state change nor a list touches them.
-- The tables that every order writes name their parents by `seq` without REFERENCES: the parent is a row of the same
-- transaction or one just read, and what a foreign key would look up again eight times an order, `doctor` looks up once.
-- Checks of what every order writes say OR: for each IN with more than two words SQLite builds a tree in memory each time.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Counts kept in the transaction that changes what they count, so that the ledger (P2) never scans.
CREATE TABLE tallies (
    name TEXT    NOT NULL PRIMARY KEY,
    n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- DED-1, DED-4: outlives the payloads, holds digests only, each cut to its first 16 bytes. An order dirties a page of its
-- own here, since the keys are random: the narrower the rows, the fewer pages there are.
CREATE TABLE dedup_keys (
    key      BLOB    NOT NULL PRIMARY KEY,
    content  BLOB    NOT NULL,
    envelope BLOB    NOT NULL,
    hits     INTEGER NOT NULL,
    last_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row an order (or another thing that events are about). With a destination it is a lane.
CREATE TABLE subjects (
    seq             INTEGER PRIMARY KEY,
    kind            TEXT    NOT NULL,
    system          TEXT    NOT NULL,
    scope           TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    entity_id       TEXT,
    commerce_state  TEXT,
    commerce_status TEXT,
    currency        TEXT,
    grand_total     TEXT,
    placed_at       INTEGER,
    updated_at      INTEGER,
    first_seen_at   INTEGER NOT NULL,
    last_seen_at    INTEGER NOT NULL,
    UNIQUE (id, kind, system, scope)
) STRICT;

-- One verified request (ACK-1).
CREATE TABLE payloads (
    seq            INTEGER PRIMARY KEY,
    plain_bytes    INTEGER NOT NULL,
    digest         BLOB    NOT NULL,
    request_id     BLOB    NOT NULL,
    verification   TEXT    NOT NULL,
    config_version TEXT    NOT NULL,
    traceparent    TEXT,
    headers        TEXT    NOT NULL,
    received_at    INTEGER NOT NULL,
    body           BLOB    NOT NULL
) STRICT;

-- `state` is the column of the ledger it counts in. `turn` is its place on the way to the processor: `ready` (the
-- subject's oldest, free to be claimed), `begun` (claimed), `behind` (an earlier one of its subject comes first), NULL
-- once concluded. `verdict` is what it came to if no delivery of its own says more.
CREATE TABLE envelopes (
    seq         INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE,
    payload     INTEGER NOT NULL,
    subject     INTEGER NOT NULL,
    event_key   BLOB    NOT NULL,
    origin      TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    event_name  TEXT,
    path        TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state = 'received' OR state = 'done' OR state = 'ignored' OR state = 'superseded' OR state = 'exception'),
    turn        TEXT             CHECK (turn = 'ready' OR turn = 'begun' OR turn = 'behind'),
    verdict     TEXT             CHECK (verdict IN ('ignored', 'superseded')),
    deaths      INTEGER NOT NULL DEFAULT 0,
    explanation TEXT    NOT NULL,
    CHECK (turn IS NULL OR state = 'received')
) STRICT;
CREATE INDEX envelopes_by_subject ON envelopes (subject);
CREATE INDEX envelopes_open ON envelopes (seq) WHERE state IN ('received', 'exception');
CREATE INDEX envelopes_set_aside ON envelopes (seq) WHERE state IN ('ignored', 'superseded');
CREATE INDEX envelopes_ready ON envelopes (seq) WHERE turn = 'ready';
CREATE INDEX envelopes_begun ON envelopes (seq) WHERE turn = 'begun';
CREATE INDEX envelopes_unconcluded ON envelopes (subject, seq) WHERE turn IS NOT NULL;

CREATE TABLE documents (
    seq              INTEGER PRIMARY KEY,
    id               BLOB    NOT NULL UNIQUE,
    envelope         INTEGER NOT NULL,
    kind             TEXT    NOT NULL,
    schema           TEXT    NOT NULL,
    destination      TEXT    NOT NULL,
    mappings_version INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    plain_bytes      INTEGER NOT NULL,
    digest           BLOB    NOT NULL,
    body             BLOB    NOT NULL
) STRICT;
CREATE INDEX documents_by_envelope ON documents (envelope);

-- `head` marks the one delivery of a lane whose turn it is; the open ones behind it follow in `seq` order.
CREATE TABLE deliveries (
    seq              INTEGER PRIMARY KEY,
    id               BLOB    NOT NULL UNIQUE,
    key              TEXT    NOT NULL,
    destination      TEXT    NOT NULL,
    subject          INTEGER NOT NULL,
    envelope         INTEGER NOT NULL,
    document         INTEGER NOT NULL,
    purpose          TEXT    NOT NULL,
    revision         TEXT    NOT NULL,
    generation       INTEGER NOT NULL,
    state            TEXT    NOT NULL
        CHECK (state = 'in_flight' OR state = 'delivered' OR state = 'waiting' OR state = 'parked' OR state = 'superseded'
            OR state = 'abandoned'),
    head             INTEGER NOT NULL CHECK (head IN (0, 1)),
    sealed           INTEGER NOT NULL DEFAULT 0 CHECK (sealed IN (0, 1)),
    uncertain        INTEGER NOT NULL DEFAULT 0 CHECK (uncertain IN (0, 1)),
    interrupted      INTEGER NOT NULL DEFAULT 0 CHECK (interrupted IN (0, 1)),
    epoch            INTEGER NOT NULL DEFAULT 0,
    attempts         INTEGER NOT NULL DEFAULT 0,
    failures         INTEGER NOT NULL DEFAULT 0,
    due_at           INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    first_attempt_at INTEGER,
    settled_at       INTEGER,
    receipt          TEXT,
    CHECK (head = 1 OR (state <> 'in_flight' AND state <> 'parked')),
    CHECK (head = 0 OR state = 'waiting' OR state = 'in_flight' OR state = 'parked')
) STRICT;
-- KEY-2. The key is a digest of these parts and the installation; over the parts, the index of a new order grows at its
-- end, where a digest would dirty a page of its own each time.
CREATE UNIQUE INDEX deliveries_effect ON deliveries (subject, destination, purpose, revision, generation);
-- LANE-1, kept by the file and not by memory: one head a lane, and only a head is in flight.
CREATE UNIQUE INDEX deliveries_head ON deliveries (subject, destination) WHERE head = 1;
CREATE INDEX deliveries_in_flight ON deliveries (seq) WHERE state = 'in_flight';
CREATE INDEX deliveries_behind ON deliveries (subject, destination, seq) WHERE state = 'waiting' AND head = 0;
CREATE INDEX deliveries_due ON deliveries (destination, due_at) WHERE state = 'waiting' AND head = 1;
CREATE INDEX deliveries_waiting ON deliveries (destination, seq) WHERE state = 'waiting';
CREATE INDEX deliveries_parked ON deliveries (seq) WHERE state = 'parked';
CREATE INDEX deliveries_set_aside ON deliveries (seq) WHERE state IN ('superseded', 'abandoned');
CREATE INDEX deliveries_by_envelope ON deliveries (envelope);

-- KEY-5: what goes out on every attempt. No body here: it is the document's, byte for byte.
CREATE TABLE sealed_requests (
    delivery    INTEGER PRIMARY KEY,
    method      TEXT    NOT NULL,
    url         TEXT    NOT NULL,
    headers     TEXT    NOT NULL,
    digest      BLOB    NOT NULL,
    body_bytes  INTEGER NOT NULL,
    body_digest BLOB,
    body        BLOB,
    CHECK ((body IS NULL) = (body_digest IS NULL))
) STRICT;

-- ATT-1, ATT-2: a row is made before a byte leaves and completed once; whatever comes later is `evidence`.
CREATE TABLE attempts (
    delivery       INTEGER NOT NULL,
    number         INTEGER NOT NULL,
    epoch          INTEGER NOT NULL,
    started_at     INTEGER NOT NULL,
    deadline       INTEGER NOT NULL,
    config_version TEXT    NOT NULL,
    finished_at    INTEGER,
    outcome        TEXT,
    status         INTEGER,
    detail         TEXT,
    response       TEXT,
    duration_us    INTEGER,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE evidence (
    seq         INTEGER PRIMARY KEY,
    delivery    INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    applied     INTEGER NOT NULL,
    receipt     TEXT,
    outcome     TEXT    NOT NULL,
    status      INTEGER,
    detail      TEXT    NOT NULL,
    response    TEXT,
    duration_us INTEGER
) STRICT;
CREATE INDEX evidence_by_delivery ON evidence (delivery);

-- `payload` keeps the body of a conflicting event, which has no envelope of its own.
CREATE TABLE exceptions (
    seq         INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE,
    code        TEXT    NOT NULL,
    severity    TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('open', 'resolved', 'superseded')),
    subject     INTEGER NOT NULL REFERENCES subjects (seq),
    destination TEXT,
    envelope    INTEGER REFERENCES envelopes (seq),
    delivery    INTEGER REFERENCES deliveries (seq),
    payload     INTEGER REFERENCES payloads (seq),
    path        TEXT    NOT NULL,
    value       TEXT,
    message     TEXT    NOT NULL,
    remedy      TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    opened_at   INTEGER NOT NULL,
    resolved_at INTEGER,
    resolution  TEXT,
    CHECK ((state = 'open') = (resolved_at IS NULL))
) STRICT;
CREATE INDEX exceptions_open_by_subject ON exceptions (subject) WHERE state = 'open';
CREATE INDEX exceptions_open_by_envelope ON exceptions (envelope) WHERE state = 'open';
CREATE INDEX exceptions_open_by_delivery ON exceptions (delivery) WHERE state = 'open';
CREATE INDEX exceptions_open_by_cause ON exceptions (fingerprint, opened_at) WHERE state = 'open';
CREATE INDEX exceptions_by_state ON exceptions (state);
CREATE INDEX exceptions_by_subject ON exceptions (subject);
CREATE INDEX exceptions_by_code ON exceptions (code, state);
CREATE INDEX exceptions_by_cause ON exceptions (fingerprint, state);

CREATE TABLE mapping_tables (
    name       TEXT    NOT NULL PRIMARY KEY,
    rows       INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    changed_by TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE mappings (
    name        TEXT NOT NULL REFERENCES mapping_tables (name),
    key         TEXT NOT NULL,
    destination TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (name, key, destination)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id         BLOB    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    secret     BLOB    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX tokens_in_force ON tokens (name) WHERE revoked_at IS NULL;

-- API-5: every row holds the digest of the one before it, so none can be changed or taken out unnoticed.
CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    target   TEXT    NOT NULL,
    before   TEXT    NOT NULL,
    after    TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    previous BLOB    NOT NULL,
    digest   BLOB    NOT NULL
) STRICT;
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE (ABORT, 'audit rows are never changed');
END;
CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit
BEGIN
    SELECT RAISE (ABORT, 'audit rows are never deleted');
END;
