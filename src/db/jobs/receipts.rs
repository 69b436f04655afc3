//! What an erased job leaves behind for its caller: when it was erased, by whom, and what became of Gladia's copy.

use sqlx::PgConnection;

use crate::{
    db::corrupt,
    domain::{
        erasure::{Erased, ErasedBy, UpstreamCopy, UpstreamStatus},
        ids::{CallbackId, JobId},
    },
};

/// Reads the receipt of the erased job whose result this callback brought.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_by_callback(
    conn: &mut PgConnection,
    callback_id: CallbackId,
) -> sqlx::Result<Option<Erased>> {
    let row = sqlx::query!(
        r#"SELECT (SELECT job_id FROM attempts WHERE id = c.attempt_id) AS "job_id!" FROM callbacks c WHERE c.id = $1"#,
        callback_id.0,
    )
    .fetch_optional(&mut *conn)
    .await?;
    match row {
        Some(row) => find(conn, row.job_id.into()).await,
        None => Ok(None),
    }
}

/// Reads the receipt of an erased job. `None` where it is not erased.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection, job_id: JobId) -> sqlx::Result<Option<Erased>> {
    let row = sqlx::query!(
        r#"
        SELECT j.deleted_at AS "deleted_at!", j.erased_by, j.deletes_at_gladia,
               d.given_up AS "given_up!", d.pending AS "pending!", d.deleted AS "deleted!", d.gone AS "gone!",
               d.requested_at, d.finished_at,
               a.kept AS "kept!", a.open AS "open!", a.lost AS "lost!"
        FROM jobs j,
        LATERAL (
            SELECT coalesce(bool_or(outcome = 'given_up'), false) AS given_up,
                   coalesce(bool_or(finished_at IS NULL), false) AS pending,
                   coalesce(bool_or(outcome = 'deleted'), false) AS deleted,
                   coalesce(bool_or(outcome = 'already_gone'), false) AS gone,
                   max(requested_at) AS requested_at, max(finished_at) AS finished_at
            FROM upstream_deletions WHERE job_id = j.id
        ) d,
        LATERAL (
            -- Known to Gladia, and left there.
            SELECT coalesce(bool_or(gladia_id IS NOT NULL AND NOT EXISTS (
                       SELECT FROM upstream_deletions u WHERE u.gladia_id = attempts.gladia_id OFFSET 0)), false) AS kept,
                   -- Perhaps known to Gladia, which is still being found out.
                   coalesce(bool_or(gladia_id IS NULL AND finished_at IS NULL), false) AS open,
                   -- Given up without an answer.
                   coalesce(bool_or(gladia_id IS NULL AND state = 'expired'), false) AS lost
            FROM attempts WHERE job_id = j.id
        ) a
        WHERE j.id = $1 AND j.deleted_at IS NOT NULL
        "#,
        job_id.0,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let by = match row.erased_by {
        Some(by) => by.parse().map_err(corrupt)?,
        // Erased by a version that did not note it, when there was no other way.
        None => ErasedBy::Request,
    };
    // Of several, the worst.
    let requested = row.pending || row.deleted || row.gone || row.given_up;
    let is_left_there = !row
        .deletes_at_gladia
        .unwrap_or(requested || by == ErasedBy::Request);
    let (status, at) = if row.given_up {
        (UpstreamStatus::GivenUp, row.finished_at)
    } else if row.kept || (is_left_there && (row.pending || row.open || row.lost)) {
        (UpstreamStatus::Kept, None)
    } else if row.pending || row.open {
        (UpstreamStatus::Pending, row.requested_at)
    } else if row.lost {
        (UpstreamStatus::GivenUp, None)
    } else if row.deleted {
        (UpstreamStatus::Deleted, row.finished_at)
    } else if row.gone {
        (UpstreamStatus::AlreadyGone, row.finished_at)
    } else {
        (UpstreamStatus::NotSent, None)
    };
    Ok(Some(Erased {
        by,
        erased_at: row.deleted_at,
        gladia: UpstreamCopy { status, at },
    }))
}
