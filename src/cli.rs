//! Command line: arguments to mode.
