//! What the demo transcribes.

use std::path::Path;

use reqwest::{Body, multipart::Part};
use tokio_util::io::ReaderStream;

use crate::dev_tools::simulator::{BUNDLED_RECORDING, BUNDLED_RECORDING_NAME};

/// What is transcribed.
pub enum Recording<'a> {
    /// The one that comes along.
    Bundled,
    /// One of the user's.
    File(&'a Path),
}

impl Recording<'_> {
    /// Its name, without any path.
    pub fn name(&self) -> String {
        match self {
            Self::Bundled => BUNDLED_RECORDING_NAME.to_owned(),
            Self::File(path) => path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned(),
        }
    }

    /// The file as a part of a form, streamed.
    pub async fn part(&self) -> anyhow::Result<Part> {
        let part = match self {
            Self::Bundled => Part::bytes(BUNDLED_RECORDING),
            Self::File(path) => {
                let file = tokio::fs::File::open(path).await?;
                let length = file.metadata().await?.len();
                Part::stream_with_length(Body::wrap_stream(ReaderStream::new(file)), length)
            }
        };
        Ok(part.file_name(self.name()))
    }
}
