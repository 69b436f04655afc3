//! A database with a line of jobs, and a gateway that is let at it for a block at a time.

use std::time::Duration;

use gladia_gateway::{db::prepare_session, dev_tools::postgres::EmbeddedPostgres};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgPool, Row as _};
use tokio::time::{Instant, sleep};

use super::{
    counter::Creates,
    fill::{Burden, fill, insert},
};
use crate::kit::{cpu, processes::Program, table::milliseconds};

/// Nothing here takes longer unless it is broken.
const BOUND: Duration = Duration::from_mins(2);

/// What a block showed.
pub struct Block {
    pub claims_per_second: f64,
    pub creates_per_second: f64,
    pub gateway_cpu_ms: f64,
    pub postgres_cpu_ms: f64,
}

/// A line and its gateway.
pub struct Line {
    pool: PgPool,
    gateway: Program,
    creates: Creates,
    tenants: i32,
    block: i32,
}

impl Line {
    /// Makes one of `jobs` jobs of `tenants` tenants. A block is of `block` jobs.
    pub async fn start(
        postgres: &EmbeddedPostgres,
        name: &str,
        (jobs, tenants, block): (i32, i32, i32),
        burden: Burden,
    ) -> anyhow::Result<Self> {
        postgres.create_database(name, None).await?;
        let url = postgres.url(name);
        let creates = Creates::default();
        let settings = [("MAX_IN_FLIGHT", block.to_string())];
        let settings = settings
            .each_ref()
            .map(|(key, value)| (*key, value.as_str()));
        let gladia_url = creates.serve().await?;
        // It makes the tables, and is gone while they are filled: what it asks meanwhile, without the indexes, it would ask for
        // minutes on end.
        let gateway = Program::gateway(&url, &gladia_url, &settings).await?;
        let pool = PgPool::connect(&url).await?;
        pause(&pool).await?;
        drop(gateway);
        // What is vacuumed is then decided here, and not by when autovacuum happens to come.
        for table in ["jobs", "attempts", "slots", "events", "lines"] {
            let off = format!("ALTER TABLE {table} SET (autovacuum_enabled = off)");
            sqlx::query(AssertSqlSafe(off)).execute(&pool).await?;
        }
        fill(&pool, (jobs, tenants), burden).await?;
        // What it claims is decided by the cap and the pause alone.
        let gateway = Program::gateway(&url, &gladia_url, &settings).await?;
        let line = Self {
            pool,
            gateway,
            creates,
            tenants,
            block,
        };
        if burden == Burden::Snapshot {
            hold_snapshot(&line.pool).await?;
        }
        Ok(line)
    }

    /// Lets the gateway send a block of jobs, and puts as many in line again.
    pub async fn block(&self) -> anyhow::Result<Block> {
        let block = f64::from(self.block);
        self.creates.forget();
        let before = self.spent().await?;
        sqlx::query("UPDATE dispatch SET paused_until = NULL, pause_reason = NULL")
            .execute(&self.pool)
            .await?;
        sqlx::query("SELECT pg_notify('gladia_gateway_jobs', 'bench')")
            .execute(&self.pool)
            .await?;
        let sending = self
            .creates
            .wait(usize::try_from(self.block)?, BOUND)
            .await?;
        self.wait_until_recorded().await?;
        let after = self.spent().await?;
        pause(&self.pool).await?;
        let claiming: f64 = sqlx::query_scalar(
            "SELECT extract(epoch FROM max(created_at) - min(created_at))::float8
             FROM attempts WHERE finished_at IS NULL",
        )
        .fetch_one(&self.pool)
        .await?;
        self.refill().await?;
        Ok(Block {
            claims_per_second: (block - 1.0) / claiming,
            creates_per_second: (block - 1.0) / sending.as_secs_f64(),
            gateway_cpu_ms: milliseconds(after.0.saturating_sub(before.0)) / block,
            postgres_cpu_ms: milliseconds(after.1.saturating_sub(before.1)) / block,
        })
    }

    /// Has what is dead cleaned up.
    pub async fn vacuum(&self) -> anyhow::Result<()> {
        sqlx::query("VACUUM jobs").execute(&self.pool).await?;
        Ok(())
    }

    /// The buffers that one claim touches to find and take what is next in line, by the gateway's own statement.
    pub async fn buffers_of_claim(&self) -> anyhow::Result<f64> {
        // Planned as in the gateway's connections; this one is not used again.
        let mut conn = self.pool.acquire().await?.detach();
        prepare_session(&mut conn).await?;
        let mut tx = conn.begin().await?;
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}", claim()?);
        let plan: Value = sqlx::query(AssertSqlSafe(explain))
            .bind(MAX_CLAIMED)
            .fetch_one(&mut *tx)
            .await?
            .get(0);
        tx.rollback().await?;
        let buffers = |name: &str| plan[0]["Plan"][name].as_f64().unwrap_or_default();
        Ok(buffers("Shared Hit Blocks") + buffers("Shared Read Blocks"))
    }

    async fn spent(&self) -> anyhow::Result<(Duration, Duration)> {
        Ok((
            cpu::of_process(self.gateway.pid())?,
            cpu::of_server(&self.pool).await?,
        ))
    }

    async fn wait_until_recorded(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let open: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM attempts WHERE finished_at IS NULL AND state = 'submitting'",
            )
            .fetch_one(&self.pool)
            .await?;
            let unnumbered: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM events
                 WHERE number IS NULL
                   AND type NOT IN ('transcription.submitting', 'transcription.requeued', 'transcription.unknown')",
            )
            .fetch_one(&self.pool)
            .await?;
            if open == 0 && unnumbered == 0 {
                return Ok(());
            }
            anyhow::ensure!(start.elapsed() < BOUND, "{open} jobs are not recorded");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What callbacks would do, all at once: jobs end and give their slots back. Then as many join the line.
    async fn refill(&self) -> anyhow::Result<()> {
        let mut tx = self.pool.begin().await?;
        for statement in [
            "UPDATE jobs SET status = 'done', status_reason = NULL, finished_at = gateway_now()
             WHERE id IN (SELECT job_id FROM attempts WHERE finished_at IS NULL)",
            "UPDATE slots SET attempt_id = NULL, tenant_id = NULL, taken_at = NULL, deadline_at = NULL
             WHERE attempt_id IS NOT NULL",
            "UPDATE attempts SET state = 'done', finished_at = gateway_now() WHERE finished_at IS NULL",
        ] {
            sqlx::query(statement).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        insert(&self.pool, (self.block, self.tenants), "now").await?;
        // Small tables, which autovacuum would keep clean.
        for table in ["slots", "lines", "dispatch"] {
            sqlx::query(AssertSqlSafe(format!("VACUUM {table}")))
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }
}

/// Nothing is claimed until the next block.
async fn pause(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::query("UPDATE dispatch SET paused_until = gateway_now() + interval '1 day', pause_reason = 'gladia_busy'")
        .execute(pool)
        .await?;
    Ok(())
}

/// Opens a transaction, and leaves it open until the server ends.
async fn hold_snapshot(pool: &PgPool) -> anyhow::Result<()> {
    let mut snapshot = pool.begin().await?;
    for statement in [
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SELECT count(*) FROM dispatch",
    ] {
        sqlx::query(statement).execute(&mut *snapshot).await?;
    }
    tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop(snapshot);
    });
    Ok(())
}

/// How many jobs the gateway claims at once.
const MAX_CLAIMED: i64 = 16;

/// The statement with which the gateway takes what is next in line, as it was checked.
fn claim() -> anyhow::Result<String> {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx"))? {
        let checked: Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        if let Some(statement) = checked["query"].as_str()
            && statement.contains("SET status = 'submitting', status_reason = 'submitting'")
        {
            return Ok(statement.to_owned());
        }
    }
    anyhow::bail!("no statement claims")
}
