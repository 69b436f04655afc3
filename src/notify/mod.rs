//! Telling receivers outside: one delivery, signed, to an address that is not in a private network.
//!
//! [`message`] is what goes out and what came of it. [`client`] sends it: it looks the receiver's name up ([`lookup`]), has
//! the addresses judged ([`guard`]), signs ([`signature`]) and dials what was judged and nothing else. Of the answer it
//! reads what senders go by and a few bytes for people ([`answer`]); what went wrong gets a stable code ([`failure`]).
//!
//! [`secret`] is what receivers check signatures with, and [`sealing`] keeps it from whoever reads the database.

mod answer;
pub mod client;
mod failure;
pub mod guard;
pub mod lookup;
pub mod message;
pub mod sealing;
pub mod secret;
pub mod signature;
#[cfg(test)]
mod tests;
