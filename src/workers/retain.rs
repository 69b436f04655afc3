//! The end of the retention: what ended long ago is erased, as if its caller had deleted it.
//!
//! One job a transaction, and locked ones are passed over, so any number of replicas may do this at once.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{ERROR_PAUSE, sweep_interval};
use crate::db::{job_endings, uploads};

/// How many jobs, or files, are erased between two looks at whether to stop.
const BATCH: usize = 100;

/// How often files without jobs are looked for: no index leads to them, and they are in no hurry.
const UPLOADS_INTERVAL: Duration = Duration::from_hours(1);

/// Erases what is older than the retention.
#[derive(Debug, Clone)]
pub struct Retention {
    /// The database.
    pub pool: PgPool,
    /// How long after its end a job is kept.
    pub keeps_for: Duration,
    /// Whether Gladia's copy is to be deleted as well.
    pub deletes_at_gladia: bool,
}

impl Retention {
    /// Looks until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut next_uploads = Instant::now();
        loop {
            let mut erased = self.erase_jobs().await;
            if erased.is_ok() && Instant::now() >= next_uploads {
                match self.erase_uploads().await {
                    // The rest follows at once.
                    Ok(BATCH) => erased = Ok(BATCH),
                    Ok(_) => next_uploads = Instant::now() + UPLOADS_INTERVAL,
                    Err(error) => erased = Err(error),
                }
            }
            let rest = match erased {
                Ok(BATCH) => Duration::ZERO,
                Ok(_) => sweep_interval(),
                Err(error) => {
                    tracing::warn!(%error, "Could not erase what is older than the retention; trying again");
                    ERROR_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Erases a batch of jobs. Answers how many.
    async fn erase_jobs(&self) -> sqlx::Result<usize> {
        let mut conn = self.pool.acquire().await?;
        for erased in 0..BATCH {
            let job = job_endings::erase_expired(&mut conn, self.keeps_for, self.deletes_at_gladia);
            let Some(job_id) = job.await? else {
                return Ok(erased);
            };
            metrics::counter!("gateway_transcriptions_retired_total").increment(1);
            tracing::info!(job.id = %job_id, "Erased job {job_id}: its retention has ended");
        }
        Ok(BATCH)
    }

    /// Erases a batch of files that no job uses. Answers how many.
    async fn erase_uploads(&self) -> sqlx::Result<usize> {
        let mut conn = self.pool.acquire().await?;
        for erased in 0..BATCH {
            if !uploads::delete_expired(&mut conn, self.keeps_for).await? {
                return Ok(erased);
            }
        }
        Ok(BATCH)
    }
}
