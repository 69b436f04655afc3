//! A job as Gladia shows it: its keys in Gladia's order, the result last, which is written apart.

use axum::body::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use super::params::RequestParams;
use crate::{
    db::jobs::{Job, JobError, JobUpload},
    domain::{
        audio_url::AudioUrl,
        ids::JobId,
        job::{JobStatus, PublicStatus},
    },
    http::v2::links::Base,
};

/// Gladia knows no canceled jobs. This is what HTTP servers note where the client has gone away.
const CANCELED_CODE: i32 = 499;

/// What stands for a result where there is none, or none yet.
pub(super) const NO_RESULT: Bytes = Bytes::from_static(b"null");

/// A job in Gladia's shape, but for its result.
#[derive(Debug, Serialize)]
pub struct JobView {
    id: JobId,
    request_id: String,
    version: u8,
    status: &'static str,
    #[serde(serialize_with = "with_milliseconds")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "with_milliseconds_if_any")]
    completed_at: Option<DateTime<Utc>>,
    custom_metadata: Option<Value>,
    error_code: Option<i32>,
    kind: &'static str,
    file: Option<FileView>,
    request_params: Option<RequestParams>,
}

/// The audio of a job.
#[derive(Debug, PartialEq, Serialize)]
struct FileView {
    id: Uuid,
    filename: Option<String>,
    source: Option<String>,
    audio_duration: Option<f64>,
    number_of_channels: Option<i32>,
}

/// A request's debug id, after the id of what it is about.
#[must_use]
pub fn request_id(id: Uuid) -> String {
    let mut id = id.simple().to_string();
    id.truncate(8);
    format!("G-{id}")
}

impl JobView {
    /// A job, with links as whoever asks for it follows them.
    #[must_use]
    pub fn of(mut job: Job, base: &Base) -> Self {
        let upload = job.upload.as_ref();
        let file_url = upload.map(|upload| base.link(&format!("/file/{}", upload.id)));
        let (request_params, custom_metadata) = RequestParams::take(&mut job, file_url);
        Self {
            id: job.id,
            request_id: request_id(job.id.0),
            version: 2,
            status: match job.status.public() {
                PublicStatus::Canceled => PublicStatus::Error.as_str(),
                status => status.as_str(),
            },
            created_at: job.created_at,
            completed_at: job.finished_at,
            custom_metadata,
            error_code: error_code(job.status, job.error.as_ref()),
            kind: "pre-recorded",
            file: file(&mut job),
            request_params,
        }
    }
}

/// Gladia's code, or what stands for it.
fn error_code(status: JobStatus, error: Option<&JobError>) -> Option<i32> {
    if status == JobStatus::Canceled {
        return Some(CANCELED_CODE);
    }
    error.map(|error| error.kind.gladias_code(error.code))
}

/// The file that was uploaded; or what is known of the audio behind a link, once Gladia has measured it.
fn file(job: &mut Job) -> Option<FileView> {
    let duration = job.audio_duration_seconds;
    if let Some(upload) = job.upload.take() {
        let JobUpload {
            id,
            filename,
            audio_duration_seconds,
            number_of_channels,
            ..
        } = upload;
        return Some(FileView {
            id: id.0,
            filename: Some(filename),
            source: None,
            audio_duration: audio_duration_seconds.or(duration),
            number_of_channels,
        });
    }
    let source = job.audio_url.take().filter(|_| duration.is_some())?;
    Some(FileView {
        // There is nothing else that it could be named by.
        id: job.id.0,
        filename: AudioUrl::as_gladia_takes_it(&source).and_then(|link| link.filename()),
        source: Some(source),
        audio_duration: duration,
        number_of_channels: None,
    })
}

/// ISO 8601 as JavaScript writes it.
fn with_milliseconds<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn with_milliseconds_if_any<S: Serializer>(
    at: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => with_milliseconds(at, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canceled_job_has_a_code_and_one_that_is_done_has_none() {
        assert_eq!(error_code(JobStatus::Canceled, None), Some(499));
        assert_eq!(error_code(JobStatus::Done, None), None);
    }

    #[test]
    fn a_request_id_repeats_the_beginning_of_its_id() {
        let id = "45463597-20b7-4af7-b3b3-f5fb778203ab".parse().unwrap();
        assert_eq!(request_id(id), "G-45463597");
    }
}
