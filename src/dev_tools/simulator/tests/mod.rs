//! The simulator through its front door: real HTTP on loopback, with a receiver for its callbacks.

mod callback_faults;
mod callbacks;
mod faults;
mod jobs;
mod list;
mod list_faults;
mod results;
mod retention;
mod support;
mod uploads;
