//! Configuration: recipe files, overrides, errors with a place, typed differences, watching.
