//! Telling receivers outside: one delivery, signed, to an address that is not in a private network.
//!
//! [`message`] is what goes out and what came of it; [`client`] sends it. [`secret`] is what receivers know a message by, and
//! [`sealing`] keeps it from whoever reads the database.

pub mod client;
pub mod message;
pub mod sealing;
pub mod secret;
