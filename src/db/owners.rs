//! Whose a thing is of which only an id is known, as from a line of the log.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::ids::TenantId;

/// A thing, and whose it is.
#[derive(Debug)]
pub struct Owned {
    /// What it is.
    pub kind: String,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its name.
    pub tenant: String,
    /// How it is.
    pub state: Option<String>,
    /// The job that it belongs to, or is.
    pub job_id: Option<Uuid>,
    /// The attempt that it belongs to, or is.
    pub attempt_id: Option<Uuid>,
    /// The endpoint that it goes to, or is.
    pub endpoint_id: Option<Uuid>,
    /// Where it goes: a URL that may hold a secret, or the origin of one.
    pub receiver: Option<String>,
}

/// Finds what has an id, which may be Gladia's of a job: those need not be UUIDs.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection, id: &str) -> sqlx::Result<Vec<Owned>> {
    sqlx::query_as!(
        Owned,
        r#"
        SELECT found.kind AS "kind!", t.id AS "tenant_id!", t.name AS "tenant!", found.state, found.job_id, found.attempt_id,
               found.endpoint_id, found.receiver
        FROM (
            SELECT 'transcription' AS kind, tenant_id, CASE WHEN deleted_at IS NULL THEN status ELSE 'deleted' END AS state,
                   id AS job_id, NULL::uuid AS attempt_id, NULL::uuid AS endpoint_id, NULL AS receiver
            FROM jobs WHERE id = $1
            UNION ALL
            SELECT CASE WHEN a.id = $1 THEN 'attempt' ELSE 'job at Gladia' END, j.tenant_id, a.state, a.job_id, a.id, NULL, NULL
            FROM (SELECT id, job_id, state FROM attempts WHERE id = $1
                  UNION ALL
                  SELECT id, job_id, state FROM attempts WHERE gladia_id = $2) a
            CROSS JOIN LATERAL (SELECT tenant_id FROM jobs WHERE id = a.job_id OFFSET 0) j
            UNION ALL
            SELECT 'callback', j.tenant_id, c.outcome, a.job_id, c.attempt_id, NULL, NULL
            FROM (SELECT attempt_id, outcome FROM callbacks WHERE id = $1 OFFSET 0) c
            CROSS JOIN LATERAL (SELECT job_id FROM attempts WHERE id = c.attempt_id OFFSET 0) a
            CROSS JOIN LATERAL (SELECT tenant_id FROM jobs WHERE id = a.job_id OFFSET 0) j
            UNION ALL
            SELECT 'batch', tenant_id, NULL, NULL, NULL, NULL, NULL FROM batches WHERE id = $1
            UNION ALL
            SELECT 'upload', tenant_id, NULL, NULL, NULL, NULL, NULL FROM uploads WHERE id = $1
            UNION ALL
            SELECT 'webhook endpoint', tenant_id, status, NULL, NULL, id, url FROM webhook_endpoints WHERE id = $1
            UNION ALL
            SELECT 'delivery', d.tenant_id, d.status, d.job_id, NULL, d.endpoint_id,
                   coalesce((SELECT url FROM webhook_endpoints WHERE id = d.endpoint_id),
                            (SELECT origin FROM delivery_lanes WHERE id = d.lane_id))
            FROM deliveries d WHERE id = $1
            UNION ALL
            SELECT 'API key', tenant_id, CASE WHEN revoked_at IS NOT NULL THEN 'revoked' END, NULL, NULL, NULL, NULL
            FROM api_keys WHERE id = $1
            UNION ALL
            SELECT 'tenant', id, NULL, NULL, NULL, NULL, NULL FROM tenants WHERE id = $1
        ) found
        CROSS JOIN LATERAL (SELECT id, name FROM tenants WHERE id = found.tenant_id OFFSET 0) t
        "#,
        id.parse::<Uuid>().ok(),
        id,
    )
    .fetch_all(conn)
    .await
}
