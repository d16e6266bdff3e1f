//! Adobe Commerce's spelling: the only room that knows how its JSON is written.
