//! Environments: multi-turn text tasks behind one trait.
