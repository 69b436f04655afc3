//! What was used, counted from jobs and their attempts as they stand.
//!
//! A job counts when it ended, and everything that Gladia bills for it counts with it, whichever of its attempts it was and
//! whenever that ended: a row of jobs and what they cost belong together. Content is not needed for it, so erased jobs count
//! on.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::PgConnection;

use super::timeline::begin_reading;
use crate::domain::{
    ids::TenantId,
    usage::{Dimension, Grouping, Period, Usage},
};

/// What was used by one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// What the group has in common: a value for each dimension of the grouping, in its order. Of metadata it is `None` for
    /// jobs without the key, and for those whose value is not known (any more).
    pub keys: Vec<Option<String>>,
    /// Its numbers.
    pub usage: Usage,
}

/// The groups as they come from the database.
struct Row {
    tenant: Option<String>,
    day: Option<NaiveDate>,
    value_1: Option<String>,
    value_2: Option<String>,
    value_3: Option<String>,
    jobs_done: i64,
    jobs_error: i64,
    jobs_canceled: i64,
    audio_duration_ms: i64,
    billing_time_ms: i64,
    unused_billing_time_ms: i64,
    attempts_without_billing_time: i64,
}

impl Row {
    fn into_row(self, grouping: &Grouping) -> UsageRow {
        let mut values = [self.value_1, self.value_2, self.value_3].into_iter();
        let (mut tenant, day) = (self.tenant, self.day);
        let keys = grouping
            .dimensions()
            .iter()
            .map(|dimension| match dimension {
                Dimension::Tenant => tenant.take(),
                Dimension::Day => day.map(|day| day.to_string()),
                Dimension::Metadata(_) => values.next().flatten(),
            })
            .collect();
        UsageRow {
            keys,
            usage: Usage {
                jobs_done: self.jobs_done,
                jobs_error: self.jobs_error,
                jobs_canceled: self.jobs_canceled,
                audio_duration_ms: self.audio_duration_ms,
                billing_time_ms: self.billing_time_ms,
                unused_billing_time_ms: self.unused_billing_time_ms,
                attempts_without_billing_time: self.attempts_without_billing_time,
            },
        }
    }
}

/// Counts what a tenant used, or, without one, what all did. At most about `limit` groups, in no order: where there are as many, there
/// may be more.
///
/// Week by week, as of one instant: what one statement counts is sorted, and a year of a large tenant has no room in memory.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(
    conn: &mut PgConnection,
    tenant_id: Option<TenantId>,
    period: Period,
    grouping: &Grouping,
    limit: usize,
) -> sqlx::Result<Vec<UsageRow>> {
    let mut tx = begin_reading(conn).await?;
    let mut groups: HashMap<Vec<Option<String>>, Usage> = HashMap::new();
    for week in period.weeks() {
        for row in list_week(&mut tx, tenant_id, week, grouping, limit).await? {
            *groups.entry(row.keys).or_default() += row.usage;
        }
        if groups.len() >= limit {
            break;
        }
    }
    tx.commit().await?;
    let rows = groups.into_iter();
    Ok(rows.map(|(keys, usage)| UsageRow { keys, usage }).collect())
}

async fn list_week(
    conn: &mut PgConnection,
    tenant_id: Option<TenantId>,
    week: Period,
    grouping: &Grouping,
    limit: usize,
) -> sqlx::Result<Vec<UsageRow>> {
    let mut keys = grouping.metadata_keys();
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT tenant AS "tenant?", day AS "day?", value_1 AS "value_1?", value_2 AS "value_2?", value_3 AS "value_3?",
               count(*) FILTER (WHERE counts_job AND status = 'done') AS "jobs_done!",
               count(*) FILTER (WHERE counts_job AND status = 'error') AS "jobs_error!",
               count(*) FILTER (WHERE counts_job AND status = 'canceled') AS "jobs_canceled!",
               -- One absurd number of Gladia's must not spoil the sum, or overflow it.
               coalesce(sum(round(least(greatest(audio, 0), 1e9)::numeric * 1000)) FILTER (WHERE is_result), 0)::bigint
                   AS "audio_duration_ms!",
               coalesce(sum(round(least(greatest(billing, 0), 1e9)::numeric * 1000)), 0)::bigint AS "billing_time_ms!",
               coalesce(sum(round(least(greatest(billing, 0), 1e9)::numeric * 1000)) FILTER (WHERE NOT is_result), 0)::bigint
                   AS "unused_billing_time_ms!",
               count(*) FILTER (WHERE billing IS NULL AND may_be_billed) AS "attempts_without_billing_time!"
        FROM (
            -- A row for each attempt; a job that never had one has a row all the same.
            SELECT CASE WHEN $4 THEN t.name END AS tenant,
                   CASE WHEN $5 THEN (j.finished_at AT TIME ZONE 'UTC')::date END AS day,
                   m1.value AS value_1, m2.value AS value_2, m3.value AS value_3,
                   j.status, coalesce(a.number, 1) = 1 AS counts_job,
                   coalesce(j.status = 'done' AND a.gladia_id = j.gladia_id, false) AS is_result,
                   -- What an older version settled has its numbers with the job.
                   coalesce(a.audio_duration_seconds, CASE WHEN a.gladia_id = j.gladia_id THEN j.audio_duration_seconds END)
                       AS audio,
                   coalesce(a.billing_time_seconds, CASE WHEN a.gladia_id = j.gladia_id THEN j.billing_time_seconds END)
                       AS billing,
                   a.state IN ('submitting', 'unknown', 'expired') OR a.gladia_id IS NOT NULL AND a.state <> 'error'
                       AS may_be_billed
            FROM tenants t
            JOIN jobs j ON j.tenant_id = t.id
            LEFT JOIN attempts a ON a.job_id = j.id
            LEFT JOIN job_metadata m1 ON m1.job_id = j.id AND m1.key = $6
            LEFT JOIN job_metadata m2 ON m2.job_id = j.id AND m2.key = $7
            LEFT JOIN job_metadata m3 ON m3.job_id = j.id AND m3.key = $8
            WHERE ($1::uuid IS NULL OR t.id = $1) AND j.finished_at >= $2 AND j.finished_at < $3
        ) ended
        GROUP BY tenant, day, value_1, value_2, value_3
        LIMIT $9
        "#,
        tenant_id.map(|id| id.0),
        week.from(),
        week.to(),
        grouping.dimensions().contains(&Dimension::Tenant),
        grouping.dimensions().contains(&Dimension::Day),
        keys.next(),
        keys.next(),
        keys.next(),
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.into_row(grouping)).collect())
}
