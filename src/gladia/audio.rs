//! `GET /v2/pre-recorded/{id}/file`: the original audio.
//!
//! Production answers with a redirect to a presigned URL on another host. The key must not go there.

use reqwest::{
    Response, StatusCode,
    header::{HeaderValue, LOCATION, RANGE},
};
use url::Url;

use super::{client::GladiaClient, error::GladiaError};
use crate::tls;

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
            let client = if is_ours {
                &self.keyed
            } else if tls::is_loopback(&url) {
                &self.keyless_here
            } else {
                &self.keyless
            };
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
                    return Err(GladiaError::from_response(response, &self.api_key).await);
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

/// Where a redirect leads. Never from https to http: a storage under somebody's control could otherwise make the gateway fetch
/// what only it can reach, such as a cloud's metadata.
fn next_hop(from: &Url, response: &Response) -> Result<Url, GladiaError> {
    response
        .headers()
        .get(LOCATION)
        .and_then(|value| from.join(value.to_str().ok()?).ok())
        .filter(|to| to.scheme() == "https" || (to.scheme() == "http" && from.scheme() == "http"))
        .ok_or_else(|| GladiaError::Unexpected("a redirect to the audio that leads nowhere".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_to_the_audio_never_leaves_tls() {
        let leads = |from: &str, to: &'static str| {
            let answer = axum::http::Response::builder().header(LOCATION, to);
            let answer = Response::from(answer.body("").unwrap());
            next_hop(&from.parse().unwrap(), &answer)
                .map(String::from)
                .ok()
        };
        let gladia = "https://api.gladia.io/v2/pre-recorded/1/file";
        let storage = "https://storage.example/1?signature=2";
        assert_eq!(leads(gladia, storage).as_deref(), Some(storage));
        assert_eq!(
            leads(gladia, "/elsewhere").as_deref(),
            Some("https://api.gladia.io/elsewhere")
        );
        for inside in [
            "http://169.254.169.254/latest/",
            "ftp://storage.example/1",
            "http://",
        ] {
            assert_eq!(leads(gladia, inside), None, "{inside}");
        }
        // Such is the simulator.
        assert!(leads("http://127.0.0.1:8090/v2", "http://127.0.0.1:8091/1").is_some());
    }
}
