//! The end of the retention: what ended long ago is erased, as if its caller had deleted it.
//!
//! One job a transaction, and locked ones are passed over, so any number of replicas may do this at once. Two clocks have to agree
//! that its time has come ([`clock::kept`]).

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    db::{
        self,
        clock::{self, Kept},
        jobs::endings::{self, Ended},
        pool::{Pool, in_time},
        uploads::{self, AgedUpload},
    },
    domain::ids::JobId,
};

/// How many jobs are taken in one go.
const BATCH: i64 = 100;

/// How many files are looked at in one go.
const FILES_BATCH: i64 = 500;

/// How often files without jobs are looked for: no index leads to them, so all that are old are walked past, and they are in no
/// hurry.
const FILES_INTERVAL: Duration = Duration::from_hours(1);

/// Erases what is older than the retention.
#[derive(Debug, Clone)]
pub struct Retention {
    /// The database.
    pub pool: Pool,
    /// How long after its end a job is kept.
    pub keeps_for: Duration,
    /// Whether Gladia's copy is to be deleted as well.
    pub deletes_at_gladia: bool,
    /// The process's own clock.
    pub process_now: fn() -> DateTime<Utc>,
}

/// A walk through what has ended longer ago than the retention, the oldest first.
#[derive(Debug, Default)]
struct Walk {
    /// Where it has come to. `None`: it is to begin.
    after: Option<Ended>,
    /// How many jobs could not be erased, and the last of them.
    failed: u64,
    last_failure: Option<(JobId, sqlx::Error)>,
}

/// A walk through the files that are older than the retention, most of which jobs may use.
#[derive(Debug)]
struct FileWalk {
    /// Where it has come to. `None`: it is to begin.
    after: Option<AgedUpload>,
    /// When.
    begins_at: Instant,
}

impl Walk {
    /// Says what could not be erased: in one line, since it comes again with each walk.
    fn report(self) {
        let (failed, Some((job_id, error))) = (self.failed, self.last_failure) else {
            return;
        };
        tracing::error!(
            %error, job.id = %job_id,
            "Could not erase {failed} of the jobs whose retention has ended, the last of them {job_id}; trying again"
        );
    }
}

impl Retention {
    /// Looks until told to stop. A transaction that is cut off is rolled back, and another look finds the same.
    pub async fn run(self, stop: CancellationToken) {
        let mut walk = Walk::default();
        let mut files = FileWalk {
            after: None,
            begins_at: Instant::now(),
        };
        loop {
            let swept = tokio::select! {
                () = stop.cancelled() => return,
                swept = self.sweep(&mut walk, &mut files) => swept,
            };
            let rest = match swept {
                Ok(true) => Duration::ZERO,
                Ok(false) => sweep_interval(),
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

    /// Erases what is due, a batch of each kind. Whether there may be more.
    async fn sweep(&self, walk: &mut Walk, files: &mut FileWalk) -> sqlx::Result<bool> {
        self.erase_jobs(walk).await?;
        if Instant::now() >= files.begins_at {
            self.erase_files(files).await?;
        }
        Ok(walk.after.is_some() || files.after.is_some())
    }

    async fn kept(&self, conn: &mut PgConnection) -> sqlx::Result<Kept> {
        in_time(clock::kept(conn, self.keeps_for, self.process_now)).await
    }

    /// Erases a batch of jobs, behind the one that the walk has come to. Jobs that cannot be erased, however many, are passed
    /// over until it begins anew.
    async fn erase_jobs(&self, walk: &mut Walk) -> sqlx::Result<()> {
        let mut conn = self.pool.acquire().await?;
        let kept = self.kept(&mut conn).await?;
        let expired = endings::list_expired(&mut conn, kept, walk.after, BATCH);
        let expired = in_time(expired).await?;
        let is_full = i64::try_from(expired.len()).is_ok_and(|found| found == BATCH);
        let last = expired.last().copied().filter(|_| is_full);
        let mut erased = 0_u64;
        for Ended { id: job_id, .. } in expired {
            let deletes = self.deletes_at_gladia;
            let erasing = endings::erase_expired(&mut conn, job_id, kept, deletes);
            match in_time(erasing).await {
                Ok(true) => {
                    erased += 1;
                    tracing::info!(job.id = %job_id, "Erased job {job_id}: its retention has ended");
                }
                Ok(false) => {}
                Err(error) if db::is_unavailable(&error) => return Err(error),
                // One job that cannot be erased does not hold up the others.
                Err(error) => {
                    walk.failed += 1;
                    walk.last_failure = Some((job_id, error));
                }
            }
        }
        metrics::counter!("gateway_transcriptions_retired_total").increment(erased);
        walk.after = last;
        if last.is_none() {
            std::mem::take(walk).report();
        }
        Ok(())
    }

    /// Erases those of a batch of files that no job uses, behind the one that the walk has come to.
    async fn erase_files(&self, files: &mut FileWalk) -> sqlx::Result<()> {
        let mut conn = self.pool.acquire().await?;
        let kept = self.kept(&mut conn).await?;
        let aged = uploads::list_aged(&mut conn, kept, files.after, FILES_BATCH);
        let aged = in_time(aged).await?;
        let unused: Vec<_> = aged
            .iter()
            .filter(|file| !file.is_used)
            .map(|file| file.id)
            .collect();
        if !unused.is_empty() {
            in_time(uploads::delete_unused(&mut conn, &unused)).await?;
        }
        let is_full = i64::try_from(aged.len()).is_ok_and(|found| found == FILES_BATCH);
        files.after = aged.last().copied().filter(|_| is_full);
        if files.after.is_none() {
            files.begins_at = Instant::now() + FILES_INTERVAL;
        }
        Ok(())
    }
}
