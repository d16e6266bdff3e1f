-- Destinations that a person holds: they stay held over a restart, until a person lets them go.
CREATE TABLE holds (
    destination TEXT PRIMARY KEY,
    reason      TEXT NOT NULL,
    held_by     TEXT NOT NULL,
    held_at     INTEGER NOT NULL
) STRICT;
