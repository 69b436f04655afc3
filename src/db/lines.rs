//! The tenants' lines: who is next, and from where on each is walked.
//!
//! A job that leaves its line stays in the index until the next vacuum, and longer where an old snapshot is open. So each
//! line has an instant from which on it is read, which moves ahead with the claims. It stays behind the clock by
//! [`COMMIT_TIME`], since a job is queued at an instant before its commit, and a job that comes back to an earlier place moves
//! it back in the same commit. A job that took longer to be committed is found by [`find_missed`].
//!
//! A claim also notes of whom it serves whether more waits, so that the next one asks the index for the other tenants only.
//! Where that was canceled since, the claim that comes upon it notes it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::claims::MAX_CLAIMED;
use crate::domain::ids::JobId;

/// How long a job may take from the instant at which it is queued to its commit. Longer than locks are waited for, and than a
/// transaction may sit idle.
const COMMIT_TIME: Duration = Duration::from_secs(30);

// A number in `take_next`, so that its plan knows it.
const _: () = assert!(MAX_CLAIMED == 16);

/// The columns of a job that is next.
pub(super) struct NextJob {
    pub(super) id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) audio_url: String,
    /// As it is stored, since one that cannot be read must not keep the others from being claimed.
    pub(super) request: String,
    /// Of an upload, where it is known.
    pub(super) audio_duration_seconds: Option<f64>,
    pub(super) queued_at: DateTime<Utc>,
    pub(super) traceparent: Option<String>,
    pub(super) tracestate: Option<String>,
    /// How many jobs had come back to this line when it was read; [`note_served`] leaves `queued_from` alone if that has changed.
    returns: Option<i64>,
}

/// Whether a job waits.
pub(super) async fn is_any_queued(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM tenants t LEFT JOIN lines l ON l.tenant_id = t.id
            CROSS JOIN LATERAL (
                SELECT FROM jobs j
                WHERE j.status = 'queued' AND j.tenant_id = t.id
                  AND j.queued_at >= coalesce(l.queued_from, '-infinity')
                ORDER BY j.queued_at, j.id LIMIT 1
            ) head
        ) AS "any!"
        "#
    )
    .fetch_one(conn)
    .await
}

/// Takes the heads of the fairest lines, as if one after the other: the tenant with the fewest slots is next, then the one
/// longest unserved.
pub(super) async fn take_next(conn: &mut PgConnection, limit: usize) -> sqlx::Result<Vec<NextJob>> {
    sqlx::query_as!(
        NextJob,
        r#"
        WITH held AS MATERIALIZED (
            SELECT tenant_id, count(*) AS slots FROM slots WHERE tenant_id IS NOT NULL GROUP BY tenant_id
        ), fairest AS MATERIALIZED (
            SELECT t.id, coalesce(l.queued_from, '-infinity') AS queued_from, l.returns, l.last_served_at,
                   coalesce(held.slots, 0) AS slots
            FROM tenants t
            LEFT JOIN lines l ON l.tenant_id = t.id
            LEFT JOIN held ON held.tenant_id = t.id
            -- One probe each at most, whatever waits behind.
            WHERE CASE WHEN l.waits THEN true
                  ELSE (SELECT true FROM jobs j
                        WHERE j.status = 'queued' AND j.tenant_id = t.id
                          AND j.queued_at >= coalesce(l.queued_from, '-infinity')
                        ORDER BY j.queued_at, j.id LIMIT 1) END
            ORDER BY coalesce(held.slots, 0), l.last_served_at NULLS FIRST, t.id
            -- No more tenants are served than jobs are claimed.
            LIMIT 16
        ), heads AS MATERIALIZED (
            SELECT j.id, f.id AS tenant_id, f.returns,
                   -- A tenant's first job comes at the slots that it holds, its second at one more. Of those with equally many
                   -- it then was served more lately.
                   row_number() OVER (ORDER BY f.slots + j.nth, j.nth, f.last_served_at NULLS FIRST, f.id) AS place
            FROM fairest f
            CROSS JOIN LATERAL (
                SELECT one.id, row_number() OVER (ORDER BY one.queued_at, one.id) AS nth
                FROM (SELECT j.id, j.queued_at FROM jobs j
                      WHERE j.status = 'queued' AND j.tenant_id = f.id AND j.queued_at >= f.queued_from
                      ORDER BY j.queued_at, j.id LIMIT 16) one
            ) j
        ), left_by_others AS (
            -- What waited was canceled.
            UPDATE lines SET waits = false
            WHERE waits AND tenant_id = ANY (ARRAY(SELECT id FROM fairest EXCEPT SELECT tenant_id FROM heads))
        ), next AS MATERIALIZED (
            SELECT id, returns, place FROM heads ORDER BY place LIMIT $1
        ), taken AS (
            UPDATE jobs
            SET status = 'submitting', status_reason = 'submitting', started_at = coalesce(started_at, gateway_now())
            -- Whoever cancels one of these very jobs goes first; the status is then read anew.
            -- In words that no index of queued ones answers to, since the whole line would be walked through where it was short.
            WHERE id = ANY (ARRAY(SELECT id FROM next)) AND coalesce(status, '') = 'queued'
            RETURNING id, tenant_id, audio_url, request, queued_at, traceparent, tracestate,
                      (SELECT u.audio_duration_seconds FROM uploads u WHERE u.id = jobs.upload_id)
        )
        SELECT taken.id AS "id!", tenant_id AS "tenant_id!", audio_url AS "audio_url!", request::text AS "request!",
               audio_duration_seconds, queued_at AS "queued_at!", traceparent, tracestate, next.returns AS "returns?"
        FROM taken JOIN next USING (id) ORDER BY next.place
        "#,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(conn)
    .await
}

/// Notes whom a claim served, and how far it came in their lines.
pub(super) async fn note_served(conn: &mut PgConnection, jobs: &[NextJob]) -> sqlx::Result<()> {
    let tenant_ids: Vec<Uuid> = jobs.iter().map(|job| job.tenant_id).collect();
    let queued_at: Vec<DateTime<Utc>> = jobs.iter().map(|job| job.queued_at).collect();
    let returns: Vec<i64> = jobs
        .iter()
        .map(|job| job.returns.unwrap_or_default())
        .collect();
    sqlx::query!(
        "
        INSERT INTO lines AS l (tenant_id, last_served_at, queued_from, returns, waits)
        SELECT tenant_id, gateway_now(), least(last_queued_at, gateway_now() - make_interval(secs => $4)), returns,
               EXISTS (SELECT FROM (SELECT FROM jobs j
                                    WHERE j.status = 'queued' AND j.tenant_id = served.tenant_id
                                      AND j.queued_at >= last_queued_at
                                    ORDER BY j.queued_at, j.id LIMIT 1) behind)
        FROM (SELECT tenant_id, max(queued_at) AS last_queued_at, max(returns) AS returns, max(nth) AS nth
              FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) WITH ORDINALITY
                   AS job (tenant_id, queued_at, returns, nth)
              GROUP BY tenant_id) served
        ORDER BY nth
        ON CONFLICT (tenant_id) DO UPDATE
        SET last_served_at = excluded.last_served_at, waits = excluded.waits,
            -- A job that came back since may be behind what was seen.
            queued_from = CASE l.returns WHEN excluded.returns THEN excluded.queued_from ELSE l.queued_from END
        ",
        &tenant_ids,
        &queued_at,
        &returns,
        COMMIT_TIME.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Notes that a job is back in its old place.
pub(super) async fn note_return(conn: &mut PgConnection, id: JobId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE lines l SET queued_from = least(l.queued_from, j.queued_at), returns = returns + 1
        FROM jobs j WHERE j.id = $1 AND l.tenant_id = j.tenant_id
        ",
        id.0,
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// Finds jobs that wait where no claim looks any more: committed long after they were queued, or queued by a clock that went
/// back. Returns in how many lines there were any.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_missed(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!(
        "
        UPDATE lines l SET queued_from = least(l.queued_from, missed.queued_at), returns = returns + 1
        FROM (
            SELECT line.tenant_id, head.queued_at FROM lines line
            CROSS JOIN LATERAL (
                SELECT j.queued_at FROM jobs j
                WHERE j.status = 'queued' AND j.tenant_id = line.tenant_id AND j.queued_at < line.queued_from
                ORDER BY j.queued_at, j.id LIMIT 1
            ) head
            -- A claim holds its lines in an order of its own. What it holds is looked at next time.
            FOR UPDATE OF line SKIP LOCKED
        ) missed
        WHERE l.tenant_id = missed.tenant_id
        "
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}
