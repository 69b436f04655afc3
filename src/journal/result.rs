//! A result, out of what is stored of the callback that brought it.

use bytes::Bytes;

use crate::{db::jobs::StoredAs, gladia::callback::result_of};

/// A result byte for byte as it came. Large ones take milliseconds: work for a thread of its own.
///
/// # Errors
/// Where what is stored is not what this service stores.
pub fn unpacked(stored: &StoredAs) -> Result<Bytes, &'static str> {
    match stored {
        StoredAs::Frame(frame) => decode(frame),
        StoredAs::Within(body) => {
            let body = decode(body)?;
            let result = result_of(&body).ok_or("not a callback with a result")?;
            Ok(body.slice_ref(result.get().as_bytes()))
        }
    }
}

fn decode(zstd: &[u8]) -> Result<Bytes, &'static str> {
    zstd::decode_all(zstd)
        .map(Bytes::from)
        .map_err(|_| "not zstd")
}
