//! Business records somebody owns: open, group, resolve, replay.
