//! `DELETE /v2/pre-recorded/{id}`: Gladia's copy of a transcription, with its audio.

use std::time::Duration;

use super::{
    client::GladiaClient,
    error::{ErrorEnvelope, GladiaError, read_said},
};

/// How long one may take in all. Whoever claimed the deletion is back before it is due again.
pub const DELETE_TIMEOUT: Duration = Duration::from_secs(20);

/// What an answer to a deletion means.
#[derive(Debug)]
pub enum Deletion {
    /// Gladia has deleted it.
    Deleted,
    /// Gladia does not have it, or the part of it that was asked does not have it yet.
    NotFound,
    /// Gladia does not delete it now. It refuses while it is at work on it.
    Refused {
        /// HTTP status.
        status: u16,
    },
    /// Nothing was learnt: it is tried again.
    Failed(GladiaError),
}

impl GladiaClient {
    /// Asks Gladia to delete its copy of a transcription.
    pub async fn delete(&self, gladia_id: &str) -> Deletion {
        let sent = self
            .keyed
            .delete(self.url(&["v2", "pre-recorded", gladia_id]))
            .timeout(DELETE_TIMEOUT)
            .send()
            .await;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return Deletion::Failed(GladiaError::from_transport(&error)),
        };
        let status = response.status();
        if status.is_success() {
            return Deletion::Deleted;
        }
        let (status, is_client_error) = (status.as_u16(), status.is_client_error());
        let body = read_said(&mut response, &self.api_key)
            .await
            .unwrap_or_default();
        // A proxy's 404 says nothing of what Gladia has.
        match (status, ErrorEnvelope::parse(status, &body)) {
            (_, Some(envelope)) if envelope.knows_no_route() => {
                let detail = format!("{status}: {}", envelope.describe());
                Deletion::Failed(GladiaError::Unexpected(detail))
            }
            (404 | 410, Some(_)) => Deletion::NotFound,
            (401 | 402, Some(_)) => Deletion::Failed(GladiaError::KeyRefused { status }),
            (408 | 429, Some(envelope)) => Deletion::Failed(GladiaError::Unavailable(format!(
                "{status}: {}",
                envelope.describe()
            ))),
            (_, Some(_)) if is_client_error => Deletion::Refused { status },
            (_, Some(envelope)) => Deletion::Failed(GladiaError::Unavailable(format!(
                "{status}: {}",
                envelope.describe()
            ))),
            (_, None) => Deletion::Failed(GladiaError::Unavailable(format!(
                "{status} without Gladia's error envelope"
            ))),
        }
    }
}
