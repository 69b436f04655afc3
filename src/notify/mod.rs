//! Telling receivers outside: one delivery, signed, to an address that is not in a private network.
//!
//! [`message`] is what goes out and what came of it; [`client`] sends it.

pub mod client;
pub mod message;
