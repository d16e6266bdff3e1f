-- Why a search of another system gets no further; NULL while it does.
ALTER TABLE positions ADD COLUMN trouble TEXT;
