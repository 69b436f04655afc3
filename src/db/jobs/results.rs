//! Results, where they are stored: within the callbacks that brought them.

use sqlx::PgConnection;

use crate::{
    db::corrupt,
    domain::{
        access::Caller,
        ids::{CallbackId, JobId},
        job::JobStatus,
    },
};

/// How large the body may be whose result is read along with its job.
pub(super) const MOST_READ_ALONG: i64 = 256 * 1024;

/// A job's result as it is stored.
#[derive(Debug)]
pub struct StoredResult {
    /// Its bytes.
    pub zstd: StoredAs,
    /// The size of the whole body that brought it, unpacked.
    pub body_bytes: i64,
    /// Those of that body, where the result has a frame of its own and they were read along. They are small, and tell how long
    /// the result is: its own frame does not.
    pub other_frames: Option<Vec<u8>>,
}

/// Where a result is in what is stored (zstd).
#[derive(Debug)]
pub enum StoredAs {
    /// Alone, as one frame.
    Frame(Vec<u8>),
    /// Somewhere in this body.
    Within(Vec<u8>),
}

impl StoredResult {
    /// What was read along with its job, if anything was.
    pub(super) fn read_along(frame: Option<Vec<u8>>, body_bytes: Option<i64>) -> Option<Self> {
        Some(Self {
            zstd: StoredAs::Frame(frame?),
            body_bytes: body_bytes?,
            other_frames: None,
        })
    }
}

/// A job, for whoever wants its result and nothing else of it.
#[derive(Debug)]
pub struct ResultOfJob {
    /// Where the job is.
    pub status: JobStatus,
    /// The callback that brought its result.
    pub callback_id: Option<CallbackId>,
    /// What is stored of it, where that was wanted and is small.
    pub small: Option<StoredResult>,
}

/// Finds the result of a job for a caller whose key may have been revoked: nothing is found then, nor where the job is erased.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_result_of_key(
    conn: &mut PgConnection,
    caller: Caller,
    id: JobId,
    wants_result: bool,
) -> sqlx::Result<Option<ResultOfJob>> {
    let row = sqlx::query!(
        r#"
        SELECT j.status, j.result_callback_id,
               CASE WHEN c.result_frame_start IS NOT NULL
                    THEN substring(c.body FROM c.result_frame_start + 1 FOR c.result_frame_length) END AS frame,
               c.body_bytes AS "body_bytes?"
        FROM jobs j
        JOIN api_keys k ON k.id = $3 AND k.revoked_at IS NULL
        LEFT JOIN callbacks c ON c.id = j.result_callback_id AND $4 AND c.body_bytes <= $5
        WHERE j.id = $1 AND j.tenant_id = $2 AND j.deleted_at IS NULL
        "#,
        id.0,
        caller.tenant_id.0,
        caller.api_key_id.0,
        wants_result,
        MOST_READ_ALONG,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(ResultOfJob {
            status: row.status.parse().map_err(corrupt)?,
            callback_id: row.result_callback_id.map(Into::into),
            small: StoredResult::read_along(row.frame, row.body_bytes),
        })
    })
    .transpose()
}

/// Reads a job's result. `None` where it is erased.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_result(
    conn: &mut PgConnection,
    callback_id: CallbackId,
) -> sqlx::Result<Option<StoredResult>> {
    let row = sqlx::query!(
        r#"
        SELECT result_frame_start IS NOT NULL AS "is_frame!", body_bytes,
               -- Of a body that is stored uncompressed, Postgres reads no more than this part.
               CASE WHEN result_frame_start IS NULL THEN body
                    ELSE substring(body FROM result_frame_start + 1 FOR result_frame_length) END AS zstd,
               substring(body FOR result_frame_start)
                   || substring(body FROM result_frame_start + result_frame_length + 1) AS other_frames
        FROM callbacks WHERE id = $1
        "#,
        callback_id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(|row| {
        let zstd = row.zstd?;
        let zstd = if row.is_frame {
            StoredAs::Frame(zstd)
        } else {
            StoredAs::Within(zstd)
        };
        Some(StoredResult {
            zstd,
            body_bytes: row.body_bytes,
            other_frames: row.other_frames,
        })
    }))
}
