//! `POST /v1/uploads`: a file without a transcription yet.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    db::{self, pool::in_time, uploads::Upload},
    domain::{access::Caller, ids::UploadId},
    http::{
        auth::Writer,
        problem::{Problem, ProblemType},
        request::form::{Destination, Parts, ReceivedFile, receive},
        state::AppState,
    },
};

/// A file.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the form in the OpenAPI document; forms are streamed"
)]
pub struct UploadForm {
    /// The file, 1,000,000,000 bytes at most.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    audio: Vec<u8>,
}

/// A file that Gladia has, for use in any number of transcriptions of this tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadedAudio {
    /// Our id of it.
    pub id: UploadId,
    /// What to send as `audio_url`.
    pub audio_url: String,
    /// The name that it came with.
    pub filename: String,
    /// The format, as Gladia read it.
    pub extension: Option<String>,
    /// Its size.
    pub size_bytes: i64,
    /// Seconds, as Gladia measured them.
    pub audio_duration_seconds: Option<f64>,
    /// As Gladia counted them.
    pub number_of_channels: Option<i32>,
    /// When it was complete.
    pub created_at: DateTime<Utc>,
}

/// Upload a file.
///
/// The file is passed on to Gladia while it arrives. Its `audio_url` can be used in any number of transcriptions of the
/// same tenant, and of no other.
#[utoipa::path(
    post,
    path = "/v1/uploads",
    tag = "uploads",
    request_body(content = UploadForm, content_type = "multipart/form-data", description = "The file in the part `audio`."),
    responses(
        (status = 201, description = "Gladia has the file.", body = UploadedAudio),
    ),
)]
pub async fn create_upload(
    State(state): State<AppState>,
    Writer(caller): Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<UploadedAudio>), Problem> {
    refuse_files(&state)?;
    let form = receive::<()>(
        &headers,
        body,
        &state.limits,
        Destination::Gladia(&state.gladia),
        Parts::Audio,
    )
    .await?;
    let upload = keep(&state, caller, form.file, true).await?;
    Ok((StatusCode::CREATED, Json(upload)))
}

/// Refuses files where Gladia keeps none, before anything of one is read.
///
/// # Errors
/// Where the account has zero data retention.
pub fn refuse_files(state: &AppState) -> Result<(), Problem> {
    if state.zero_data_retention {
        return Err(Problem::zero_data_retention(
            "The Gladia account has zero data retention, so it takes no files. Put the file where Gladia can fetch it, and \
             send its address as audio_url to POST /v1/transcriptions.",
        ));
    }
    Ok(())
}

/// Notes that a file belongs to the caller's tenant. One that is not standalone came with a job and goes with it.
pub async fn keep(
    state: &AppState,
    caller: Caller,
    file: ReceivedFile,
    is_standalone: bool,
) -> Result<UploadedAudio, Problem> {
    let Some(uploaded) = file.uploaded else {
        return Err(Problem::new(
            ProblemType::Internal,
            "The file was not sent on.",
        ));
    };
    let upload = Upload {
        id: state.ids.next(),
        filename: file.filename,
        extension: uploaded.extension().map(str::to_owned),
        size_bytes: i64::try_from(file.size_bytes).unwrap_or(i64::MAX),
        sha256: file.sha256.map(Into::into),
        audio_duration_seconds: uploaded.duration_seconds(),
        number_of_channels: uploaded
            .audio_metadata
            .as_ref()
            .and_then(|metadata| metadata.number_of_channels),
        audio_url: uploaded.audio_url,
        is_standalone,
    };
    metrics::counter!("gateway_upload_bytes_total").increment(file.size_bytes);
    note(state, caller, upload).await
}

/// Notes that a file belongs to the caller's tenant.
///
/// # Errors
/// Where the database does not answer.
pub async fn note(
    state: &AppState,
    caller: Caller,
    upload: Upload,
) -> Result<UploadedAudio, Problem> {
    let noting = state.with_conn(async |conn| {
        in_time(db::uploads::insert(conn, caller.tenant_id, &upload)).await
    });
    let (id, created_at) = noting.await?;
    metrics::counter!("gateway_uploads_total").increment(1);
    Ok(UploadedAudio {
        id,
        audio_url: upload.audio_url,
        filename: upload.filename,
        extension: upload.extension,
        size_bytes: upload.size_bytes,
        audio_duration_seconds: upload.audio_duration_seconds,
        number_of_channels: upload.number_of_channels,
        created_at,
    })
}
