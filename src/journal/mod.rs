//! The journal: what came from Gladia is kept before it is understood.
//!
//! A callback may be the only copy of a paid transcript that ever exists, so its body is what is kept, and everything
//! else is a view of it. One path ([`carry_out`]) takes a body from wherever it comes, a callback that arrives, one that
//! was quarantined and is tried again, one that was spooled, or a result that was asked for ([`fetch`]), and commits it together with
//! what it changes.

pub mod body;
pub mod carry_out;
pub mod fetch;
pub mod intake;
pub mod replay;
pub mod spool;
