//! Audio behind a URL, fetched as Gladia does: GET, any type, to a limit.

use url::Url;

use crate::dev_tools::simulator::{
    api::receive_file, guard, media::MediaError, state::State, state::StoredFile, storage::Spool,
};

/// Why there is no audio.
#[derive(Debug, thiserror::Error)]
pub(in crate::dev_tools::simulator) enum FetchError {
    /// It could not be had.
    #[error("{0}")]
    Download(String),
    /// It is not usable.
    #[error(transparent)]
    Media(#[from] MediaError),
}

/// Downloads and measures a file.
pub(in crate::dev_tools::simulator) async fn audio(
    state: &State,
    url: &Url,
) -> Result<StoredFile, FetchError> {
    let download = |error: &dyn std::fmt::Display| FetchError::Download(error.to_string());
    if !state.settings.allow_private && guard::refuses(url) {
        return Err(download(&"the address is not public"));
    }
    let mut response = state
        .fetcher
        .get(url.clone())
        .header("accept", "*/*")
        .send()
        .await
        // The URL may carry a signature in its query.
        .map_err(|error| download(&error.without_url()))?;
    if !response.status().is_success() {
        return Err(download(&format!("HTTP {}", response.status().as_u16())));
    }
    let mut spool = Spool::default();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| download(&error.without_url()))?
    {
        spool.push(&chunk).map_err(|error| download(&error))?;
        if spool.len() > state.settings.max_upload_bytes {
            return Err(download(&"the file is too large"));
        }
    }
    let filename = url
        .path_segments()
        .and_then(Iterator::last)
        .filter(|name| !name.is_empty())
        .unwrap_or("audio")
        .to_owned();
    Ok(receive_file(spool.finish(), filename, Some(url.to_string())).await?)
}
