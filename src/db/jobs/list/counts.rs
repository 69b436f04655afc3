//! Which of several filters the fewest jobs pass.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Asked;
use crate::domain::ids::TenantId;

/// How far jobs are counted.
const MOST_COUNTED: i64 = 10_000;

/// The metadata entry that the fewest jobs have.
pub(super) struct Rarest {
    /// Its place among those that are asked for.
    pub(super) place: usize,
    /// How many have it, counted up to [`MOST_COUNTED`].
    pub(super) jobs: i64,
}

/// When the oldest was made of a tenant's jobs that are not erased.
pub(super) async fn find_oldest(
    conn: &mut PgConnection,
    tenant_id: TenantId,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "SELECT created_at FROM jobs WHERE tenant_id = $1 AND deleted_at IS NULL ORDER BY created_at, id LIMIT 1",
        tenant_id.0,
    )
    .fetch_optional(conn)
    .await
}

pub(super) async fn rarest_metadata(
    conn: &mut PgConnection,
    asked: &Asked,
) -> sqlx::Result<Rarest> {
    let rarest = sqlx::query!(
        r#"
        SELECT entry.place - 1 AS "place!", counted.jobs AS "jobs!"
        FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS entry (key, value, place) CROSS JOIN LATERAL (
            SELECT count(*) AS jobs
            FROM (SELECT FROM job_metadata m
                  WHERE m.tenant_id = $1 AND m.key = entry.key AND m.value = entry.value
                    AND m.created_at >= coalesce($5::timestamptz, '-infinity') LIMIT $4) first
        ) counted
        ORDER BY counted.jobs, entry.place LIMIT 1
        "#,
        asked.tenant_id.0,
        &asked.metadata_keys,
        &asked.metadata_values,
        MOST_COUNTED,
        asked.created_after,
    )
    .fetch_one(conn)
    .await?;
    Ok(Rarest {
        place: usize::try_from(rarest.place).unwrap_or_default(),
        jobs: rarest.jobs,
    })
}

/// How many jobs have these statuses, each counted up to [`MOST_COUNTED`].
pub(super) async fn count_statuses(
    conn: &mut PgConnection,
    asked: &Asked,
    statuses: &[String],
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT coalesce(sum(counted.jobs), 0)::bigint AS "jobs!"
        FROM unnest($2::text[]) AS wanted (status) CROSS JOIN LATERAL (
            SELECT count(*) AS jobs
            FROM (SELECT FROM jobs s
                  WHERE s.tenant_id = $1 AND s.status = wanted.status AND s.deleted_at IS NULL LIMIT $3) first
        ) counted
        "#,
        asked.tenant_id.0,
        statuses,
        MOST_COUNTED,
    )
    .fetch_one(conn)
    .await
}

/// How many jobs failed as one of these, each counted up to [`MOST_COUNTED`].
pub(super) async fn count_error_types(
    conn: &mut PgConnection,
    asked: &Asked,
    error_types: &[String],
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT coalesce(sum(counted.jobs), 0)::bigint AS "jobs!"
        FROM unnest($2::text[]) AS wanted (error_type) CROSS JOIN LATERAL (
            SELECT count(*) AS jobs
            FROM (SELECT FROM jobs s
                  WHERE s.tenant_id = $1 AND s.error_type = wanted.error_type AND s.deleted_at IS NULL LIMIT $3) first
        ) counted
        "#,
        asked.tenant_id.0,
        error_types,
        MOST_COUNTED,
    )
    .fetch_one(conn)
    .await
}
