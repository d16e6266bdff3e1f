//! Claims envelopes: parse, expand, route, enqueue.
