//! What a destination wants to be sent, and what its answer means.
