//! `POST /v2/upload`: a file, as it arrives, or from where Gladia fetches it.

use std::io;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::{
    Response,
    header::CONTENT_TYPE,
    multipart::{Form, Part},
};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};

use super::{
    client::GladiaClient,
    error::{GladiaError, MAX_ERROR_BODY_BYTES, read_limited},
};
use crate::domain::plain_json;

/// What Gladia made of a file.
#[derive(Debug, Clone, Deserialize)]
pub struct UploadedFile {
    /// Gladia's URL of it, for creates.
    pub audio_url: String,
    /// What it found.
    #[serde(default, deserialize_with = "leniently")]
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

/// What Gladia found in a file. The file is there, whatever is said of it: what cannot be read counts as not said.
#[derive(Debug, Clone, Deserialize)]
pub struct AudioMetadata {
    /// Its name.
    #[serde(default, deserialize_with = "leniently")]
    pub filename: Option<String>,
    /// Bytes.
    #[serde(default, deserialize_with = "whole_number")]
    pub size: Option<i64>,
    /// The format.
    #[serde(default, deserialize_with = "leniently")]
    pub extension: Option<String>,
    /// Seconds.
    #[serde(default, deserialize_with = "number")]
    pub audio_duration: Option<f64>,
    /// One or two.
    #[serde(default, deserialize_with = "whole_number")]
    pub number_of_channels: Option<i32>,
}

/// What can be read as what it should be.
fn leniently<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str::<T>(raw.get()).ok())
}

/// A number, also one that stands in a string.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(match plain_json::from_str(raw.get()) {
        Ok(Value::Number(number)) => number.as_f64(),
        Ok(Value::String(text)) => text
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite()),
        _ => None,
    })
}

/// A whole number, also one that is written with a fraction of zero.
fn whole_number<'de, D: Deserializer<'de>, T: TryFrom<i64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it has no fraction, and what is out of bounds becomes a bound"
    )]
    let whole = |number: f64| (number.fract() == 0.0).then_some(number as i64);
    let number = number(deserializer)?.and_then(whole);
    Ok(number.and_then(|number| T::try_from(number).ok()))
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
        read_answer(response, &self.api_key).await
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
        read_answer(response, &self.api_key).await
    }
}

async fn read_answer(
    mut response: Response,
    key: &SecretString,
) -> Result<UploadedFile, GladiaError> {
    if !response.status().is_success() {
        return Err(GladiaError::from_response(response, key).await);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(metadata: &str) -> Option<AudioMetadata> {
        let body =
            format!(r#"{{"audio_url":"https://api.example/file/1","audio_metadata":{metadata}}}"#);
        let file: UploadedFile = serde_json::from_str(&body).unwrap();
        file.audio_metadata
    }

    #[test]
    fn what_gladia_found_is_read_as_far_as_it_can_be() {
        let metadata = read(
            r#"{"filename":"a\ud83d.wav","size":295020.0,"extension":["wav"],"audio_duration":"9.2","number_of_channels":2}"#,
        );
        let metadata = metadata.unwrap();
        assert_eq!((metadata.filename, metadata.extension), (None, None));
        assert_eq!(
            (metadata.size, metadata.audio_duration),
            (Some(295_020), Some(9.2))
        );
        assert_eq!(metadata.number_of_channels, Some(2));
        let metadata = read(
            r#"{"size":1.5,"audio_duration":"long","number_of_channels":99999999999,"filename":null}"#,
        );
        let metadata = metadata.unwrap();
        assert_eq!((metadata.size, metadata.audio_duration), (None, None));
        assert_eq!(
            (metadata.number_of_channels, metadata.filename),
            (None, None)
        );
        for none in ["null", "\"text\"", "7"] {
            assert!(read(none).is_none(), "{none}");
        }
        assert!(serde_json::from_str::<UploadedFile>(r#"{"audio_url":7}"#).is_err());
    }
}
