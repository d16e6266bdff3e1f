-- How it goes with a record that a job makes at the destination (nothing: no job is known). It stands beside what was found,
-- which is encrypted, and erased with its buyer.
ALTER TABLE deliveries ADD COLUMN making TEXT CHECK (making IN ('awaited', 'spent'));
-- Its record is at the destination, or a job there makes it: what is left to do is not whether.
ALTER TABLE deliveries ADD COLUMN is_there INTEGER AS (stage IS 'made' AND making IS NOT 'spent') VIRTUAL;
