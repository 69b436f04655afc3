//! A result, out of what is stored of the callback that brought it.

use bytes::Bytes;

use crate::{
    db::jobs::{StoredAs, StoredResult},
    gladia::callback::result_of,
};

/// A result byte for byte as it came. Large ones take milliseconds: work for a thread of its own.
///
/// # Errors
/// Where what is stored is not what this service stores.
pub fn unpacked(stored: &StoredResult) -> Result<Bytes, &'static str> {
    match &stored.zstd {
        StoredAs::Frame(frame) => decode(frame, stored.body_bytes),
        StoredAs::Within(body) => {
            let body = decode(body, stored.body_bytes)?;
            let result = result_of(&body).ok_or("not a callback with a result")?;
            Ok(body.slice_ref(result.get().as_bytes()))
        }
    }
}

/// Into a buffer of its own size, which spares the copy from a window. A part of a body is no longer than the body.
fn decode(zstd: &[u8], most_bytes: i64) -> Result<Bytes, &'static str> {
    let most_bytes = usize::try_from(most_bytes).map_err(|_| "no size")?;
    // No frame at all would unpack to nothing at all.
    if zstd.is_empty() {
        return Err("nothing");
    }
    zstd::bulk::decompress(zstd, most_bytes)
        .map(Bytes::from)
        .map_err(|_| "not zstd")
}
