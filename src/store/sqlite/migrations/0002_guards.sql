-- Finding out whether a request took effect (delivery-semantics section 9). `rung` is what is known of the delivery and
-- decides its next attempt: `fresh` (nothing to find out), `cleared` (looked for, not there: may be sent), `doubt` (an
-- attempt may have taken effect), `restored` (older than what we remember), `exists` (refused as existing already), `stale_key`
-- (the destination repeats an old failure for the key), `asked` (a person said: send again). `absent` counts the looks in
-- a row that found nothing, `look_failures` those that failed.
ALTER TABLE deliveries ADD COLUMN rung TEXT NOT NULL DEFAULT 'fresh'
    CHECK (rung IN ('fresh', 'cleared', 'doubt', 'restored', 'exists', 'stale_key', 'asked'));
ALTER TABLE deliveries ADD COLUMN absent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN look_failures INTEGER NOT NULL DEFAULT 0;

-- What was in doubt before there were rungs still is.
UPDATE deliveries SET rung = 'doubt' WHERE uncertain = 1;

-- A look is evidence like a send (ATT-2).
ALTER TABLE attempts ADD COLUMN purpose TEXT NOT NULL DEFAULT 'send' CHECK (purpose IN ('send', 'find'));
