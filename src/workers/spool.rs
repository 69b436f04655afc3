//! Emptying the spool: callbacks that came while they could not be committed are carried out, oldest first.
//!
//! It also finds out that the database is back, in a loop of its own, since the disk may make it wait for ever. A file goes once
//! what it holds is committed; one whose attempt the database does not know yet stays and is tried again, at longer and longer
//! intervals, while the others go on.

use std::{
    borrow::Cow,
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::JoinError,
    time::{Instant, sleep, timeout},
};
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
        let (intake, is_back) = (self.intake.clone(), Notify::new());
        let watching = stop.run_until_cancelled(watch_database(&intake, &is_back));
        tokio::join!(self.sweep_on(&is_back, &stop), watching);
    }

    async fn sweep_on(&mut self, is_back: &Notify, stop: &CancellationToken) {
        loop {
            let rest = if self.sweep(stop).await {
                sweep_interval()
            } else {
                ERROR_PAUSE
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.spool.added(), if !self.intake.is_away() => {}
                () = is_back.notified() => {}
                () = sleep(rest) => {}
            }
        }
    }

    /// Carries out what is there and not resting. `false` where the database or the disk is away.
    async fn sweep(&mut self, stop: &CancellationToken) -> bool {
        let (spool, is_away) = (self.spool.clone(), self.intake.is_away());
        let listing = on_disk(stop, move || {
            spool.take_over();
            (!is_away).then(|| spool.list())
        });
        let files = match listing.await {
            Some(Ok(Some(Ok(files)))) => files,
            Some(Ok(Some(Err(error)))) => {
                tracing::error!(%error, "CALLBACK_SPOOL_DIR: cannot be read; trying again");
                return false;
            }
            Some(Ok(None) | Err(_)) | None => return false,
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
            let tried = self.try_file(&path, stop).await;
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

    async fn try_file(&self, path: &Path, stop: &CancellationToken) -> Tried {
        let file = path.to_owned();
        let (header, content) = match on_disk(stop, move || read(&file)).await {
            Some(Ok(Ok(read))) => read,
            Some(Ok(Err(FileError::Broken(reason)))) => return set_aside(path, reason, stop).await,
            Some(Ok(Err(FileError::Disk(error)))) => {
                let name = name(path);
                tracing::error!(%error, "CALLBACK_SPOOL_DIR: cannot read {name}; trying again");
                return Tried::Again;
            }
            Some(Err(error)) if error.is_panic() => {
                return set_aside(path, "reading it failed", stop).await;
            }
            // It was not read: the process ends.
            Some(Err(_)) | None => return Tried::Again,
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
                let file = path.to_owned();
                let removed = on_disk(stop, move || spool::remove(&file)).await;
                tried(removed, || {
                    let name = name(path);
                    format!("cannot remove {name}, whose callback is committed")
                })
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
            let body = body.with_received_at(header.received_at);
            Ok((header, Content::Whole(Arc::new(body))))
        }
    }
}

/// The file, as whoever looks for it on the disk knows it.
fn name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

async fn set_aside(path: &Path, reason: &str, stop: &CancellationToken) -> Tried {
    metrics::counter!("gateway_callbacks_spool_broken_total").increment(1);
    let name = name(path);
    tracing::error!(
        reason,
        "CALLBACK_SPOOL_DIR: {name} cannot be read and is set aside as {name}.broken; it is not tried again"
    );
    let file = path.to_owned();
    let renamed = on_disk(stop, move || spool::set_aside(&file)).await;
    tried(renamed, || format!("cannot set {name} aside"))
}

/// What became of a file that was to go.
fn tried(
    gone: Option<Result<io::Result<()>, JoinError>>,
    otherwise: impl FnOnce() -> String,
) -> Tried {
    match gone {
        Some(Ok(Ok(()))) => Tried::Done,
        Some(Ok(Err(error))) => {
            let otherwise = otherwise();
            tracing::error!(%error, "CALLBACK_SPOOL_DIR: {otherwise}; trying again");
            Tried::Again
        }
        Some(Err(_)) | None => Tried::Again,
    }
}

/// Does something on a thread of its own, which it may keep for as long as the disk does not answer: there is one at a time.
/// `None`: nobody waits for it any more, as this is to end.
async fn on_disk<T: Send + 'static>(
    stop: &CancellationToken,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<Result<T, JoinError>> {
    stop.run_until_cancelled(tokio::task::spawn_blocking(work))
        .await
}

/// Says so once the database is back.
async fn watch_database(intake: &Intake, is_back: &Notify) {
    loop {
        if intake.is_away() {
            let answered = timeout(PING_TIMEOUT, db::ping(intake.pool())).await;
            if matches!(answered, Ok(Ok(true))) {
                intake.set_away(false);
                is_back.notify_one();
            }
        }
        sleep(ERROR_PAUSE).await;
    }
}
