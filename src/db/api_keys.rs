//! Tenants and their API keys.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::corrupt;
use crate::domain::{
    access::{Caller, Scope, TenantName},
    ids::{ApiKeyId, TenantId},
};

/// Finds a tenant by name, or makes it.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_or_insert_tenant(
    conn: &mut PgConnection,
    id: TenantId,
    name: &TenantName,
) -> sqlx::Result<TenantId> {
    sqlx::query!(
        r#"
        INSERT INTO tenants (id, name) VALUES ($1, $2)
        -- A no-op update, because DO NOTHING returns no row where the tenant exists.
        ON CONFLICT ON CONSTRAINT tenants_name DO UPDATE SET name = excluded.name
        RETURNING id
        "#,
        id.0,
        name.as_str(),
    )
    .fetch_one(conn)
    .await
    .map(|row| row.id.into())
}

/// Finds a tenant by name.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_tenant(
    conn: &mut PgConnection,
    name: &TenantName,
) -> sqlx::Result<Option<TenantId>> {
    sqlx::query!("SELECT id FROM tenants WHERE name = $1", name.as_str())
        .fetch_optional(conn)
        .await
        .map(|row| row.map(|row| row.id.into()))
}

/// A key to be stored.
#[derive(Debug)]
pub struct NewApiKey<'a> {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// For people.
    pub name: &'a str,
    /// What it may do.
    pub scope: Scope,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
}

/// Stores a key. `false` where the same key is stored already, which then stays as it is (and revoked, if it was).
///
/// # Errors
/// Where the database does not answer.
pub async fn insert(conn: &mut PgConnection, key: NewApiKey<'_>) -> sqlx::Result<bool> {
    sqlx::query!(
        "
        INSERT INTO api_keys (id, tenant_id, name, scope, hash) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT ON CONSTRAINT api_keys_hash DO NOTHING
        ",
        key.id.0,
        key.tenant_id.0,
        key.name,
        key.scope.as_str(),
        &key.hash[..],
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Finds who a key belongs to, unless it is revoked.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_caller(conn: &mut PgConnection, hash: &[u8; 32]) -> sqlx::Result<Option<Caller>> {
    let row = sqlx::query!(
        "SELECT id, tenant_id, scope FROM api_keys WHERE hash = $1 AND revoked_at IS NULL",
        &hash[..],
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Caller {
            tenant_id: row.tenant_id.into(),
            api_key_id: row.id.into(),
            scope: row.scope.parse().map_err(corrupt)?,
        })
    })
    .transpose()
}

/// A key as operators see it.
#[derive(Debug)]
pub struct ListedApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The tenant's name.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Its scope.
    pub scope: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Lists all keys, oldest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<ListedApiKey>> {
    sqlx::query_as!(
        ListedApiKey,
        "
        SELECT k.id, t.name AS tenant, k.name, k.scope, k.created_at, k.revoked_at
        FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
        ORDER BY k.created_at, k.id
        "
    )
    .fetch_all(conn)
    .await
}

/// Revokes a key. `false` where there is none that is alive.
///
/// # Errors
/// Where the database does not answer.
pub async fn revoke(conn: &mut PgConnection, id: ApiKeyId) -> sqlx::Result<bool> {
    sqlx::query!(
        "UPDATE api_keys SET revoked_at = gateway_now() WHERE id = $1 AND revoked_at IS NULL",
        id.0,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
}
