//! The pool, as requests ask it.

use std::{future::Future, ops::Deref, pin::Pin};

use sqlx::{PgPool, PgTransaction, Postgres, pool::PoolConnection};

type Asked<'a, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'a>>;

/// A pool whose answers are waited for behind a pointer. Whoever asks it may have to open a connection, and what that takes, some
/// fifteen kilobytes, would else be a part of every request and every stream for as long as it lasts.
#[derive(Debug, Clone)]
pub struct Pool(PgPool);

impl Pool {
    /// Waits for a connection.
    #[must_use = "nothing is asked until it is awaited"]
    pub fn acquire(&self) -> Asked<'static, PoolConnection<Postgres>> {
        Box::pin(self.0.acquire())
    }

    /// Waits for a connection, and begins a transaction.
    #[must_use = "nothing is asked until it is awaited"]
    pub fn begin(&self) -> Asked<'_, PgTransaction<'static>> {
        Box::pin(self.0.begin())
    }

    /// The pool itself, for what is there once in a process.
    #[must_use]
    pub fn inner(&self) -> &PgPool {
        &self.0
    }
}

impl From<PgPool> for Pool {
    fn from(pool: PgPool) -> Self {
        Self(pool)
    }
}

impl Deref for Pool {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.0
    }
}
