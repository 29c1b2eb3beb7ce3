//! `--batch`: the records of a run as JSON Lines on stdout.
