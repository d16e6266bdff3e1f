-- What a delivery says of its order (LANE-3), so that a later report can be told from an older one: Commerce's time, the
-- entity's version if it has one, digests of the content and of what is cancelled. NULL where it says nothing of an order.
ALTER TABLE deliveries ADD COLUMN reported_at INTEGER;
ALTER TABLE deliveries ADD COLUMN version INTEGER;
ALTER TABLE deliveries ADD COLUMN content BLOB;
ALTER TABLE deliveries ADD COLUMN cancelled BLOB;
-- LANE-2: it may go before a parked head.
ALTER TABLE deliveries ADD COLUMN overtakes INTEGER NOT NULL DEFAULT 0 CHECK (overtakes IN (0, 1));

-- LANE-4: changes that wait for their order. An envelope here is concluded and still counts as due.
CREATE TABLE held (
    envelope INTEGER PRIMARY KEY,
    subject  INTEGER NOT NULL,
    due_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX held_by_subject ON held (subject);
CREATE INDEX held_due ON held (due_at);
