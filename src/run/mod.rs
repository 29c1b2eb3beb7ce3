//! The run folder: the only interface between the process that trains and everything that reads.

pub mod view;
