//! Emptying the spool: callbacks that came while they could not be committed are carried out, oldest first.
//!
//! It is also who finds out that the database is back. A file goes once what it holds is committed; one whose attempt the
//! database does not know yet stays and is tried again, at longer and longer intervals, while the others go on.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{ERROR_PAUSE, sweep_interval};
use crate::{
    db::{self, callbacks::CallbackOutcome},
    gladia::callback::Shape,
    journal::{
        body::KeptBody,
        intake::{Content, Intake, Received},
        spool::{self, FileError, Spool, SpoolHeader, Spooled},
    },
};

/// How long a callback that could not be carried out rests, the first time and at most.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_mins(1);

/// A database that takes longer is taken for away.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The worker.
pub struct SpoolDrain {
    intake: Intake,
    spool: Spool,
    /// Callbacks that could not be carried out, until when they rest, and for how long.
    resting: HashMap<PathBuf, (Instant, Duration)>,
}

/// What became of a file.
#[derive(PartialEq, Eq)]
enum Tried {
    Done,
    Again,
    DatabaseAway,
}

impl SpoolDrain {
    /// Makes one.
    #[must_use]
    pub fn new(intake: Intake, spool: Spool) -> Self {
        Self {
            intake,
            spool,
            resting: HashMap::new(),
        }
    }

    /// Looks until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let rest = if self.sweep(&stop).await {
                sweep_interval()
            } else {
                ERROR_PAUSE
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.spool.added(), if !self.intake.is_away() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Carries out what is there and not resting. `false` where the database or the disk is away.
    async fn sweep(&mut self, stop: &CancellationToken) -> bool {
        self.spool.take_over();
        if self.intake.is_away() {
            let answered = timeout(PING_TIMEOUT, db::ping(self.intake.pool())).await;
            if !matches!(answered, Ok(Ok(true))) {
                return false;
            }
            self.intake.set_away(false);
        }
        let spool = self.spool.clone();
        let files = match tokio::task::spawn_blocking(move || spool.list()).await {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => {
                tracing::error!(%error, "CALLBACK_SPOOL_DIR: cannot be read; trying again");
                return false;
            }
            Err(_) => return false,
        };
        // Files are listed in order. There may be thousands that rest, as after the database was restored to what it was.
        self.resting
            .retain(|path, _| files.binary_search(path).is_ok());
        for path in files {
            if stop.is_cancelled() {
                return true;
            }
            let rest = self.resting.get(&path).copied();
            if rest.is_some_and(|(until, _)| until > Instant::now()) {
                continue;
            }
            let tried = self.try_file(&path).await;
            if tried == Tried::Done {
                self.resting.remove(&path);
                continue;
            }
            // Also where the database seems to be away: if it is this callback alone, the others do not wait for it.
            let rest = rest.map_or(FIRST_REST, |(_, rest)| (rest * 2).min(LONGEST_REST));
            self.resting.insert(path, (Instant::now() + rest, rest));
            if tried == Tried::DatabaseAway {
                return false;
            }
        }
        true
    }

    async fn try_file(&self, path: &Path) -> Tried {
        let file = path.to_owned();
        let (header, content) = match tokio::task::spawn_blocking(move || read(&file)).await {
            Ok(Ok(read)) => read,
            Ok(Err(FileError::Broken(reason))) => return set_aside(path, reason),
            Ok(Err(FileError::Disk(error))) => {
                tracing::error!(%error, "CALLBACK_SPOOL_DIR: cannot read a callback; trying again");
                return Tried::Again;
            }
            Err(_) => return set_aside(path, "reading it failed"),
        };
        let received = Received {
            attempt_id: header.attempt_id,
            method: &header.method,
            content: &content,
        };
        match self.intake.commit_later(&received).await {
            Ok(CallbackOutcome::UnknownAttempt) => {
                tracing::error!(
                    attempt.id = %header.attempt_id,
                    "A callback in the spool names an attempt that the database does not know; trying again"
                );
                Tried::Again
            }
            Ok(_) => {
                if let Err(error) = spool::remove(path) {
                    tracing::error!(%error, "CALLBACK_SPOOL_DIR: cannot remove a callback that is committed; trying again");
                    return Tried::Again;
                }
                Tried::Done
            }
            Err(error) => {
                tracing::warn!(%error, attempt.id = %header.attempt_id, "Could not commit a callback of the spool; trying again");
                if self.intake.is_away() {
                    Tried::DatabaseAway
                } else {
                    Tried::Again
                }
            }
        }
    }
}

/// Reads what a file holds.
fn read(path: &Path) -> Result<(SpoolHeader, Content), FileError> {
    match spool::open(path)? {
        Spooled::Beginning(header, seen) => Ok((header, Content::Beginning(seen))),
        Spooled::Body(header, body) => {
            let body = KeptBody::read(body, Shape::Callback).map_err(spool::body_error)?;
            let body = body.received_at(header.received_at);
            Ok((header, Content::Whole(Arc::new(body))))
        }
    }
}

fn set_aside(path: &Path, reason: &str) -> Tried {
    metrics::counter!("gateway_callbacks_spool_broken_total").increment(1);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    tracing::error!(
        reason,
        "CALLBACK_SPOOL_DIR: {name} cannot be read and is set aside as {name}.broken; it is not tried again"
    );
    match spool::set_aside(path) {
        Ok(()) => Tried::Done,
        Err(error) => {
            tracing::error!(%error, "CALLBACK_SPOOL_DIR: cannot set a file aside; trying again");
            Tried::Again
        }
    }
}
