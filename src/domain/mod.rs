//! Orders, lines, money: no I/O, no clock, no async, no logging.
