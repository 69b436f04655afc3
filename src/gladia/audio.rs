//! `GET /v2/pre-recorded/{id}/file`: the original audio.
//!
//! Production answers with a redirect to a presigned URL on another host. The key must not go there.

use reqwest::{
    Response, StatusCode,
    header::{HeaderValue, LOCATION, RANGE},
};
use url::Url;

use super::{client::GladiaClient, error::GladiaError};

/// More hops than any storage needs.
const MAX_HOPS: usize = 5;

impl GladiaClient {
    /// Opens a job's audio. `range` is the caller's `Range` header.
    ///
    /// # Errors
    /// Where Gladia does not have it (any more), or cannot be reached.
    pub async fn audio(
        &self,
        gladia_id: &str,
        range: Option<&HeaderValue>,
    ) -> Result<Response, GladiaError> {
        let mut url = self.url(&["v2", "pre-recorded", gladia_id, "file"]);
        for _ in 0..MAX_HOPS {
            let is_ours = url.origin() == self.base.origin();
            let client = if is_ours { &self.keyed } else { &self.keyless };
            let mut request = client.get(url.clone());
            if let Some(range) = range {
                request = request.header(RANGE, range);
            }
            let response = request
                .send()
                .await
                .map_err(|error| GladiaError::from_transport(&error))?;
            let status = response.status();
            if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
                return Ok(response);
            }
            if !status.is_redirection() {
                if is_ours {
                    return Err(GladiaError::from_response(response).await);
                }
                let gone = matches!(status.as_u16(), 403 | 404 | 410);
                let message = format!("the file's storage answered {}", status.as_u16());
                return Err(if gone {
                    GladiaError::Refused {
                        status: 404,
                        message,
                    }
                } else {
                    GladiaError::Unavailable(message)
                });
            }
            url = next_hop(&url, &response)?;
        }
        Err(GladiaError::Unexpected(
            "too many redirects to the audio".into(),
        ))
    }
}

fn next_hop(from: &Url, response: &Response) -> Result<Url, GladiaError> {
    response
        .headers()
        .get(LOCATION)
        .and_then(|value| from.join(value.to_str().ok()?).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| GladiaError::Unexpected("a redirect to the audio that leads nowhere".into()))
}
