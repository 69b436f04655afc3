//! `GET /v2/pre-recorded/{id}`: one job, with its result once it has one.

use std::time::Duration;

use reqwest::Response;

use super::{client::GladiaClient, error::GladiaError};

/// How long a job may take to arrive in all. A result of up to a gigabyte comes through a line of a few megabits then; one
/// that stops on the way is noticed much earlier, by its silence.
const JOB_TIMEOUT: Duration = Duration::from_mins(30);

impl GladiaClient {
    /// Opens a job; its body is for the caller to read. `None` where Gladia itself says that it does not have it: a 404
    /// without its envelope comes from something in front of it.
    ///
    /// # Errors
    /// Where Gladia does not answer with one.
    pub async fn job(&self, gladia_id: &str) -> Result<Option<Response>, GladiaError> {
        let response = self
            .keyed
            .get(self.url(&["v2", "pre-recorded", gladia_id]))
            .timeout(JOB_TIMEOUT)
            .send()
            .await
            .map_err(|error| GladiaError::from_transport(&error))?;
        if response.status().is_success() {
            return Ok(Some(response));
        }
        match GladiaError::from_response(response, &self.api_key).await {
            GladiaError::Refused { status: 404, .. } => Ok(None),
            error => Err(error),
        }
    }
}
