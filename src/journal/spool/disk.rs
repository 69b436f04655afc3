//! What is done about a disk that does not answer: a volume in the network that is away lets everybody wait, and no thread that
//! waits for it can be called back.
//!
//! So whoever wants something of it waits for a while only, and what waits for ever are few threads: one for each thing that is
//! asked of it, however many ask; one for the worker; and one for each callback that may be written at once.

use std::{
    io::{self, Read},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{KEPT, Spool, SpoolError, SpoolHeader, files_in};
use crate::journal::CALLBACKS_AT_ONCE;

/// What the disk is asked is told within this time, or nobody knows.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a callback waits for it: shorter than another one waits for its turn.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);

/// How often it is looked at whether the disk takes what arrives.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many files are in a spool.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Callbacks that are to be carried out.
    pub callbacks: usize,
    /// Files that could not be read.
    pub broken: usize,
}

/// What the disk is asked.
pub(super) struct Asked {
    is_writable: OnceAtATime<bool>,
    kept: OnceAtATime<Option<Kept>>,
    /// A place is held until the disk has answered, whether or not somebody still waits for that.
    places: Arc<Semaphore>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            is_writable: OnceAtATime::default(),
            kept: OnceAtATime::default(),
            places: Arc::new(Semaphore::new(CALLBACKS_AT_ONCE)),
        }
    }
}

impl Spool {
    /// Whether something can be written now. A disk that does not answer cannot be written.
    pub async fn is_writable(&self) -> bool {
        let spool = self.clone();
        let asked = &self.0.asked.is_writable;
        asked.ask(move || spool.can_be_written()).await == Some(true)
    }

    /// How many files there are. `None` where the disk does not say.
    pub async fn count(&self) -> Option<Kept> {
        let spool = self.clone();
        let count = move || {
            let callbacks = spool.list().ok()?.len();
            let broken = spool.list_broken().ok()?.len();
            Some(Kept { callbacks, broken })
        };
        self.0.asked.kept.ask(count).await.flatten()
    }

    /// Keeps a callback with the body that comes with it, compressed.
    ///
    /// # Errors
    /// Where it cannot be written in time. It may be written later all the same, and is then carried out.
    pub async fn keep_in_time(
        &self,
        header: SpoolHeader,
        body: impl AsRef<[u8]> + Send + 'static,
    ) -> io::Result<()> {
        let writing = self.write_apart(move |spool| spool.keep(&header, body.as_ref()));
        let written = timeout(WRITE_TIMEOUT, writing).await;
        written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Keeps a callback whose body arrives, for however long that takes.
    ///
    /// # Errors
    /// Where it breaks off, or the disk does not take it in time. It may be written later all the same, and is then carried out.
    pub async fn receive_in_time(
        &self,
        header: SpoolHeader,
        body: impl Read + Send + 'static,
    ) -> Result<(), SpoolError> {
        let disk = Arc::new(DiskWait::default());
        let body = Watched {
            body,
            disk: Arc::clone(&disk),
        };
        let writing = self.write_apart(move |spool| Ok(spool.receive(&header, body)));
        tokio::pin!(writing);
        loop {
            tokio::select! {
                written = &mut writing => return written.unwrap_or_else(|error| Err(SpoolError::Disk(error))),
                () = sleep(LOOK_EVERY) => {}
            }
            if disk.waited() > WRITE_TIMEOUT {
                return Err(SpoolError::Disk(io::ErrorKind::TimedOut.into()));
            }
        }
    }

    /// Writes on a thread of its own.
    async fn write_apart<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (spool, places) = (self.clone(), Arc::clone(&self.0.asked.places));
        let place = places.acquire_owned().await.map_err(io::Error::other)?;
        let writing = tokio::task::spawn_blocking(move || {
            let written = write(&spool);
            drop(place);
            written
        });
        writing.await.map_err(io::Error::other)?
    }
}

/// How many callbacks are kept in a directory that nobody has to have open.
///
/// # Errors
/// Where the disk does not say.
pub async fn count_in(directory: &Path) -> io::Result<usize> {
    let directory = directory.to_owned();
    let counting = tokio::task::spawn_blocking(move || files_in(&directory, KEPT));
    let counted = timeout(ANSWER_TIMEOUT, counting).await;
    let files = counted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
    Ok(files.map_err(io::Error::other)??.len())
}

/// Since when the disk is waited for. `None`: the body is.
struct DiskWait(Mutex<Option<Instant>>);

impl Default for DiskWait {
    fn default() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }
}

impl DiskWait {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn waited(&self) -> Duration {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// A body that tells which of the two is waited for.
struct Watched<R> {
    body: R,
    disk: Arc<DiskWait>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.set(None);
        let read = self.body.read(buffer);
        self.disk.set(Some(Instant::now()));
        read
    }
}

/// A question that is asked of the disk once at a time: whoever asks meanwhile gets the same answer.
struct OnceAtATime<T>(Mutex<Option<Asking<T>>>);

#[derive(Clone)]
struct Asking<T> {
    since: Instant,
    answer: watch::Receiver<Option<T>>,
}

impl<T> Default for OnceAtATime<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone + Send + Sync + 'static> OnceAtATime<T> {
    /// `None`: the disk does not answer. Once that is known, nobody waits for it any more.
    async fn ask(&self, question: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let Asking { since, mut answer } = self.asking(question);
        let answered = answer.wait_for(Option::is_some);
        let answered = timeout_at(since + ANSWER_TIMEOUT, answered).await.ok()?;
        answered.ok()?.clone()
    }

    fn asking(&self, question: impl FnOnce() -> T + Send + 'static) -> Asking<T> {
        let mut asking = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = asking.as_ref().filter(|asking| {
            // Once it is answered, or cannot be, whoever could do so is gone.
            asking.answer.has_changed().is_ok() && asking.answer.borrow().is_none()
        });
        if let Some(under_way) = under_way {
            return under_way.clone();
        }
        let (answers, answer) = watch::channel(None);
        tokio::task::spawn_blocking(move || answers.send_replace(Some(question())));
        let begun = Asking {
            since: Instant::now(),
            answer,
        };
        *asking = Some(begun.clone());
        begun
    }
}
