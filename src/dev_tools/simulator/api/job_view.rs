//! A job as it is shown, its keys in Gladia's order.

use serde::Serialize;
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use crate::dev_tools::simulator::{
    clock,
    state::{Job, Status},
};

/// The job object.
#[derive(Serialize)]
pub(super) struct JobView<'a> {
    id: Uuid,
    request_id: String,
    version: u8,
    status: Status,
    created_at: String,
    completed_at: Option<String>,
    custom_metadata: Option<&'a Value>,
    error_code: Option<u16>,
    kind: &'static str,
    file: Option<FileView<'a>>,
    request_params: &'a Value,
    result: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct FileView<'a> {
    id: Uuid,
    filename: &'a str,
    source: Option<&'a str>,
    audio_duration: f64,
    number_of_channels: usize,
}

impl<'a> From<&'a Job> for JobView<'a> {
    fn from(job: &'a Job) -> Self {
        let id = job.id.to_string();
        Self {
            id: job.id,
            request_id: format!("G-{}", &id[..8]),
            version: 2,
            status: job.status,
            created_at: clock::iso(job.created_at),
            completed_at: job.completed_at.map(clock::iso),
            custom_metadata: job.custom_metadata.as_ref(),
            error_code: job.error.as_ref().map(|(code, _)| *code),
            kind: "pre-recorded",
            file: job.file.as_ref().map(|file| FileView {
                id: file.id,
                filename: &file.filename,
                source: file.source.as_deref(),
                audio_duration: file.media.duration,
                number_of_channels: file.media.channels,
            }),
            request_params: &job.request_params,
            result: job.result.as_deref(),
        }
    }
}
