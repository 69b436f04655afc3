//! `POST /v2/upload`: a file.

use crate::http::v2::{auth::KeyedWriter, error::V2Error};

/// Takes a file.
pub async fn create_upload(KeyedWriter(_): KeyedWriter) -> V2Error {
    V2Error::no_such_route()
}
