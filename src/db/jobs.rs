//! Jobs as their callers see and move them.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

use self::read::JobRows;
use super::{corrupt, pool::Loan};
use crate::domain::{
    access::Caller,
    completion::AddonError,
    ids::{BatchId, CallbackId, JobId, TenantId, UploadId},
    job::{JobErrorType, JobStatus, StatusReason},
    retry::RetryCost,
};

/// A job as stored.
#[derive(Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Where it is.
    pub status: JobStatus,
    /// Why.
    pub status_reason: Option<StatusReason>,
    /// What was asked for, as stored: parsed it may take thirty times as much. `None` once deleted.
    pub request: Option<Box<RawValue>>,
    /// The audio. `None` once deleted.
    pub audio_url: Option<String>,
    /// The file, where the audio came as one.
    pub upload: Option<JobUpload>,
    /// Gladia's id.
    pub gladia_id: Option<String>,
    /// Where the result is.
    pub result_callback_id: Option<CallbackId>,
    /// Failed add-ons.
    pub addon_errors: Vec<AddonError>,
    /// What may not do what its caller expects, as stored.
    pub warnings: Option<Box<RawValue>>,
    /// The batch that it came with.
    pub batch_id: Option<BatchId>,
    /// Its place there, from 0.
    pub batch_index: Option<i32>,
    /// How often its caller had it tried again.
    pub retries: i32,
    /// Seconds of audio, as billed or as the upload reported.
    pub audio_duration_seconds: Option<f64>,
    /// Seconds that Gladia bills.
    pub billing_time_seconds: Option<f64>,
    /// Why it failed.
    pub error: Option<JobError>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it first took a slot.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When its content was erased.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Its result, where it was to be read along and is small.
    pub result: Option<StoredResult>,
}

/// The file of a job.
#[derive(Debug)]
pub struct JobUpload {
    /// Our id of it.
    pub id: UploadId,
    /// The name that it came with.
    pub filename: String,
    /// Its size.
    pub size_bytes: i64,
    /// As Gladia measured it.
    pub audio_duration_seconds: Option<f64>,
    /// As Gladia counted them.
    pub number_of_channels: Option<i32>,
}

/// Why a job failed.
#[derive(Debug)]
pub struct JobError {
    /// The kind.
    pub kind: JobErrorType,
    /// Gladia's code.
    pub code: Option<i32>,
    /// For people.
    pub message: String,
    /// What it may cost to have the job tried again.
    pub retry_cost: RetryCost,
}

/// The columns of a job, before their text is understood.
struct JobRow {
    id: JobId,
    status: String,
    status_reason: Option<String>,
    request: Option<String>,
    audio_url: Option<String>,
    gladia_id: Option<String>,
    result_callback_id: Option<Uuid>,
    addon_errors: Option<String>,
    warnings: Option<String>,
    batch_id: Option<Uuid>,
    batch_index: Option<i32>,
    retries: i32,
    audio_duration_seconds: Option<f64>,
    billing_time_seconds: Option<f64>,
    error_type: Option<String>,
    error_code: Option<i32>,
    error_message: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
    upload_id: Option<Uuid>,
    upload_filename: Option<String>,
    upload_size_bytes: Option<i64>,
    upload_audio_duration_seconds: Option<f64>,
    upload_number_of_channels: Option<i32>,
    result: Option<Vec<u8>>,
    result_body_bytes: Option<i64>,
}

impl JobRow {
    /// Whether its job has failed.
    fn has_failed(&self) -> bool {
        self.error_type.is_some()
    }

    /// What of it can be large.
    fn bytes(&self) -> usize {
        let texts = [
            &self.request,
            &self.warnings,
            &self.audio_url,
            &self.error_message,
        ];
        texts.into_iter().flatten().map(String::len).sum()
    }

    /// The job. `may_have_succeeded`: of one that has failed, whether Gladia may have done it all the same.
    fn into_job(self, may_have_succeeded: bool) -> sqlx::Result<Job> {
        let error = self
            .error_type
            .map(|kind| {
                let kind: JobErrorType = kind.parse().map_err(corrupt)?;
                let message = self.error_message.unwrap_or_default();
                Ok::<_, sqlx::Error>(JobError {
                    kind,
                    code: self.error_code,
                    message,
                    retry_cost: RetryCost::after(kind, may_have_succeeded),
                })
            })
            .transpose()?;
        let upload = match (self.upload_id, self.upload_filename, self.upload_size_bytes) {
            (Some(id), Some(filename), Some(size_bytes)) => Some(JobUpload {
                id: id.into(),
                filename,
                size_bytes,
                audio_duration_seconds: self.upload_audio_duration_seconds,
                number_of_channels: self.upload_number_of_channels,
            }),
            _ => None,
        };
        Ok(Job {
            id: self.id,
            status: self.status.parse().map_err(corrupt)?,
            // One that a newer replica has written says nothing to this one.
            status_reason: self.status_reason.and_then(|text| text.parse().ok()),
            request: self.request.map(stored).transpose()?,
            audio_url: self.audio_url,
            upload,
            gladia_id: self.gladia_id,
            result_callback_id: self.result_callback_id.map(Into::into),
            addon_errors: match self.addon_errors {
                Some(errors) => {
                    serde_json::from_str::<Vec<AddonError>>(&errors).map_err(corrupt)?
                }
                None => Vec::new(),
            },
            warnings: self.warnings.map(stored).transpose()?,
            batch_id: self.batch_id.map(Into::into),
            batch_index: self.batch_index,
            retries: self.retries,
            audio_duration_seconds: self.audio_duration_seconds,
            billing_time_seconds: self.billing_time_seconds,
            error,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            deleted_at: self.deleted_at,
            result: StoredResult::read_along(self.result, self.result_body_bytes),
        })
    }
}

/// JSON as it is stored.
fn stored(text: String) -> sqlx::Result<Box<RawValue>> {
    RawValue::from_string(text).map_err(corrupt)
}

/// Jobs as callers see them: one list of columns for every way to find them. The macros of sqlx take literals only.
macro_rules! select_jobs {
    (with $result:tt, $tail:tt, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            JobRow,
            r#"
            SELECT j.id, j.status, j.status_reason, j.request::text AS request, j.audio_url, j.gladia_id,
                   j.result_callback_id, j.addon_errors::text AS addon_errors, j.warnings::text AS warnings,
                   j.batch_id, j.batch_index, j.retries,
                   j.audio_duration_seconds, j.billing_time_seconds,
                   j.error_type, j.error_code, j.error_message,
                   j.created_at, j.started_at, j.finished_at, j.deleted_at,
                   u.id AS "upload_id?", u.filename AS "upload_filename?", u.size_bytes AS "upload_size_bytes?",
                   u.audio_duration_seconds AS upload_audio_duration_seconds,
                   u.number_of_channels AS upload_number_of_channels,
            "# + $result + r#"
            FROM jobs j LEFT JOIN uploads u ON u.id = j.upload_id
            "# + $tail,
            $($argument),*
        )
    };
    ($tail:tt, $($argument:expr),* $(,)?) => {
        select_jobs!(with "NULL::bytea AS result, NULL::bigint AS result_body_bytes", $tail, $($argument),*)
    };
}

mod doubt;
pub mod endings;
mod insert;
mod list;
pub mod metadata;
mod one_statement;
mod read;
pub mod receipts;
mod results;
pub mod retries;
pub mod timeline;
pub mod trace_contexts;
pub mod usage;

pub use insert::{NewJob, insert, insert_all};
pub use list::{Slice, list};
pub use one_statement::{OrdinaryJob, accept_in_one_statement};
pub use read::Jobs;
pub use results::{ResultOfJob, StoredAs, StoredResult, find_result, find_result_of_key};

/// Finds a tenant's job, deleted ones too. Another tenant's job is not found.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: JobId,
) -> sqlx::Result<Option<Job>> {
    let row = select_jobs!("WHERE j.id = $1 AND j.tenant_id = $2", id.0, tenant_id.0)
        .fetch_optional(&mut *conn)
        .await?;
    understood(conn, row).await
}

/// Finds the job of a caller whose key may have been revoked: nothing is found then. With its result, where that is wanted
/// and small.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_of_key(
    conn: &mut PgConnection,
    caller: Caller,
    id: JobId,
    wants_result: bool,
) -> sqlx::Result<Option<Job>> {
    // Each table of a statement costs Postgres a tenth of what a small one takes, read or not.
    let row = if wants_result {
        select_jobs!(
            with
            "
            CASE WHEN c.result_frame_start IS NOT NULL
                 THEN substring(c.body FROM c.result_frame_start + 1 FOR c.result_frame_length) END AS result,
            c.body_bytes AS \"result_body_bytes?\"
            ",
            "
            JOIN api_keys k ON k.id = $3 AND k.revoked_at IS NULL
            LEFT JOIN LATERAL (
                SELECT body, body_bytes, result_frame_start, result_frame_length
                FROM callbacks WHERE id = j.result_callback_id AND body_bytes <= $4
                -- Keeps a plan made while the table is small from joining all of it.
                OFFSET 0
            ) c ON true
            WHERE j.id = $1 AND j.tenant_id = $2
            ",
            id.0,
            caller.tenant_id.0,
            caller.api_key_id.0,
            results::MOST_READ_ALONG,
        )
        .fetch_optional(&mut *conn)
        .await?
    } else {
        select_jobs!(
            "
            JOIN api_keys k ON k.id = $3 AND k.revoked_at IS NULL
            WHERE j.id = $1 AND j.tenant_id = $2
            ",
            id.0,
            caller.tenant_id.0,
            caller.api_key_id.0,
        )
        .fetch_optional(&mut *conn)
        .await?
    };
    understood(conn, row).await
}

/// The job of a row. Where it has failed, one more question is asked.
async fn understood(conn: &mut PgConnection, row: Option<JobRow>) -> sqlx::Result<Option<Job>> {
    let Some(row) = row else {
        return Ok(None);
    };
    let may_have_succeeded = row.has_failed() && doubt::is_in_doubt(conn, row.id).await?;
    row.into_job(may_have_succeeded).map(Some)
}

/// Lists the jobs of a batch in the order of its requests, without the deleted ones. Gives the connection back by itself, as
/// [`list()`] does.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_of_batch(
    mut conn: Loan,
    tenant_id: TenantId,
    batch_id: BatchId,
    after_index: Option<i32>,
    limit: i64,
    most_bytes: usize,
) -> sqlx::Result<Jobs> {
    let rows = select_jobs!(
        r#"
        WHERE j.tenant_id = $1 AND j.batch_id = $2 AND j.deleted_at IS NULL
          AND j.batch_index > $3
        ORDER BY j.batch_index
        LIMIT $4
        "#,
        tenant_id.0,
        batch_id.0,
        after_index.unwrap_or(-1),
        limit,
    )
    .fetch(&mut *conn);
    let rows = JobRows::read(rows, most_bytes).await?;
    rows.understood(conn).await
}
