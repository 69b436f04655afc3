//! The way of a connection through the server.
//!
//! 1. [`serve::serve`] accepts it, and it takes a [`Seat`](connections::Seat) among the [`Connections`](connections::Connections),
//!    which another one that has no request gives up for it where all are taken.
//! 2. The head of a request has to come within [`Timeouts::head`](serve::Timeouts); from then on it is being served
//!    ([`Serving`](connections::Serving)), and nobody displaces it.
//! 3. Where the API is asked for, it waits a moment for the [`Start`](start::Start) of the process, and for its turn at the
//!    [`Gate`](overload::Gate); whoever is beyond capacity is refused here ([`overload`]).
//! 4. While its body comes ([`Arriving`](overload)), its turn is left to others.
//! 5. Its answer takes room among the [`Answers`](overload::Answers) until its caller has it; what its handler has left of the
//!    body is read meanwhile ([`linger`]).
//! 6. Whether the answer left, and what the connection told afterwards, is its [`Fate`](line::Fate). The connection then rests for
//!    [`Timeouts::keep_alive`](serve::Timeouts), or gives way to another.

pub mod connections;
pub mod line;
pub mod linger;
pub mod overload;
pub mod serve;
pub mod start;
