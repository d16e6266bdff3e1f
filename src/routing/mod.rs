//! Which destinations a document goes to, and why.
