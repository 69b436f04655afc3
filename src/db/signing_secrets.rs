//! What deliveries are signed with: an endpoint's secrets, or a tenant's for the callbacks of its jobs. Encrypted.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

pub use crate::domain::signing_secret::StoredSecret;
use crate::domain::{
    ids::{EndpointId, SecretId, TenantId},
    signing_secret::MOST_USABLE,
};

/// The columns.
struct SecretRow {
    id: Uuid,
    tenant_id: Uuid,
    endpoint_id: Option<Uuid>,
    key_id: String,
    sealed: Vec<u8>,
}

impl From<SecretRow> for StoredSecret {
    fn from(row: SecretRow) -> Self {
        Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            endpoint_id: row.endpoint_id.map(Into::into),
            key_id: row.key_id,
            sealed: row.sealed,
        }
    }
}

/// Lists the secrets that sign now: the current one, and then those that were rotated lately, the latest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_usable(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    endpoint_id: Option<EndpointId>,
) -> sqlx::Result<Vec<StoredSecret>> {
    // Two statements, so that each has its index.
    let rows = match endpoint_id {
        Some(endpoint_id) => {
            sqlx::query_as!(
                SecretRow,
                "
                SELECT id, tenant_id, endpoint_id, key_id, sealed FROM signing_secrets
                WHERE endpoint_id = $1 AND tenant_id = $2
                  AND (expires_at IS NULL OR expires_at > gateway_now())
                ORDER BY expires_at DESC NULLS FIRST, id DESC
                ",
                endpoint_id.0,
                tenant_id.0,
            )
            .fetch_all(conn)
            .await?
        }
        None => {
            sqlx::query_as!(
                SecretRow,
                "
                SELECT id, tenant_id, endpoint_id, key_id, sealed FROM signing_secrets
                WHERE tenant_id = $1 AND endpoint_id IS NULL
                  AND (expires_at IS NULL OR expires_at > gateway_now())
                ORDER BY expires_at DESC NULLS FIRST, id DESC
                ",
                tenant_id.0,
            )
            .fetch_all(conn)
            .await?
        }
    };
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Stores the first secret of an endpoint or a tenant. `false` where there is a current one already.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert_first(conn: &mut PgConnection, secret: &StoredSecret) -> sqlx::Result<bool> {
    sqlx::query!(
        "
        INSERT INTO signing_secrets (id, tenant_id, endpoint_id, key_id, sealed) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        ",
        secret.id.0,
        secret.tenant_id.0,
        secret.endpoint_id.map(|id| id.0),
        secret.key_id,
        secret.sealed,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Puts a secret in the place of the current one, if any. What has signed until now signs along for the overlap at most, and
/// no more than [`MOST_USABLE`] sign: those that end first make room. `false` where the tenant has no such endpoint.
///
/// # Errors
/// Where the database does not answer.
pub async fn rotate(
    conn: &mut PgConnection,
    new: &StoredSecret,
    overlap: Duration,
) -> sqlx::Result<bool> {
    let mut tx = conn.begin().await?;
    if !lock_owner(&mut tx, new).await? {
        return Ok(false);
    }
    let (tenant_id, endpoint_id) = (new.tenant_id.0, new.endpoint_id.map(|id| id.0));
    loop {
        sqlx::query!(
            "
            UPDATE signing_secrets
            -- least passes over NULL, which the current one has.
            SET expires_at = least(expires_at, gateway_now() + make_interval(secs => $3))
            WHERE tenant_id = $1 AND endpoint_id IS NOT DISTINCT FROM $2
            ",
            tenant_id,
            endpoint_id,
            overlap.as_secs_f64(),
        )
        .execute(&mut *tx)
        .await?;
        // A first one that somebody stored in between is rotated like any other.
        if insert_first(&mut tx, new).await? {
            break;
        }
    }
    sqlx::query!(
        "
        DELETE FROM signing_secrets
        WHERE id IN (
            SELECT id FROM signing_secrets
            WHERE tenant_id = $1 AND endpoint_id IS NOT DISTINCT FROM $2
            ORDER BY expires_at DESC NULLS FIRST, id DESC OFFSET $3
        )
        ",
        tenant_id,
        endpoint_id,
        MOST_USABLE,
    )
    .execute(&mut *tx)
    .await?;
    delete_expired(&mut tx).await?;
    tx.commit().await?;
    Ok(true)
}

/// One rotation at a time. `false` where there is no such owner.
async fn lock_owner(conn: &mut PgConnection, secret: &StoredSecret) -> sqlx::Result<bool> {
    let found = match secret.endpoint_id {
        Some(endpoint_id) => sqlx::query_scalar!(
            "SELECT id FROM webhook_endpoints WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE",
            endpoint_id.0,
            secret.tenant_id.0,
        )
        .fetch_optional(conn)
        .await?,
        None => {
            sqlx::query_scalar!(
                "SELECT id FROM tenants WHERE id = $1 FOR NO KEY UPDATE",
                secret.tenant_id.0,
            )
            .fetch_optional(conn)
            .await?
        }
    };
    Ok(found.is_some())
}

/// Deletes the secrets that sign nothing any more.
///
/// # Errors
/// Where the database does not answer.
pub async fn delete_expired(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "
        DELETE FROM signing_secrets
        WHERE id IN (
            -- Passed over where somebody else is at it.
            SELECT id FROM signing_secrets WHERE expires_at <= (SELECT gateway_now()) FOR UPDATE SKIP LOCKED
        )
        "
    )
    .execute(conn)
    .await
    .map(|_| ())
}

/// A secret that is sealed with this key, if any is.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_sealed_with(
    conn: &mut PgConnection,
    key_id: &str,
) -> sqlx::Result<Option<StoredSecret>> {
    let row = sqlx::query_as!(
        SecretRow,
        "
        SELECT id, tenant_id, endpoint_id, key_id, sealed FROM signing_secrets
        WHERE key_id = $1 ORDER BY id DESC LIMIT 1
        ",
        key_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Into::into))
}

/// Lists secrets that are sealed with another key than this one, by their ids.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_sealed_otherwise(
    conn: &mut PgConnection,
    key_id: &str,
    after: Option<SecretId>,
    limit: i64,
) -> sqlx::Result<Vec<StoredSecret>> {
    let rows = sqlx::query_as!(
        SecretRow,
        "
        SELECT id, tenant_id, endpoint_id, key_id, sealed FROM signing_secrets
        WHERE key_id <> $1 AND ($2::uuid IS NULL OR id > $2)
        ORDER BY id LIMIT $3
        ",
        key_id,
        after.map(|id| id.0),
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Stores a secret that was sealed anew. `false` where it is gone, or is not sealed with that key any more.
///
/// # Errors
/// Where the database does not answer.
pub async fn reseal(
    conn: &mut PgConnection,
    secret: &StoredSecret,
    old_key_id: &str,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "UPDATE signing_secrets SET key_id = $2, sealed = $3 WHERE id = $1 AND key_id = $4",
        secret.id.0,
        secret.key_id,
        secret.sealed,
        old_key_id,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}
