//! The way of a connection through the server.
//!
//! 1. [`serve`](serve::serve) accepts it, and it takes a [`Seat`](connections::Seat) among the
//!    [`Connections`](connections::Connections); where all are taken, one without a request gives up its own.
//! 2. The head of a request has to come within [`Timeouts::head`](serve::Timeouts). From then on it is being served
//!    ([`Serving`](connections::Serving)), and nobody displaces it.
//! 3. Where it asks for the API, it waits a moment for the [`Start`](start::Start) of the process, and then for its turn at the
//!    [`Gate`](overload::Gate); what is beyond capacity is refused there.
//! 4. While its body comes (`Arriving`, in [`overload`]), its turn is left to others.
//! 5. Its answer takes room among the [`Answers`](overload::Answers) until its caller has it. What its handler has left of the body
//!    is read meanwhile ([`linger`]).
//! 6. Whether the answer left, and what the connection told afterwards, is its [`Fate`](answer_fate::Fate). The connection rests for
//!    [`Timeouts::keep_alive`](serve::Timeouts) then, or until it gives way.

pub mod answer_fate;
pub mod connections;
pub mod linger;
pub mod overload;
pub mod serve;
pub mod start;
