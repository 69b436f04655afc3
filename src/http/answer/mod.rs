//! What answers are made with, whatever they are about.
//!
//! [`accepted`] says where to find what goes on by itself. What a caller has already is not sent again ([`etag`]), and the rest goes
//! out in the encoding that it prefers ([`compression`]): a result as it is stored, alone or within its job ([`zstd_frame`]).

pub mod accepted;
pub mod compression;
pub mod etag;
pub mod zstd_frame;
