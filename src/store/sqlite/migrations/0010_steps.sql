-- Deliveries that take several steps: how far one is (nothing: no step was finished), what its steps found, encrypted as
-- answers are, and how each step of an attempt went.
ALTER TABLE deliveries ADD COLUMN stage TEXT CHECK (stage IN ('prepared', 'made'));
ALTER TABLE deliveries ADD COLUMN found TEXT;
ALTER TABLE attempts ADD COLUMN steps TEXT;
