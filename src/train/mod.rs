//! Training: one step on one page, and what it is made of.
