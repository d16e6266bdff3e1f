-- People who sign in (API-4), and tokens that are narrowed to some permissions.

-- Names of permissions with a space between them; empty: everything the role has.
ALTER TABLE tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT '';

CREATE TABLE users (
    id            BLOB    NOT NULL PRIMARY KEY,
    -- As written, and in lower case, by which one signs in.
    name          TEXT    NOT NULL,
    name_key      TEXT    NOT NULL UNIQUE,
    email         TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    -- Argon2id in the PHC form; NULL: nobody signs in with a password.
    password      TEXT,
    -- Sealed where the store has a key.
    totp_secret   BLOB,
    -- NULL while it is enrolled and not confirmed.
    totp_since    INTEGER,
    -- The newest time step whose code was used: none is valid twice.
    totp_step     INTEGER NOT NULL DEFAULT 0,
    -- Issuer and subject of an identity provider that vouches for this person.
    issuer        TEXT    NOT NULL DEFAULT '',
    issuer_subject TEXT,
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER,
    last_login_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX users_vouched_for ON users (issuer, issuer_subject) WHERE issuer_subject IS NOT NULL;

-- Each is good once, in place of a code of the second factor; what is used is gone.
CREATE TABLE recovery_codes (
    user   BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    PRIMARY KEY (user, digest)
) STRICT, WITHOUT ROWID;

-- Only the digest of a session's secret is kept. What ends a session takes its row away.
CREATE TABLE sessions (
    secret     BLOB    NOT NULL PRIMARY KEY,
    user       BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    source     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_user ON sessions (user);
CREATE INDEX sessions_by_end ON sessions (expires_at);
