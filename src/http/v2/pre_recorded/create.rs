//! `POST /v2/pre-recorded`: accepts a job.

use crate::http::v2::{auth::KeyedWriter, error::V2Error};

/// Accepts a job.
pub async fn create_job(KeyedWriter(_): KeyedWriter) -> V2Error {
    V2Error::no_such_route()
}
