//! A list of jobs, read row by row: as many as there is room for.

use std::{collections::HashSet, pin::pin};

use futures_util::{Stream, TryStreamExt};
use uuid::Uuid;

use super::{Job, JobRow, doubt};
use crate::db::pool::Loan;

/// Jobs in their order.
#[derive(Debug, Default)]
pub struct Jobs {
    /// Those that were read.
    pub jobs: Vec<Job>,
    /// How much they have in them, about.
    pub bytes: usize,
    /// Whether there are more of those that were asked for, which would have been too much at once.
    pub is_cut: bool,
}

/// Their rows.
#[derive(Default)]
pub(super) struct JobRows {
    rows: Vec<JobRow>,
    bytes: usize,
    is_cut: bool,
}

impl JobRows {
    /// Reads rows as they come, as many as there is room for.
    pub(super) async fn read(
        rows: impl Stream<Item = sqlx::Result<JobRow>>,
        most_bytes: usize,
    ) -> sqlx::Result<Self> {
        let mut rows = pin!(rows);
        let mut read = Self::default();
        while let Some(row) = rows.try_next().await? {
            read.is_cut = read.bytes >= most_bytes && !read.rows.is_empty();
            if read.is_cut {
                break;
            }
            read.bytes += row.bytes();
            read.rows.push(row);
        }
        Ok(read)
    }

    /// The jobs. Where some have failed, one more question is asked for all of them. The rows beyond a cut are still on their
    /// way: such a connection is not put back, or whoever came next would read them first.
    pub(super) async fn understood(self, mut conn: Loan) -> sqlx::Result<Jobs> {
        let failed: Vec<Uuid> = self
            .rows
            .iter()
            .filter(|row| row.has_failed())
            .map(|row| row.id.0)
            .collect();
        let in_doubt = if failed.is_empty() {
            HashSet::new()
        } else {
            doubt::those_in_doubt(&mut conn, &failed).await?
        };
        if !self.is_cut {
            conn.put_back();
        }
        let jobs = self.rows.into_iter().map(|row| {
            let may_have_succeeded = in_doubt.contains(&row.id.0);
            row.into_job(may_have_succeeded)
        });
        Ok(Jobs {
            jobs: jobs.collect::<sqlx::Result<_>>()?,
            bytes: self.bytes,
            is_cut: self.is_cut,
        })
    }
}
