//! Where callers find what the gateway tells them of.

use url::Url;

use super::ids::JobId;

/// The base of links to callers: `API_URL`. Without it they are paths on the host that was asked.
#[derive(Debug, Clone, Default)]
pub struct Links(Option<Url>);

impl Links {
    /// Links below an address.
    #[must_use]
    pub fn new(api_url: Option<Url>) -> Self {
        Self(api_url)
    }

    /// Where a path of the API is.
    #[must_use]
    pub fn to(&self, path: &str) -> String {
        let base = self
            .0
            .as_ref()
            .map_or("", |url| url.as_str().trim_end_matches('/'));
        format!("{base}{path}")
    }

    /// Where a transcription is.
    #[must_use]
    pub fn transcription(&self, id: JobId) -> String {
        self.to(&format!("/v1/transcriptions/{id}"))
    }

    /// Where its result is.
    #[must_use]
    pub fn result(&self, id: JobId) -> String {
        self.to(&format!("/v1/transcriptions/{id}/result"))
    }
}
