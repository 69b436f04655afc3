//! The pool, as everybody asks it.
//!
//! When a connection is given back, sqlx's pool asks Postgres whether it still answers, in a task of its own: a second way there
//! for each statement, half of what a small one costs both sides, and meanwhile the next one takes a connection that has gone
//! cold. So whoever has had the answers to all that was asked may put a connection back at hand, and the next one takes it from
//! there. Whatever is dropped otherwise, with an error or by a caller who hung up, goes back to the pool and is asked.

mod at_hand;

use std::{
    future::{self, Future},
    io,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use sqlx::{Connection, PgConnection, PgPool, Postgres, pool::PoolConnection};
use tokio::time::{self, error::Elapsed};

use self::at_hand::AtHand;

type Asked = Pin<Box<dyn Future<Output = sqlx::Result<Loan>> + Send>>;

/// A pool whose answers are waited for behind a pointer. Whoever asks it may have to open a connection, and what that takes, some
/// fifteen kilobytes, would else be a part of every request and every stream for as long as it lasts.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    pool: PgPool,
    at_hand: Mutex<AtHand<PoolConnection<Postgres>>>,
}

/// A connection on loan.
#[derive(Debug)]
pub struct Loan {
    conn: PoolConnection<Postgres>,
    /// When the pool last gave it out.
    since: Instant,
    parts: Arc<Parts>,
}

/// Somebody who waits for the pool: what is put back goes there meanwhile.
struct Waits(Arc<Parts>);

impl Pool {
    /// Waits for a connection.
    #[must_use = "nothing is asked until it is awaited"]
    pub fn acquire(&self) -> Asked {
        let parts = Arc::clone(&self.0);
        let (taken, gone_cold) = parts.at_hand().take(Instant::now());
        drop(gone_cold);
        if let Some((conn, since)) = taken {
            return Box::pin(future::ready(Ok(Loan { conn, since, parts })));
        }
        // From here on, so that nothing is put at hand that this one waits for.
        let waits = Waits(parts);
        let asked = self.0.pool.acquire();
        Box::pin(async move {
            Ok(Loan {
                conn: asked.await?,
                since: Instant::now(),
                parts: Arc::clone(&waits.0),
            })
        })
    }

    /// Waits for a connection, until a deadline.
    ///
    /// # Errors
    /// Where the database does not answer, or there is none by then.
    pub async fn acquire_by(&self, deadline: time::Instant) -> sqlx::Result<Loan> {
        time::timeout_at(deadline, self.acquire())
            .await
            .map_err(given_up)?
    }

    /// Closes all connections, when they are given back.
    pub async fn close(&self) {
        let at_hand: Vec<_> = self.0.at_hand().close().collect();
        drop(at_hand);
        self.0.pool.close().await;
    }

    /// The pool itself, for what is there once in a process.
    #[must_use]
    pub fn inner(&self) -> &PgPool {
        &self.0.pool
    }
}

impl From<PgPool> for Pool {
    /// At hand is half of it at most: whoever asks the pool itself finds something there.
    fn from(pool: PgPool) -> Self {
        let most = pool.options().get_max_connections() / 2;
        let at_hand = AtHand::of_at_most(usize::try_from(most).unwrap_or_default());
        Self(Arc::new(Parts {
            pool,
            at_hand: Mutex::new(at_hand),
        }))
    }
}

impl Parts {
    fn at_hand(&self) -> MutexGuard<'_, AtHand<PoolConnection<Postgres>>> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Parts {
    /// Closes them. A connection that is dropped would be given back, by a task, and there may be no runtime any more.
    fn drop(&mut self) {
        for conn in self.at_hand().close() {
            drop(conn.leak());
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.at_hand().waits_no_more();
    }
}

impl Loan {
    /// Puts it at hand. Only for whoever has had the whole answer to each of its statements.
    pub fn put_back(self) {
        // The rollback of a transaction that was dropped: the pool sends it.
        if self.conn.should_flush() {
            return;
        }
        let Self { conn, since, parts } = self;
        let left_over = parts.at_hand().put_back(conn, since, Instant::now());
        drop(left_over);
    }

    /// Gives it back after work that had a deadline. Work that was given up left it in the middle of whatever it was doing.
    ///
    /// # Errors
    /// The work's own, and where it was given up.
    pub fn settle<T>(mut self, outcome: Result<sqlx::Result<T>, Elapsed>) -> sqlx::Result<T> {
        match outcome {
            Ok(Ok(done)) => {
                self.put_back();
                Ok(done)
            }
            Ok(Err(error)) => Err(error),
            Err(elapsed) => {
                self.close_on_drop();
                Err(given_up(elapsed))
            }
        }
    }

    /// Closes it when it is dropped: it was left in the middle of something.
    pub fn close_on_drop(&mut self) {
        self.conn.close_on_drop();
    }
}

fn given_up(_: Elapsed) -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::TimedOut.into())
}

impl Deref for Loan {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.conn
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.conn
    }
}
