//! Taking a callback that arrives, wherever it can be kept: in the database, else in the spool.
//!
//! A callback may never come again, so what cannot be committed now is put on disk, and the worker that empties the spool
//! carries it out later, by the same path. Once the database was away, callbacks go to the spool at once until that worker
//! has seen it again: none of them waits for a connection that will not come, and no turn is kept from the next one. Where
//! the spool does not take one, because its disk fails or does not answer, the database is asked all the same.

mod commit;
mod group_commit;
mod small;

use std::{
    io::{self, Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::task::TaskTracker;

use self::group_commit::CallbackCommitter;
use super::{
    announce::Announcer,
    body::{KeptBody, TooLarge, frames::CompressorPlaces},
    spool::{Spool, SpoolError, SpoolHeader},
};
use crate::{
    crash_points::CrashPoint,
    db::{callbacks::CallbackOutcome, group_commit::GroupCommit, pool::Pool, wakeups::Wakeups},
    domain::ids::{AttemptId, Ids},
    gladia::callback::Shape,
};

/// How long committing a callback that arrives may take, where there is a spool for one that takes longer: shorter than
/// another one waits for its turn.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(8);

/// How long it may take where there is no spool, or out of the spool, besides what its size takes: a connection whose other end is
/// gone without a word is given up then, and others get their turn.
const LONG_COMMIT_TIMEOUT: Duration = Duration::from_secs(15);

/// How fast what is stored goes to the database at the slowest.
const STORED_BYTES_PER_SECOND: u64 = 500_000;

/// Where callbacks are kept. Clones are the same.
#[derive(Clone)]
pub struct Intake {
    pool: Pool,
    ids: Ids,
    wakeups: Wakeups,
    spool: Option<Spool>,
    max_body_bytes: u64,
    /// With zero data retention nothing can be fetched, so nothing is too large.
    zero_data_retention: bool,
    wants_proof: bool,
    announcer: Announcer,
    group_commit: GroupCommit<CallbackCommitter>,
    compressing: CompressorPlaces,
    /// Whether the database was away when it was last asked, or was never brought up.
    is_away: Arc<AtomicBool>,
    /// Whether its tables are those of this version. What would be made of a callback with others nobody knows.
    is_up: Arc<AtomicBool>,
}

/// What an intake is made of.
pub struct Parts {
    /// The database.
    pub pool: Pool,
    /// Where new ids come from.
    pub ids: Ids,
    /// Whom to tell of slots that are free.
    pub wakeups: Wakeups,
    /// Where callbacks are kept while the database is away.
    pub spool: Option<Spool>,
    /// The largest body that is read.
    pub max_body_bytes: u64,
    /// Whether Gladia keeps nothing that could be fetched instead.
    pub zero_data_retention: bool,
    /// Whether a success is believed only once Gladia says the same when asked.
    pub wants_proof: bool,
    /// Who hands on what a commit has told the log.
    pub announcer: Announcer,
    /// Lets a shutdown wait for what is under way.
    pub tasks: TaskTracker,
}

/// A verified callback whose body is still to come.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The attempt that its URL names.
    pub attempt_id: AttemptId,
    /// POST or PUT.
    pub method: &'static str,
    /// The size of its body, where that is declared.
    pub declared_bytes: Option<u64>,
}

/// A callback that is to be committed.
pub struct Received<'a> {
    /// The attempt that its URL names.
    pub attempt_id: AttemptId,
    /// POST or PUT.
    pub method: &'a str,
    /// What came.
    pub content: &'a Content,
}

/// What came.
pub enum Content {
    /// The whole body.
    Whole(Arc<KeptBody>),
    /// The beginning of one that is too large.
    Beginning(TooLarge),
}

impl Content {
    fn of(read: Result<KeptBody, TooLarge>) -> Self {
        read.map_or_else(Self::Beginning, |body| Self::Whole(Arc::new(body)))
    }

    /// How much of the body was read.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        match self {
            Self::Whole(body) => body.body_bytes(),
            Self::Beginning(seen) => seen.seen_bytes,
        }
    }

    /// How long to commit it may take.
    fn commit_timeout(&self) -> Duration {
        let stored_bytes = match self {
            Self::Whole(body) => body.compressed().zstd.len() as u64,
            Self::Beginning(_) => 0,
        };
        LONG_COMMIT_TIMEOUT + Duration::from_secs(stored_bytes / STORED_BYTES_PER_SECOND)
    }
}

/// Where a callback was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// In the database, with what it changed.
    Committed(CallbackOutcome),
    /// In the spool.
    Spooled,
}

/// Why a callback was not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// Its body did not arrive as a whole.
    #[error("the body broke off: {0}")]
    BrokeOff(io::Error),
    /// The database did not take it, and there is no spool.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The database does not know the attempt, and there is no spool.
    #[error("the attempt is not here")]
    UnknownAttempt,
    /// Neither the database nor the spool took it.
    #[error("the spool cannot be written: {0}")]
    Spool(io::Error),
    /// Reading it failed in a way that nobody has thought of.
    #[error("reading the body failed")]
    Crashed,
}

impl Intake {
    /// Makes one.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let committer = CallbackCommitter {
            pool: parts.pool.clone(),
            announcer: parts.announcer.clone(),
        };
        Self {
            group_commit: GroupCommit::new(committer, parts.tasks),
            pool: parts.pool,
            ids: parts.ids,
            wakeups: parts.wakeups,
            spool: parts.spool,
            max_body_bytes: parts.max_body_bytes,
            zero_data_retention: parts.zero_data_retention,
            wants_proof: parts.wants_proof,
            announcer: parts.announcer,
            compressing: CompressorPlaces::of_machine(),
            is_away: Arc::new(AtomicBool::new(true)),
            is_up: Arc::default(),
        }
    }

    /// The spool, if there is one.
    #[must_use]
    pub fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// Who hands on what a commit has told the log.
    #[must_use]
    pub fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// The database.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Whether the database was away when it was last asked, so that callbacks go to the spool.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// Says that it has been brought up. Until then it counts as away.
    pub fn set_database_up(&self) {
        self.is_up.store(true, Ordering::Relaxed);
        self.is_away.store(false, Ordering::Relaxed);
    }

    /// Says that it is, or that it is back.
    pub fn set_away(&self, is_away: bool) {
        let was_away = self.is_away.swap(is_away, Ordering::Relaxed);
        if self.spool.is_some() && was_away != is_away {
            if is_away {
                tracing::warn!("The database is away; callbacks are kept in CALLBACK_SPOOL_DIR");
            } else {
                tracing::info!("The database is back; callbacks are committed again");
            }
        }
    }

    /// Takes a callback, from its body's first byte on.
    ///
    /// # Errors
    /// Where it is not kept: it must not be answered 2xx.
    pub async fn take(
        &self,
        arrival: Arrival,
        mut body: impl Read + Send + 'static,
    ) -> Result<Taken, NotKept> {
        let fits = arrival
            .declared_bytes
            .is_some_and(|bytes| bytes <= self.max_body_bytes);
        let mut may_exceed = self.zero_data_retention && !fits;
        let mut beginning = Vec::new();
        if may_exceed && arrival.declared_bytes.is_none() && self.spool.is_some() {
            // Most turn out to be small, and need no disk.
            let small = self.small_limit();
            (beginning, body) = in_background(move || {
                (&mut body).take(small + 1).read_to_end(&mut beginning)?;
                Ok((beginning, body))
            })
            .await?
            .map_err(NotKept::BrokeOff)?;
            may_exceed = beginning.len() as u64 > small;
        }
        let body = Cursor::new(beginning).chain(body);
        if may_exceed && let Some(spool) = self.spool.clone() {
            // Where its disk is full or gone, the database may still take what fits into memory.
            if spool.is_writable().await {
                return spool
                    .receive_in_time(self.header(arrival), body)
                    .await
                    .map(|()| Taken::Spooled)
                    .map_err(|error| match error {
                        SpoolError::Source(error) => NotKept::BrokeOff(error),
                        SpoolError::Disk(error) => NotKept::Spool(error),
                    });
            }
            tracing::error!(
                attempt.id = %arrival.attempt_id,
                "CALLBACK_SPOOL_DIR cannot be written; a callback larger than MAX_CALLBACK_BYTES is refused until it can"
            );
        }
        let limit = self.max_body_bytes;
        let place = self.compressing.take();
        let read = in_background(move || KeptBody::read_large(body, Shape::Callback, limit, place))
            .await?
            .map_err(NotKept::BrokeOff)?;
        if may_exceed && read.is_err() {
            return Err(NotKept::Spool(io::ErrorKind::FileTooLarge.into()));
        }
        self.keep(arrival, Content::of(read)).await
    }

    /// Commits what came, or spools it.
    async fn keep(&self, arrival: Arrival, content: Content) -> Result<Taken, NotKept> {
        CrashPoint::CallbackReceived.reach();
        let Some(spool) = &self.spool else {
            return match self
                .commit(arrival, &content, content.commit_timeout())
                .await?
            {
                CallbackOutcome::UnknownAttempt => Err(NotKept::UnknownAttempt),
                outcome => Ok(committed(outcome)),
            };
        };
        let was_away = self.is_away();
        if !was_away {
            match self.commit(arrival, &content, COMMIT_TIMEOUT).await {
                Ok(CallbackOutcome::UnknownAttempt) => {
                    tracing::error!(
                        attempt.id = %arrival.attempt_id,
                        "A verified callback names an attempt that is not here; keeping it in the spool"
                    );
                }
                Ok(outcome) => return Ok(committed(outcome)),
                Err(error) => {
                    tracing::warn!(%error, attempt.id = %arrival.attempt_id, "Could not commit a callback; keeping it in the spool");
                }
            }
        }
        let header = self.header(arrival);
        let kept = match &content {
            Content::Whole(body) => spool.keep_in_time(header, Zstd(Arc::clone(body))).await,
            Content::Beginning(seen) => {
                let header = header.too_large(seen.clone());
                spool.keep_in_time(header, []).await
            }
        };
        let Err(error) = kept else {
            return Ok(Taken::Spooled);
        };
        // The database may be back, and nothing else is left to try.
        if was_away
            && self.is_up.load(Ordering::Relaxed)
            && let Ok(outcome) = self.commit(arrival, &content, COMMIT_TIMEOUT).await
            && outcome != CallbackOutcome::UnknownAttempt
        {
            self.set_away(false);
            return Ok(committed(outcome));
        }
        Err(NotKept::Spool(error))
    }

    fn header(&self, arrival: Arrival) -> SpoolHeader {
        SpoolHeader::new(self.ids.next(), arrival.attempt_id, arrival.method)
    }
}

/// What is stored of a body.
struct Zstd(Arc<KeptBody>);

impl AsRef<[u8]> for Zstd {
    fn as_ref(&self) -> &[u8] {
        self.0.compressed().zstd
    }
}

impl Arrival {
    fn received(self, content: &Content) -> Received<'_> {
        Received {
            attempt_id: self.attempt_id,
            method: self.method,
            content,
        }
    }
}

fn committed(outcome: CallbackOutcome) -> Taken {
    match outcome {
        CallbackOutcome::Quarantined => CrashPoint::CallbackQuarantined.reach(),
        _ => CrashPoint::CallbackKept.reach(),
    }
    Taken::Committed(outcome)
}

/// Does what takes time, or waits for a disk or a connection, on a thread of its own.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NotKept> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| NotKept::Crashed)
}
