//! Pure types and rules: no I/O, and nothing else of ours.

pub mod options;
