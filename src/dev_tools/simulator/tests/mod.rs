//! The simulator through its front door: real HTTP on loopback, with a receiver for its callbacks.

mod callbacks;
mod faults;
mod jobs;
mod list;
mod results;
mod support;
mod uploads;
