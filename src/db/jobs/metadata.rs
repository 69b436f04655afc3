//! What jobs can be searched and counted by: the simple values at the top of their `custom_metadata`.

use serde_json::{Map, Value};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{ids::JobId, searchable::searchable};

/// Notes the metadata of jobs that were inserted in the same transaction. The values under `usage_keys` outlive their job's
/// content.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert<'a>(
    conn: &mut PgConnection,
    jobs: impl IntoIterator<Item = (JobId, &'a Map<String, Value>)>,
    usage_keys: &[String],
) -> sqlx::Result<()> {
    let mut ids: Vec<Uuid> = Vec::new();
    let mut keys: Vec<&str> = Vec::new();
    let mut values: Vec<String> = Vec::new();
    for (id, metadata) in jobs {
        for (key, value) in searchable(metadata) {
            ids.push(id.0);
            keys.push(key);
            values.push(value);
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "
        INSERT INTO job_metadata (job_id, key, value, tenant_id, created_at, kept_for_usage)
        SELECT j.id, m.key, m.value, j.tenant_id, j.created_at, m.key = ANY ($4::text[])
        FROM unnest($1::uuid[], $2::text[], $3::text[]) AS m (job_id, key, value)
        CROSS JOIN LATERAL (SELECT id, tenant_id, created_at FROM jobs WHERE id = m.job_id OFFSET 0) j
        ",
        &ids,
        &keys as &[&str],
        &values,
        usage_keys,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Forgets the metadata of a job whose content is erased, but for what usage is counted by.
///
/// # Errors
/// Where the database does not answer.
pub async fn delete(conn: &mut PgConnection, id: JobId) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM job_metadata WHERE job_id = $1 AND NOT kept_for_usage",
        id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}
