//! The screen: a pure function of the run view.
