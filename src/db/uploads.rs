//! Files that were forwarded to Gladia.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::clock::Kept;
use crate::domain::{
    audio_url::AudioUrl,
    ids::{TenantId, UploadId},
};

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
    /// Its hash. `None` where it did not come through here.
    pub sha256: Option<Vec<u8>>,
    /// As Gladia measured it.
    pub audio_duration_seconds: Option<f64>,
    /// As Gladia counted them.
    pub number_of_channels: Option<i32>,
    /// Uploaded by itself, for use in several jobs; else it came with a job and goes with it.
    pub is_standalone: bool,
}

/// Notes who a file belongs to. Returns its id and when it was first noted.
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
        upload.sha256.as_deref(),
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
    /// Gladia's URL of it.
    pub audio_url: String,
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

/// Finds who a file URL belongs to: Gladia's, or one of ours.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_owner(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    audio_url: &AudioUrl,
) -> sqlx::Result<Ownership> {
    let row = sqlx::query!(
        "
        SELECT id, tenant_id, audio_url, audio_duration_seconds, number_of_channels, extension FROM uploads
        WHERE id = ANY (ARRAY(SELECT id FROM uploads WHERE audio_url = $1) || $3::uuid)
        ORDER BY tenant_id = $2 DESC LIMIT 1
        ",
        audio_url.as_str(),
        tenant_id.0,
        audio_url.upload_id().map(|id| id.0),
    )
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        Some(row) if row.tenant_id == tenant_id.0 => Ownership::Own(OwnUpload {
            id: row.id.into(),
            audio_url: row.audio_url,
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
    audio_urls: &[&AudioUrl],
) -> sqlx::Result<HashMap<String, Ownership>> {
    let texts: Vec<&str> = audio_urls.iter().map(|url| url.as_str()).collect();
    let ids: Vec<Uuid> = audio_urls
        .iter()
        .filter_map(|url| Some(url.upload_id()?.0))
        .collect();
    let rows = sqlx::query!(
        r#"
        WITH meant AS (
            SELECT ARRAY(SELECT id FROM uploads WHERE audio_url = ANY ($2)) || $3 AS ids
        ), own AS (
            SELECT id, audio_url, audio_duration_seconds, number_of_channels, extension FROM uploads
            WHERE tenant_id = $1 AND id = ANY ((SELECT ids FROM meant)::uuid[])
            ORDER BY id
            -- Waits for whoever erases one, which is then not found.
            FOR KEY SHARE
        )
        SELECT true AS "is_own!", id AS "id!", audio_url AS "audio_url!", audio_duration_seconds, number_of_channels, extension
        FROM own
        UNION ALL
        SELECT false, id, audio_url, NULL, NULL, NULL FROM uploads
        WHERE tenant_id <> $1 AND id = ANY ((SELECT ids FROM meant)::uuid[])
        "#,
        tenant_id.0,
        &texts as &[&str],
        &ids,
    )
    .fetch_all(conn)
    .await?;
    // Each under both of its names.
    let mut found: HashMap<String, Ownership> = HashMap::with_capacity(2 * rows.len());
    for row in rows {
        let names = [row.audio_url.clone(), row.id.to_string()];
        let ownership = if row.is_own {
            Ownership::Own(OwnUpload {
                id: row.id.into(),
                audio_url: row.audio_url,
                audio_duration_seconds: row.audio_duration_seconds,
                number_of_channels: row.number_of_channels,
                extension: row.extension,
            })
        } else {
            Ownership::Another
        };
        for name in names {
            if row.is_own {
                found.insert(name, ownership.clone());
            } else {
                found.entry(name).or_insert(Ownership::Another);
            }
        }
    }
    let owners = audio_urls.iter().filter_map(|url| {
        let text = url.as_str();
        let by_id = || found.get(&url.upload_id()?.to_string());
        let ownership = found.get(text).or_else(by_id)?;
        Some((text.to_owned(), ownership.clone()))
    });
    Ok(owners.collect())
}

/// A file that is older than the retention.
#[derive(Debug, Clone, Copy)]
pub struct AgedUpload {
    /// Our id of it.
    pub id: UploadId,
    /// Since when it has been known.
    pub created_at: DateTime<Utc>,
    /// Whether a job uses it.
    pub is_used: bool,
}

/// Lists files that are older than the retention, those that jobs use as well, oldest first, behind one of them: whoever walks
/// on from there comes upon none twice.
///
/// # Errors
/// Where the database does not answer.
pub async fn list_aged(
    conn: &mut PgConnection,
    kept: Kept,
    after: Option<AgedUpload>,
    limit: i64,
) -> sqlx::Result<Vec<AgedUpload>> {
    sqlx::query_as!(
        AgedUpload,
        r#"
        SELECT id, created_at,
               -- Looked up for each: joined, all jobs with uploads would be walked through where few had any.
               (SELECT id FROM jobs WHERE upload_id = aged.id LIMIT 1) IS NOT NULL AS "is_used!"
        FROM (
            SELECT id, created_at FROM uploads
            WHERE created_at <= $1
              AND (created_at, id) > (coalesce($2, '-infinity'::timestamptz), $3)
              -- A clock that was behind may have stamped what was made lately.
              AND NOT id BETWEEN $5 AND $6
            ORDER BY created_at, id LIMIT $4
        ) aged
        ORDER BY created_at, id
        "#,
        kept.since,
        after.map(|upload| upload.created_at),
        after.map_or(Uuid::nil(), |upload| upload.id.0),
        limit,
        kept.ids.first,
        kept.ids.last,
    )
    .fetch_all(conn)
    .await
}

/// Forgets those of these files that no job uses: those of their own as well as those whose job never came to be. What
/// somebody is about to use is passed over.
///
/// # Errors
/// Where the database does not answer.
pub async fn delete_unused(conn: &mut PgConnection, ids: &[UploadId]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let mut tx = conn.begin().await?;
    // Locked first, so that nobody begins to use them; the statement after this one sees whoever has.
    let locked = sqlx::query_scalar!(
        "SELECT id FROM uploads WHERE id = ANY ($1) ORDER BY id FOR UPDATE SKIP LOCKED",
        &ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!(
        "
        DELETE FROM uploads u
        WHERE id = ANY ($1) AND (SELECT id FROM jobs WHERE upload_id = u.id LIMIT 1) IS NULL
        ",
        &locked,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
