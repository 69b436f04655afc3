//! Batches: many requests that came in one call. Their jobs are in `jobs`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;

use super::corrupt;
use crate::domain::{
    ids::{BatchId, JobId, TenantId},
    job::JobStatus,
    plain_json,
};

/// What is left of the words that said what was wrong with a request.
const ERASED_DETAIL: &str =
    "The request was refused. What was wrong with it is erased, with everything else of its batch.";

/// A batch to be accepted.
#[derive(Debug)]
pub struct NewBatch<'a> {
    /// Its id.
    pub id: BatchId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// How many requests it came with.
    pub requests: i32,
    /// Those that were refused, in their order.
    pub refused: &'a [RefusedRequest],
}

/// A request of a batch that was refused, as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusedRequest {
    /// Its place, from 0.
    pub index: i32,
    /// Why.
    #[serde(deserialize_with = "plain_json::value")]
    pub problem: Value,
}

/// A batch as stored.
#[derive(Debug)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// How many requests it came with.
    pub requests: i32,
    /// Those that were refused, in their order.
    pub refused: Vec<RefusedRequest>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
}

/// A request of a batch that was accepted.
#[derive(Debug)]
pub struct AcceptedRequest {
    /// Its place, from 0.
    pub index: i32,
    /// The job that it became.
    pub job_id: JobId,
    /// What may not do what its caller expects, as stored.
    pub warnings: Option<Value>,
}

/// How many jobs of a batch are in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCount {
    /// Where they are.
    pub status: JobStatus,
    /// Whether their content is erased.
    pub is_deleted: bool,
    /// How many they are.
    pub jobs: i64,
}

/// Accepts a batch. Its jobs follow in the same transaction.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert(conn: &mut PgConnection, batch: NewBatch<'_>) -> sqlx::Result<()> {
    let refused = serde_json::to_string(batch.refused).map_err(corrupt)?;
    sqlx::query!(
        "INSERT INTO batches (id, tenant_id, requests, refused) VALUES ($1, $2, $3, $4::text::json)",
        batch.id.0,
        batch.tenant_id.0,
        batch.requests,
        refused,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Finds a tenant's batch. Another tenant's batch is not found.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: BatchId,
) -> sqlx::Result<Option<Batch>> {
    let row = sqlx::query!(
        r#"SELECT id, requests, refused::text AS "refused!", created_at FROM batches WHERE id = $1 AND tenant_id = $2"#,
        id.0,
        tenant_id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Batch {
            id: row.id.into(),
            requests: row.requests,
            refused: serde_json::from_str::<Vec<RefusedRequest>>(&row.refused).map_err(corrupt)?,
            created_at: row.created_at,
        })
    })
    .transpose()
}

/// Forgets what was wrong with the refused requests of a batch once the last of its jobs is erased, because it quotes the
/// requests. Which kind of problem each had stays.
///
/// # Errors
/// Where the database does not answer.
pub async fn erase_with_last_job(conn: &mut PgConnection, id: BatchId) -> sqlx::Result<()> {
    // First of all nobody else may erase a job of it unseen; the statement after this one sees whoever has.
    sqlx::query!(
        "SELECT id FROM batches WHERE id = $1 FOR NO KEY UPDATE",
        id.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let last = sqlx::query!(
        r#"
        SELECT refused::text AS "refused!" FROM batches
        WHERE id = $1 AND NOT EXISTS (SELECT FROM jobs WHERE batch_id = $1 AND deleted_at IS NULL)
        "#,
        id.0,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(last) = last else {
        return Ok(());
    };
    // Not in SQL: Postgres takes no JSON apart in which there is a NUL, and a name that is quoted may have one.
    let mut refused =
        serde_json::from_str::<Vec<RefusedRequest>>(&last.refused).map_err(corrupt)?;
    for RefusedRequest { problem, .. } in &mut refused {
        let kept = ["type", "title", "status"].map(|name| (name.to_owned(), problem[name].take()));
        let detail = ("detail".to_owned(), ERASED_DETAIL.into());
        *problem = kept.into_iter().chain([detail]).collect();
    }
    sqlx::query!(
        "UPDATE batches SET refused = $2 WHERE id = $1",
        id.0,
        serde_json::to_value(refused).map_err(corrupt)?,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Lists the requests of a batch that were accepted, in their order, also those whose jobs are erased by now.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_accepted(
    conn: &mut PgConnection,
    id: BatchId,
) -> sqlx::Result<Vec<AcceptedRequest>> {
    sqlx::query!(
        r#"
        SELECT batch_index AS "index!", id, warnings::text AS warnings FROM jobs
        WHERE batch_id = $1
        ORDER BY batch_index
        "#,
        id.0,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(AcceptedRequest {
            index: row.index,
            job_id: row.id.into(),
            warnings: row
                .warnings
                .map(|warnings| plain_json::from_str(&warnings).map_err(corrupt))
                .transpose()?,
        })
    })
    .collect()
}

/// Counts the jobs of a batch by where they are.
///
/// # Errors
/// Where the database does not answer.
pub async fn count_jobs(conn: &mut PgConnection, id: BatchId) -> sqlx::Result<Vec<JobCount>> {
    sqlx::query!(
        r#"
        SELECT status, deleted_at IS NOT NULL AS "is_deleted!", count(*) AS "jobs!" FROM jobs
        WHERE batch_id = $1
        GROUP BY 1, 2
        "#,
        id.0,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(JobCount {
            status: row.status.parse().map_err(corrupt)?,
            is_deleted: row.is_deleted,
            jobs: row.jobs,
        })
    })
    .collect()
}

/// Finds the place of a job in a batch.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_index(
    conn: &mut PgConnection,
    id: BatchId,
    job_id: JobId,
) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar!(
        // In words that the index of batches does not answer to: the whole batch would be walked through where few were.
        r#"SELECT batch_index AS "index!" FROM jobs WHERE id = $1 AND batch_id IS NOT DISTINCT FROM $2"#,
        job_id.0,
        id.0,
    )
    .fetch_optional(conn)
    .await
}
