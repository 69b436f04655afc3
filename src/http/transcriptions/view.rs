//! A transcription as callers see it.

use std::convert::Infallible;

use axum::{
    Extension,
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::result::Large;
use crate::{
    db::jobs::Job,
    domain::{
        completion::AddonError,
        ids::{BatchId, JobId},
        instant,
        job::{JobErrorType, PublicStatus, StatusReason},
        options::{TranscriptionOptions, Warning},
        retry::RetryCost,
        transcript::TranscriptionResult,
    },
    http::{
        answer::zstd_frame,
        problem::{Problem, ProblemType},
    },
};

/// A transcription.
#[derive(Debug, Serialize, ToSchema)]
pub struct Transcription {
    /// Its id.
    pub id: JobId,
    /// Where it is.
    pub status: PublicStatus,
    /// Why it is there, where the status alone does not say it.
    pub status_reason: Option<StatusReason>,
    /// The batch that it came with.
    pub batch_id: Option<BatchId>,
    /// Its request's place there, from 0.
    pub batch_index: Option<i32>,
    /// How often it was tried again after an error, because its caller asked for it.
    pub retries: i32,
    /// Gladia's id of it, for Gladia's support and dashboard. Null until Gladia is known to have it.
    pub gladia_id: Option<String>,
    /// The audio.
    pub audio_url: Option<String>,
    /// The file, where the audio came as one.
    pub file: Option<TranscriptionFile>,
    /// Gladia's options, as asked for.
    #[schema(value_type = TranscriptionOptions)]
    pub options: AskedFor,
    /// Options that were passed on unchecked.
    #[schema(value_type = Object)]
    pub extra_options: AskedFor,
    /// What was accepted all the same, and may not do what its caller expects.
    #[schema(value_type = Vec<Warning>)]
    pub warnings: Warned,
    /// Seconds of audio: as the upload reported them, later as Gladia measured them.
    pub audio_duration_seconds: Option<f64>,
    /// Seconds that Gladia bills: the duration times the distinct channels.
    pub billing_time_seconds: Option<f64>,
    /// Add-ons that were asked for and failed, in a transcription that is done all the same.
    pub addon_errors: Vec<AddonError>,
    /// Why it failed.
    pub error: Option<TranscriptionError>,
    /// When it was accepted.
    #[serde(serialize_with = "instant::serialize")]
    pub created_at: DateTime<Utc>,
    /// When it first took one of the account's slots.
    #[serde(serialize_with = "instant::serialize_option")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(serialize_with = "instant::serialize_option")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Gladia's result object as it came, once done. Lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TranscriptionResult>, nullable = false)]
    pub result: Option<WrittenApart>,
}

/// A part of what was asked for, as it is stored. Empty where it is not.
#[derive(Debug, Default, Deserialize)]
pub struct AskedFor(Option<Box<RawValue>>);

impl Serialize for AskedFor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(stored) => stored.serialize(serializer),
            None => serializer.serialize_map(Some(0))?.end(),
        }
    }
}

/// Warnings as they are stored. None where they are not.
#[derive(Debug)]
pub struct Warned(Option<Box<RawValue>>);

impl Serialize for Warned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(stored) => stored.serialize(serializer),
            None => serializer.collect_seq([(); 0]),
        }
    }
}

/// What was asked for, in the parts that are shown.
#[derive(Default, Deserialize)]
struct Stored {
    #[serde(default)]
    options: AskedFor,
    #[serde(default)]
    extra_options: AskedFor,
}

/// What no value holds: [`with_result`] puts the result where the document says it is.
#[derive(Debug, Serialize)]
pub enum WrittenApart {}

impl Transcription {
    /// The answer, without the result.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn written(&self) -> Result<Vec<u8>, Problem> {
        written(self)
    }
}

/// Longer than most transcriptions without their results are, so that few have to move as they grow.
const MOST_ARE_SHORTER: usize = 1024;

/// A view of a transcription, without the result.
///
/// # Errors
/// Where it cannot be written as JSON.
pub fn written(view: &impl Serialize) -> Result<Vec<u8>, Problem> {
    let mut written = Vec::with_capacity(MOST_ARE_SHORTER);
    match serde_json::to_writer(&mut written, view) {
        Ok(()) => Ok(written),
        Err(error) => {
            tracing::error!(%error, "A transcription cannot be written as JSON");
            Err(Problem::new(
                ProblemType::Internal,
                "The transcription cannot be shown.",
            ))
        }
    }
}

/// A transcription that is written, with its result put where the object ends, without a copy in between.
pub fn pieces(mut written: Vec<u8>, result: Bytes) -> [Bytes; 3] {
    // Before the brace that closes the object.
    written.pop();
    written.extend_from_slice(b",\"result\":");
    [written.into(), result, Bytes::from_static(b"}")]
}

/// A transcription that is written, with its result, which is sent as it is in memory.
pub fn with_result(written: Vec<u8>, result: Option<Bytes>) -> Response {
    in_pieces(match result {
        Some(result) => pieces(written, result).to_vec(),
        None => vec![written.into()],
    })
}

/// The same with a large result, which is unpacked as it is sent.
pub fn with_large_result(written: Vec<u8>, result: Large) -> Response {
    let [before, _, after] = pieces(written, Bytes::new());
    let (length, takes) = (before.len() + result.bytes() + after.len(), result.takes());
    let [before, after] = [before, after].map(|piece| stream::iter([Ok(piece)]));
    let body = before.chain(result.into_stream()).chain(after);
    (Extension(takes), json(length, Body::from_stream(body))).into_response()
}

/// The same with a result that is one zstd frame, as another. `None` where it is none that can be put into it.
pub fn with_packed_result(written: &[u8], frame: Bytes) -> Option<Response> {
    let [before, _, after] = pieces(written.to_vec(), Bytes::new());
    let mut response = in_pieces(zstd_frame::around(&before, frame, &after)?.to_vec());
    let zstd = HeaderValue::from_static("zstd");
    response
        .headers_mut()
        .insert(header::CONTENT_ENCODING, zstd);
    Some(response)
}

fn in_pieces(pieces: Vec<Bytes>) -> Response {
    let length = pieces.iter().map(Bytes::len).sum();
    let pieces = pieces.into_iter().map(Ok::<_, Infallible>);
    json(length, Body::from_stream(stream::iter(pieces)))
}

fn json(length: usize, body: Body) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
    ];
    (headers, body).into_response()
}

/// A file that was uploaded.
#[derive(Debug, Serialize, ToSchema)]
pub struct TranscriptionFile {
    /// The name that it came with.
    pub filename: String,
    /// Its size.
    pub size_bytes: i64,
    /// As Gladia counted them.
    pub number_of_channels: Option<i32>,
}

/// Why a transcription failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct TranscriptionError {
    /// The kind of failure.
    #[serde(rename = "type")]
    pub kind: JobErrorType,
    /// Gladia's code, where it gave one.
    pub code: Option<i32>,
    /// For people.
    pub message: String,
    /// What it may cost to have it tried again.
    pub retry: Retry,
}

/// What a retry may cost.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retry {
    /// Whether the same audio may be billed a second time. A retry then needs `accept_second_bill`.
    pub may_be_billed_twice: bool,
    /// For people.
    pub explanation: &'static str,
}

impl From<RetryCost> for Retry {
    fn from(cost: RetryCost) -> Self {
        Self {
            may_be_billed_twice: cost.may_be_billed_twice(),
            explanation: cost.explanation(),
        }
    }
}

impl From<Job> for Transcription {
    fn from(job: Job) -> Self {
        let request = job.request.as_deref().map(RawValue::get);
        let request = request.and_then(|request| serde_json::from_str::<Stored>(request).ok());
        let Stored {
            options,
            extra_options,
        } = request.unwrap_or_default();
        let upload_duration = job
            .upload
            .as_ref()
            .and_then(|upload| upload.audio_duration_seconds);
        Self {
            id: job.id,
            status: job.status.public(),
            status_reason: job.status_reason,
            batch_id: job.batch_id,
            batch_index: job.batch_index,
            retries: job.retries,
            gladia_id: job.gladia_id,
            audio_url: job.audio_url,
            file: job.upload.map(|upload| TranscriptionFile {
                filename: upload.filename,
                size_bytes: upload.size_bytes,
                number_of_channels: upload.number_of_channels,
            }),
            options,
            extra_options,
            warnings: Warned(job.warnings),
            audio_duration_seconds: job.audio_duration_seconds.or(upload_duration),
            billing_time_seconds: job.billing_time_seconds,
            addon_errors: job.addon_errors,
            error: job.error.map(|error| TranscriptionError {
                kind: error.kind,
                code: error.code,
                message: error.message,
                retry: error.retry_cost.into(),
            }),
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            result: None,
        }
    }
}
