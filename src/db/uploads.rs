//! Files that were forwarded to Gladia.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use crate::domain::ids::{TenantId, UploadId};

/// A file that Gladia has.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Our id of it.
    pub id: UploadId,
    /// Gladia's URL of it.
    pub audio_url: String,
    /// The name that it came with.
    pub filename: String,
    /// As Gladia read it.
    pub extension: Option<String>,
    /// Its size.
    pub size_bytes: i64,
    /// Its hash.
    pub sha256: Vec<u8>,
    /// As Gladia measured it.
    pub audio_duration_seconds: Option<f64>,
    /// As Gladia counted them.
    pub number_of_channels: Option<i32>,
    /// Uploaded by itself, for use in several jobs; else it came with a job and goes with it.
    pub is_standalone: bool,
}

/// Notes who a file belongs to. Answers its id and when it was first noted.
///
/// # Errors
/// Where the database does not answer.
pub async fn insert(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    upload: &Upload,
) -> sqlx::Result<(UploadId, DateTime<Utc>)> {
    sqlx::query!(
        "
        INSERT INTO uploads (id, tenant_id, audio_url, filename, extension, size_bytes, sha256,
                             audio_duration_seconds, number_of_channels, is_standalone)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT ON CONSTRAINT uploads_audio_url
        DO UPDATE SET is_standalone = uploads.is_standalone OR excluded.is_standalone
        RETURNING id, created_at
        ",
        upload.id.0,
        tenant_id.0,
        upload.audio_url,
        upload.filename,
        upload.extension,
        upload.size_bytes,
        upload.sha256,
        upload.audio_duration_seconds,
        upload.number_of_channels,
        upload.is_standalone,
    )
    .fetch_one(conn)
    .await
    .map(|row| (row.id.into(), row.created_at))
}

/// A file of the tenant that asks.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnUpload {
    /// Our id of it.
    pub id: UploadId,
    /// As Gladia measured it.
    pub audio_duration_seconds: Option<f64>,
    /// As Gladia counted them.
    pub number_of_channels: Option<i32>,
    /// As Gladia read it.
    pub extension: Option<String>,
}

/// Who a file URL belongs to.
#[derive(Debug, Clone, PartialEq)]
pub enum Ownership {
    /// The tenant that asks.
    Own(OwnUpload),
    /// Another tenant.
    Another,
    /// It did not come through here.
    NotOurs,
}

/// Finds who a file URL belongs to.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_owner(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    audio_url: &str,
) -> sqlx::Result<Ownership> {
    let row = sqlx::query!(
        "
        SELECT id, tenant_id, audio_duration_seconds, number_of_channels, extension FROM uploads WHERE audio_url = $1
        ORDER BY tenant_id = $2 DESC LIMIT 1
        ",
        audio_url,
        tenant_id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        Some(row) if row.tenant_id == tenant_id.0 => Ownership::Own(OwnUpload {
            id: row.id.into(),
            audio_duration_seconds: row.audio_duration_seconds,
            number_of_channels: row.number_of_channels,
            extension: row.extension,
        }),
        Some(_) => Ownership::Another,
        None => Ownership::NotOurs,
    })
}

/// Finds who file URLs belong to; those that are left out did not come through here. The tenant's own files stay until the
/// transaction ends, so that its jobs can refer to them.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_owners(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    audio_urls: &[&str],
) -> sqlx::Result<HashMap<String, Ownership>> {
    let rows = sqlx::query!(
        r#"
        WITH own AS (
            SELECT id, audio_url, audio_duration_seconds, number_of_channels, extension FROM uploads
            WHERE audio_url = ANY ($2) AND tenant_id = $1
            ORDER BY id
            -- Waits for whoever erases one, which is then not found.
            FOR KEY SHARE
        )
        SELECT audio_url AS "audio_url!", id AS own_id, audio_duration_seconds, number_of_channels, extension FROM own
        UNION ALL
        SELECT audio_url, NULL, NULL, NULL, NULL FROM uploads WHERE audio_url = ANY ($2) AND tenant_id <> $1
        "#,
        tenant_id.0,
        audio_urls as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let mut owners = HashMap::with_capacity(rows.len());
    for row in rows {
        let Some(id) = row.own_id else {
            owners.entry(row.audio_url).or_insert(Ownership::Another);
            continue;
        };
        let own = OwnUpload {
            id: id.into(),
            audio_duration_seconds: row.audio_duration_seconds,
            number_of_channels: row.number_of_channels,
            extension: row.extension,
        };
        owners.insert(row.audio_url, Ownership::Own(own));
    }
    Ok(owners)
}

/// Forgets one file that is older than the retention and that no job uses, one of its own as well as one whose job never
/// came to be. `false` where there is none.
///
/// # Errors
/// Where the database does not answer.
pub async fn delete_expired(conn: &mut PgConnection, retention: Duration) -> sqlx::Result<bool> {
    let mut tx = conn.begin().await?;
    // Locked first, so that nobody begins to use it; the statement after this one sees whoever has.
    let row = sqlx::query!(
        "
        SELECT id FROM uploads u
        -- As a value, so that the index ends the walk.
        WHERE created_at <= (SELECT gateway_now() - make_interval(secs => $1))
          AND NOT EXISTS (SELECT FROM jobs WHERE upload_id = u.id)
        ORDER BY created_at LIMIT 1
        FOR UPDATE SKIP LOCKED
        ",
        retention.as_secs_f64(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(false) };
    sqlx::query!(
        "DELETE FROM uploads u WHERE id = $1 AND NOT EXISTS (SELECT FROM jobs WHERE upload_id = u.id)",
        row.id,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(true)
}
