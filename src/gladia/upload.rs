//! `POST /v2/upload`: a file, as it arrives, or from where Gladia fetches it.

use std::io;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::{
    Response,
    header::CONTENT_TYPE,
    multipart::{Form, Part},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    client::GladiaClient,
    error::{GladiaError, MAX_ERROR_BODY_BYTES, read_limited},
};

/// What Gladia made of a file.
#[derive(Debug, Clone, Deserialize)]
pub struct UploadedFile {
    /// Gladia's URL of it, for creates.
    pub audio_url: String,
    /// What it found.
    #[serde(default)]
    pub audio_metadata: Option<AudioMetadata>,
}

impl UploadedFile {
    /// How long the audio is, where Gladia says so and it can be true.
    #[must_use]
    pub fn duration_seconds(&self) -> Option<f64> {
        let seconds = self.audio_metadata.as_ref()?.audio_duration?;
        (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
    }

    /// The format, where Gladia says so.
    #[must_use]
    pub fn extension(&self) -> Option<&str> {
        self.audio_metadata.as_ref()?.extension.as_deref()
    }
}

/// What Gladia found in a file.
#[derive(Debug, Clone, Deserialize)]
pub struct AudioMetadata {
    /// Its name.
    #[serde(default)]
    pub filename: Option<String>,
    /// Bytes.
    #[serde(default)]
    pub size: Option<i64>,
    /// The format.
    #[serde(default)]
    pub extension: Option<String>,
    /// Seconds.
    #[serde(default)]
    pub audio_duration: Option<f64>,
    /// One or two.
    #[serde(default)]
    pub number_of_channels: Option<i32>,
}

impl GladiaClient {
    /// Streams a file to Gladia. Where the stream ends in an error, the request breaks off without its closing boundary,
    /// so that half a file cannot pass for a whole one.
    ///
    /// # Errors
    /// Where Gladia refuses it, cannot be reached, or the stream ends in an error.
    pub async fn upload<S>(
        &self,
        filename: String,
        content_type: &str,
        audio: S,
    ) -> Result<UploadedFile, GladiaError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let part = Part::stream(reqwest::Body::wrap_stream(audio)).file_name(filename);
        let part = part
            .mime_str(content_type)
            .map_err(|_| GladiaError::Unexpected("a content type that cannot be sent".into()))?;
        let response = self
            .upload
            .post(self.url(&["v2", "upload"]))
            .timeout(self.upload_timeout)
            .multipart(Form::new().part("audio", part))
            .send()
            .await
            .map_err(|error| GladiaError::from_transport(&error))?;
        read_answer(response).await
    }

    /// Has Gladia fetch a file.
    ///
    /// # Errors
    /// Where Gladia refuses it, or cannot be reached.
    pub async fn upload_from_url(&self, audio_url: &str) -> Result<UploadedFile, GladiaError> {
        let response = self
            .upload
            .post(self.url(&["v2", "upload"]))
            .timeout(self.upload_timeout)
            .header(CONTENT_TYPE, "application/json")
            .body(json!({ "audio_url": audio_url }).to_string())
            .send()
            .await
            .map_err(|error| GladiaError::from_transport(&error))?;
        read_answer(response).await
    }
}

async fn read_answer(mut response: Response) -> Result<UploadedFile, GladiaError> {
    if !response.status().is_success() {
        return Err(GladiaError::from_response(response).await);
    }
    let body = read_limited(&mut response, MAX_ERROR_BODY_BYTES)
        .await
        .ok_or_else(|| GladiaError::Unavailable("the answer to the upload broke off".into()))?;
    let file = serde_json::from_slice::<UploadedFile>(&body).map_err(|_| {
        GladiaError::Unexpected("an answer to the upload that holds no audio_url".into())
    })?;
    if url::Url::parse(&file.audio_url).is_err() {
        return Err(GladiaError::Unexpected(
            "an audio_url that is no URL".into(),
        ));
    }
    Ok(file)
}
