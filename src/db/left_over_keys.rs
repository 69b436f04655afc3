//! Idempotency keys that stand for nothing any more, of requests whose process ended before it gave them back: reservations that
//! nobody renews, and creates of Gladia's clients that nothing can be the second of.
//!
//! No index leads to them, which every create would have to keep: all keys are walked past, in the order of the primary key.

use std::{collections::BTreeMap, time::Duration};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::idempotency::OWN_PREFIX;

/// A key on the walk.
#[derive(Debug, Clone)]
pub struct Walked {
    tenant_id: Uuid,
    key: String,
    is_left_over: bool,
}

/// Lists the keys behind one of them. What has counted for nothing for that long is left over.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(
    conn: &mut PgConnection,
    after: Option<&Walked>,
    for_nothing_for: Duration,
    limit: i64,
) -> sqlx::Result<Vec<Walked>> {
    sqlx::query_as!(
        Walked,
        r#"
        SELECT tenant_id, key,
               (fingerprint IS NULL OR starts_with(key, $3))
               AND reserved_until < (SELECT gateway_now() - make_interval(secs => $4)) AS "is_left_over!"
        FROM idempotency_keys WHERE (tenant_id, key) > ($1, $2)
        ORDER BY tenant_id, key LIMIT $5
        "#,
        after.map_or(Uuid::nil(), |walked| walked.tenant_id),
        after.map_or("", |walked| &walked.key),
        OWN_PREFIX,
        for_nothing_for.as_secs_f64(),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Deletes those of these keys that are left over, and still are. Answers how many. What somebody is about to take over is passed
/// over.
///
/// # Errors
/// Where the database does not answer.
pub async fn delete(
    conn: &mut PgConnection,
    walked: &[Walked],
    for_nothing_for: Duration,
) -> sqlx::Result<u64> {
    let mut left_over: BTreeMap<Uuid, Vec<&str>> = BTreeMap::new();
    for walked in walked.iter().filter(|walked| walked.is_left_over) {
        let of_tenant = left_over.entry(walked.tenant_id).or_default();
        of_tenant.push(&walked.key);
    }
    let mut deleted = 0;
    for (tenant_id, keys) in left_over {
        let done = sqlx::query!(
            "
            DELETE FROM idempotency_keys
            WHERE tenant_id = $1 AND key = ANY (ARRAY(
                SELECT key FROM idempotency_keys
                WHERE tenant_id = $1 AND key = ANY ($2)
                  AND (fingerprint IS NULL OR starts_with(key, $3))
                  AND reserved_until < (SELECT gateway_now() - make_interval(secs => $4))
                FOR UPDATE SKIP LOCKED))
            ",
            tenant_id,
            &keys as &[&str],
            OWN_PREFIX,
            for_nothing_for.as_secs_f64(),
        )
        .execute(&mut *conn)
        .await?;
        deleted += done.rows_affected();
    }
    Ok(deleted)
}
