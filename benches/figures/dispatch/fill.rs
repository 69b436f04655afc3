//! The rows of a line, as callers' requests would have left them.

use sqlx::{AssertSqlSafe, PgPool, Row as _};

/// As a caller's request is stored.
const OPTIONS: &str = r#"{"options": {"language_config": {"languages": ["en"], "code_switching": false}, "diarization": true, "subtitles": true, "subtitles_config": {"formats": ["srt"]}}, "extra_options": {}}"#;

/// What stands in the way of the head of the line.
#[derive(Clone, Copy, PartialEq)]
pub enum Burden {
    Nothing,
    /// So many rows that left the line and that no vacuum has cleaned up after.
    DeadRows(i32),
    /// A transaction that was open before the first claim, and whose snapshot nothing may be cleaned up behind.
    Snapshot,
}

/// Makes tenants, and a line of jobs.
pub async fn fill(
    pool: &PgPool,
    (jobs, tenants): (i32, i32),
    burden: Burden,
) -> anyhow::Result<()> {
    let teams = "WITH added AS (
            INSERT INTO tenants (id, name) SELECT gen_random_uuid(), 'team ' || n FROM generate_series(1, $1) n
            RETURNING id
        )
        INSERT INTO api_keys (id, tenant_id, name, scope, hash)
        SELECT gen_random_uuid(), id, 'key', 'write', sha256(id::text::bytea) FROM added";
    // Two statements: the second one's reference is checked when it ends, and both are there then.
    sqlx::query(teams).bind(tenants).execute(pool).await?;
    // So many rows go in faster without most indexes.
    let mut indexes: Vec<(String, String)> = Vec::new();
    if jobs > 200_000 {
        let all = sqlx::query(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
             FROM pg_index WHERE indrelid = 'jobs'::regclass AND NOT indisprimary",
        )
        .fetch_all(pool)
        .await?;
        indexes = all.iter().map(|row| (row.get(0), row.get(1))).collect();
    }
    for (name, _) in &indexes {
        sqlx::query(AssertSqlSafe(format!("DROP INDEX {name}")))
            .execute(pool)
            .await?;
    }
    if let Burden::DeadRows(rows) = burden {
        insert(pool, (rows, tenants), "now - interval '2 days'").await?;
        insert(pool, (jobs, tenants), "now - interval '1 day'").await?;
        sqlx::query("VACUUM (ANALYZE) jobs, tenants, slots")
            .execute(pool)
            .await?;
        sqlx::query(
            "UPDATE jobs SET status = 'canceled', finished_at = gateway_now()
             WHERE status = 'queued' AND queued_at < gateway_now() - interval '36 hours'",
        )
        .execute(pool)
        .await?;
    } else {
        insert(pool, (jobs, tenants), "now - interval '1 day'").await?;
    }
    for (_, definition) in indexes {
        sqlx::query(AssertSqlSafe(definition)).execute(pool).await?;
    }
    if !matches!(burden, Burden::DeadRows(_)) {
        sqlx::query("VACUUM (ANALYZE) jobs, tenants, slots")
            .execute(pool)
            .await?;
    }
    Ok(())
}

/// Puts jobs in line, from an instant on, in turn for each tenant.
pub async fn insert(
    pool: &PgPool,
    (jobs, tenants): (i32, i32),
    from: &'static str,
) -> anyhow::Result<()> {
    let insert = format!(
        "WITH teams AS (
             SELECT t.id, k.id AS key_id, row_number() OVER (ORDER BY t.id) - 1 AS nth
             FROM tenants t JOIN api_keys k ON k.tenant_id = t.id WHERE t.name LIKE 'team %'
         ), clock AS (SELECT gateway_now() AS now)
         INSERT INTO jobs (id, tenant_id, api_key_id, status, request, audio_url, created_at, queued_at)
         -- In the order of time, as the gateway's ids are.
         SELECT (lpad(to_hex((extract(epoch FROM {from} + n * interval '10 us') * 1000000)::bigint), 16, '0')
                 || right(md5(n::text), 16))::uuid, teams.id, teams.key_id, 'queued', '{OPTIONS}',
                'https://audio.example.com/' || n || '.mp3', {from} + n * interval '10 us', {from} + n * interval '10 us'
         FROM generate_series(1, $1) n JOIN teams ON teams.nth = n % $2, clock
         ORDER BY n"
    );
    let mut tx = pool.begin().await?;
    // References are true by the way the rows are made.
    sqlx::query("SET LOCAL session_replication_role = replica")
        .execute(&mut *tx)
        .await?;
    sqlx::query(AssertSqlSafe(insert))
        .bind(jobs)
        .bind(tenants)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}
