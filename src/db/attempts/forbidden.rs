//! Whether a 402 or 403, or a refusal of what the gateway adds, is about the gateway or about one job.
//!
//! Gladia answers so to a key that is good for nothing or not paid for, and may to one whose plan, balance or region lacks what a
//! job asks for; and to a callback address that is wrong, for every job or maybe beside one option. The first keeps every job in line
//! until somebody acts; the second would be answered for ever, and hold up all others each time. What tells them apart is whether the
//! same key sends other jobs in between.

use sqlx::PgConnection;

use crate::domain::ids::JobId;

/// How often others were accepted between two such answers, until that proves that those are about the job. More than once, since
/// a key may lose its rights, get them back and lose them again.
const GAPS_THAT_PROVE: i64 = 2;

/// From how many such answers on a job lets others of its tenant go first: while it is the one that finds out whether
/// anything is accepted, nothing ever is.
const LETS_OTHERS_FIRST: i64 = 2;

/// The status that is never about a job. Whatever else has refused a job that is in line again may be.
pub(super) const UNAUTHORIZED: u16 = 401;

/// What such answers are about.
pub(super) enum About {
    /// The job that they are answers to.
    ThisJob,
    /// The gateway, as far as is known.
    Gateway {
        /// How many there were.
        refusals: i64,
    },
}

/// Judges such answers to a job since it was last retried, the one just recorded included.
pub(super) async fn judge(conn: &mut PgConnection, id: JobId) -> sqlx::Result<About> {
    let refused = sqlx::query!(
        r#"
        WITH refused AS (
            SELECT answered_at, lead(answered_at) OVER (ORDER BY number) AS next_at
            FROM attempts WHERE job_id = $1 AND state = 'refused' AND http_status <> $2
              AND created_at > coalesce((SELECT max(occurred_at) FROM events
                                         WHERE job_id = $1 AND type = 'transcription.retried'), '-infinity')
        )
        SELECT count(*) AS "times!",
               count(*) FILTER (WHERE EXISTS (
                   SELECT FROM (SELECT FROM attempts other
                                WHERE other.created_at > refused.answered_at AND other.created_at < refused.next_at
                                  AND other.gladia_id IS NOT NULL AND other.job_id <> $1
                                ORDER BY other.created_at LIMIT 1) accepted
               )) AS "gaps!"
        FROM refused
        "#,
        id.0,
        i32::from(UNAUTHORIZED),
    )
    .fetch_one(conn)
    .await?;
    Ok(if refused.gaps >= GAPS_THAT_PROVE {
        About::ThisJob
    } else {
        About::Gateway {
            refusals: refused.times,
        }
    })
}

/// After several such answers, puts a job behind as many that wait after it, or behind all where they are fewer: more each time,
/// since those may be refused as well. Where none waits it keeps its place.
pub(super) async fn let_others_first(
    conn: &mut PgConnection,
    id: JobId,
    refusals: i64,
) -> sqlx::Result<()> {
    if refusals < LETS_OTHERS_FIRST {
        return Ok(());
    }
    sqlx::query!(
        "
        UPDATE jobs j
        SET queued_at = coalesce((
            SELECT max(queued_at) + interval '1 microsecond'
            FROM (SELECT queued_at FROM jobs other
                  WHERE other.tenant_id = j.tenant_id AND other.status = 'queued' AND other.queued_at >= j.queued_at
                    AND other.id <> j.id
                  ORDER BY other.queued_at, other.id LIMIT $2) behind
        ), queued_at)
        WHERE id = $1
        ",
        id.0,
        refusals,
    )
    .execute(conn)
    .await
    .map(|_| ())
}
