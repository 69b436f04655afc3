//! A tenant's jobs, newest first, filtered.
//!
//! A page costs about as many rows as it shows, whatever else the tenant has. So each kind of filter is a statement of its
//! own, which walks along the index that serves it; what else is asked for is compared on the way.

mod counts;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use self::counts::{count_error_types, count_statuses, find_oldest, rarest_metadata};
use super::{JobRow, Jobs, read::JobRows};
use crate::{
    db::pool::Loan,
    domain::{
        cursor::Cursor,
        ids::{BatchId, JobId, TenantId},
        job::{JobErrorType, JobStatus},
        job_filter::JobFilter,
    },
};

/// So many are walked through without asking whether there is a shorter way.
const FEW: i64 = 500;

/// Which part of a list is read.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Only what comes after this.
    pub after: Option<Cursor<JobId>>,
    /// So many of that are passed over. They cost a walk along the index, so whoever can goes on by a cursor.
    pub offset: i64,
    /// So many are read at most.
    pub limit: i64,
    /// Once they have so many bytes in them, no more are read. One always is.
    pub most_bytes: usize,
}

/// What every statement is asked for.
struct Asked {
    tenant_id: TenantId,
    created_after: Option<DateTime<Utc>>,
    created_before: Option<DateTime<Utc>>,
    after_at: Option<DateTime<Utc>>,
    after_id: Option<Uuid>,
    limit: i64,
    most_bytes: usize,
    offset: i64,
    /// How far each of several walks may have to go that are then merged.
    reach: i64,
    statuses: Option<Vec<String>>,
    error_types: Option<Vec<String>>,
    metadata_keys: Vec<String>,
    metadata_values: Vec<String>,
}

/// Lists a tenant's jobs, newest first, without the deleted ones. Gives the connection back by itself: it knows whether all was
/// read.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(
    mut conn: Loan,
    tenant_id: TenantId,
    filter: &JobFilter,
    slice: Slice,
) -> sqlx::Result<Jobs> {
    if filter.contradicts_itself() {
        conn.put_back();
        return Ok(Jobs::default());
    }
    let asked = Asked {
        tenant_id,
        created_after: filter.created_after,
        created_before: filter.created_before,
        after_at: slice.after.map(|cursor| cursor.created_at),
        after_id: slice.after.map(|cursor| cursor.id.0),
        limit: slice.limit,
        most_bytes: slice.most_bytes,
        offset: slice.offset,
        reach: slice.limit.saturating_add(slice.offset),
        statuses: names(filter.internal_statuses(), JobStatus::as_str),
        error_types: names(filter.error_types.iter().copied(), JobErrorType::as_str),
        metadata_keys: filter.metadata.keys().cloned().collect(),
        metadata_values: filter.metadata.values().cloned().collect(),
    };
    let rows = match (filter.batch_id, &asked.error_types, &asked.statuses) {
        (Some(batch_id), ..) => of_batch(&mut conn, &asked, batch_id).await,
        _ if !filter.metadata.is_empty() => with_metadata(&mut conn, asked).await,
        (None, Some(error_types), _) => of_error_types(&mut conn, &asked, error_types).await,
        (None, None, Some(statuses)) => of_statuses(&mut conn, &asked, statuses).await,
        (None, None, None) => all(&mut conn, &asked).await,
    };
    rows?.understood(conn).await
}

/// Names for a statement. `None` where nothing is filtered.
fn names<T>(
    values: impl IntoIterator<Item = T>,
    name: fn(T) -> &'static str,
) -> Option<Vec<String>> {
    let names: Vec<String> = values
        .into_iter()
        .map(|value| name(value).to_owned())
        .collect();
    (!names.is_empty()).then_some(names)
}

/// Along `jobs_list`.
async fn all(conn: &mut PgConnection, asked: &Asked) -> sqlx::Result<JobRows> {
    let rows = select_jobs!(
        r#"
        WHERE j.id IN (
            SELECT k.id FROM jobs k
            WHERE k.tenant_id = $1 AND k.deleted_at IS NULL
              -- As values rather than alternatives, so that the index begins and ends the walk.
              AND k.created_at >= coalesce($2::timestamptz, '-infinity')
              AND k.created_at < coalesce($3::timestamptz, 'infinity')
              AND (k.created_at, k.id) < (coalesce($4::timestamptz, 'infinity'),
                                          coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
            ORDER BY k.created_at DESC, k.id DESC LIMIT $6 OFFSET $7
        )
        ORDER BY j.created_at DESC, j.id DESC
        "#,
        asked.tenant_id.0,
        asked.created_after,
        asked.created_before,
        asked.after_at,
        asked.after_id,
        asked.limit,
        asked.offset,
    )
    .fetch(conn);
    JobRows::read(rows, asked.most_bytes).await
}

/// Along `jobs_list_by_status`, for each status by itself: the index is in order only within one.
async fn of_statuses(
    conn: &mut PgConnection,
    asked: &Asked,
    statuses: &[String],
) -> sqlx::Result<JobRows> {
    let rows = select_jobs!(
        r#"
        WHERE j.id IN (
            SELECT newest.id
            FROM unnest($7::text[]) AS wanted (status) CROSS JOIN LATERAL (
                SELECT s.id, s.created_at FROM jobs s
                WHERE s.tenant_id = $1 AND s.status = wanted.status AND s.deleted_at IS NULL
                  AND s.created_at >= coalesce($2::timestamptz, '-infinity')
                  AND s.created_at < coalesce($3::timestamptz, 'infinity')
                  AND (s.created_at, s.id) < (coalesce($4::timestamptz, 'infinity'),
                                              coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                  AND NOT EXISTS (
                      SELECT FROM unnest($8::text[], $9::text[]) AS entry (key, value)
                      WHERE NOT EXISTS (SELECT FROM job_metadata m
                                        WHERE m.job_id = s.id AND m.key = entry.key AND m.value = entry.value OFFSET 0)
                  )
                ORDER BY s.created_at DESC, s.id DESC LIMIT $10
            ) newest
            ORDER BY newest.created_at DESC, newest.id DESC LIMIT $6 OFFSET $11
        )
        ORDER BY j.created_at DESC, j.id DESC
        "#,
        asked.tenant_id.0,
        asked.created_after,
        asked.created_before,
        asked.after_at,
        asked.after_id,
        asked.limit,
        statuses,
        &asked.metadata_keys,
        &asked.metadata_values,
        asked.reach,
        asked.offset,
    )
    .fetch(conn);
    JobRows::read(rows, asked.most_bytes).await
}

/// Along `jobs_list_by_error`, for each type by itself.
async fn of_error_types(
    conn: &mut PgConnection,
    asked: &Asked,
    error_types: &[String],
) -> sqlx::Result<JobRows> {
    let rows = select_jobs!(
        r#"
        WHERE j.id IN (
            SELECT newest.id
            FROM unnest($7::text[]) AS wanted (error_type) CROSS JOIN LATERAL (
                SELECT s.id, s.created_at FROM jobs s
                WHERE s.tenant_id = $1 AND s.error_type = wanted.error_type AND s.deleted_at IS NULL
                  AND s.created_at >= coalesce($2::timestamptz, '-infinity')
                  AND s.created_at < coalesce($3::timestamptz, 'infinity')
                  AND (s.created_at, s.id) < (coalesce($4::timestamptz, 'infinity'),
                                              coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                  AND NOT EXISTS (
                      SELECT FROM unnest($8::text[], $9::text[]) AS entry (key, value)
                      WHERE NOT EXISTS (SELECT FROM job_metadata m
                                        WHERE m.job_id = s.id AND m.key = entry.key AND m.value = entry.value OFFSET 0)
                  )
                ORDER BY s.created_at DESC, s.id DESC LIMIT $10
            ) newest
            ORDER BY newest.created_at DESC, newest.id DESC LIMIT $6 OFFSET $11
        )
        ORDER BY j.created_at DESC, j.id DESC
        "#,
        asked.tenant_id.0,
        asked.created_after,
        asked.created_before,
        asked.after_at,
        asked.after_id,
        asked.limit,
        error_types,
        &asked.metadata_keys,
        &asked.metadata_values,
        asked.reach,
        asked.offset,
    )
    .fetch(conn);
    JobRows::read(rows, asked.most_bytes).await
}

/// All of a batch, which is a thousand at most, along `jobs_batch_list`.
async fn of_batch(
    conn: &mut PgConnection,
    asked: &Asked,
    batch_id: BatchId,
) -> sqlx::Result<JobRows> {
    let rows = select_jobs!(
        r#"
        WHERE j.id IN (
            SELECT b.id
            FROM (
                SELECT id, tenant_id, status, error_type, created_at, deleted_at FROM jobs WHERE batch_id = $7
                -- Keeps what stands outside from being taken for a reason to walk through all of the tenant's jobs.
                OFFSET 0
            ) b
            WHERE b.tenant_id = $1 AND b.deleted_at IS NULL
              AND b.created_at >= coalesce($2::timestamptz, '-infinity')
              AND b.created_at < coalesce($3::timestamptz, 'infinity')
              AND (b.created_at, b.id) < (coalesce($4::timestamptz, 'infinity'),
                                          coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
              AND ($8::text[] IS NULL OR b.status = ANY ($8))
              AND ($9::text[] IS NULL OR b.error_type = ANY ($9))
              AND NOT EXISTS (
                  SELECT FROM unnest($10::text[], $11::text[]) AS entry (key, value)
                  WHERE NOT EXISTS (SELECT FROM job_metadata m
                                    WHERE m.job_id = b.id AND m.key = entry.key AND m.value = entry.value OFFSET 0)
              )
            ORDER BY b.created_at DESC, b.id DESC LIMIT $6 OFFSET $12
        )
        ORDER BY j.created_at DESC, j.id DESC
        "#,
        asked.tenant_id.0,
        asked.created_after,
        asked.created_before,
        asked.after_at,
        asked.after_id,
        asked.limit,
        batch_id.0,
        asked.statuses.as_deref(),
        asked.error_types.as_deref(),
        &asked.metadata_keys,
        &asked.metadata_values,
        asked.offset,
    )
    .fetch(conn);
    JobRows::read(rows, asked.most_bytes).await
}

/// Along whichever index has the fewest jobs that are asked for.
async fn with_metadata(conn: &mut PgConnection, mut asked: Asked) -> sqlx::Result<JobRows> {
    // What usage is counted by outlives its jobs: what is older than all that are left is not walked through.
    let Some(oldest) = find_oldest(conn, asked.tenant_id).await? else {
        return Ok(JobRows::default());
    };
    asked.created_after = asked.created_after.max(Some(oldest));
    if asked.metadata_keys.len() == 1 && asked.statuses.is_none() && asked.error_types.is_none() {
        return along_metadata(conn, asked, 0).await;
    }
    let rarest = rarest_metadata(conn, &asked).await?;
    if rarest.jobs >= FEW {
        if let Some(error_types) = &asked.error_types {
            if count_error_types(conn, &asked, error_types).await? < rarest.jobs {
                return of_error_types(conn, &asked, error_types).await;
            }
        } else if let Some(statuses) = &asked.statuses
            && count_statuses(conn, &asked, statuses).await? < rarest.jobs
        {
            return of_statuses(conn, &asked, statuses).await;
        }
    }
    along_metadata(conn, asked, rarest.place).await
}

/// Along `job_metadata_list`, by the entry at a place. Of several orders of the tables the best depends on the values, so the
/// plan is made for them each time.
async fn along_metadata(
    conn: &mut PgConnection,
    mut asked: Asked,
    place: usize,
) -> sqlx::Result<JobRows> {
    let key = asked.metadata_keys.swap_remove(place);
    let value = asked.metadata_values.swap_remove(place);
    let mut tx = conn.begin().await?;
    sqlx::query!(r#"SELECT set_config('plan_cache_mode', 'force_custom_plan', true) AS "mode!""#)
        .fetch_one(&mut *tx)
        .await?;
    let rows = select_jobs!(
        r#"
        WHERE j.id IN (
            SELECT m.job_id
            FROM job_metadata m JOIN jobs k ON k.id = m.job_id
            WHERE m.tenant_id = $1 AND m.key = $7 AND m.value = $8
              AND m.created_at >= coalesce($2::timestamptz, '-infinity')
              AND m.created_at < coalesce($3::timestamptz, 'infinity')
              AND (m.created_at, m.job_id) < (coalesce($4::timestamptz, 'infinity'),
                                              coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
              AND k.tenant_id = $1 AND k.deleted_at IS NULL
              AND ($9::text[] IS NULL OR k.status = ANY ($9))
              AND ($10::text[] IS NULL OR k.error_type = ANY ($10))
              AND NOT EXISTS (
                  SELECT FROM unnest($11::text[], $12::text[]) AS entry (key, value)
                  WHERE NOT EXISTS (SELECT FROM job_metadata o
                                    WHERE o.job_id = m.job_id AND o.key = entry.key AND o.value = entry.value OFFSET 0)
              )
            ORDER BY m.created_at DESC, m.job_id DESC LIMIT $6 OFFSET $13
        )
        ORDER BY j.created_at DESC, j.id DESC
        "#,
        asked.tenant_id.0,
        asked.created_after,
        asked.created_before,
        asked.after_at,
        asked.after_id,
        asked.limit,
        key,
        value,
        asked.statuses.as_deref(),
        asked.error_types.as_deref(),
        &asked.metadata_keys,
        &asked.metadata_values,
        asked.offset,
    )
    .fetch(&mut *tx);
    let rows = JobRows::read(rows, asked.most_bytes).await?;
    tx.commit().await?;
    Ok(rows)
}
