//! A batch as callers see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    db::{
        self,
        batches::{AcceptedRequest, JobCount, RefusedRequest},
        jobs::Job,
    },
    domain::{
        ids::{BatchId, JobId},
        job::PublicStatus,
        options::Warning,
    },
    http::{problem::ProblemBody, transcriptions::view::Transcription},
};

/// What became of each request of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedBatch {
    /// The batch's id.
    pub id: BatchId,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// How many requests it came with.
    pub requests: i32,
    /// How many of them were accepted.
    pub accepted: usize,
    /// How many of them were refused.
    pub refused: usize,
    /// What became of each, in the order of the requests.
    pub outcomes: Vec<RequestOutcome>,
}

/// What became of one request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum RequestOutcome {
    /// It is a transcription.
    #[schema(title = "AcceptedRequest")]
    Accepted {
        /// The request's place, from 0.
        index: i32,
        /// The transcription.
        transcription_id: JobId,
        /// What was accepted all the same, and may not do what its caller expects. Empty once the transcription is erased.
        #[schema(value_type = Vec<Warning>)]
        warnings: Value,
    },
    /// It is not.
    #[schema(title = "RefusedRequest")]
    Refused {
        /// The request's place, from 0.
        index: i32,
        /// What `POST /v1/transcriptions` would have answered. Pointers begin at the request. Once every transcription of
        /// the batch is erased, only the kind of problem is left.
        #[schema(value_type = ProblemBody)]
        problem: Value,
    },
}

impl RequestOutcome {
    fn index(&self) -> i32 {
        match self {
            Self::Accepted { index, .. } | Self::Refused { index, .. } => *index,
        }
    }
}

impl CreatedBatch {
    /// Puts together what is stored.
    pub fn new(batch: db::batches::Batch, accepted: Vec<AcceptedRequest>) -> Self {
        let (accepted_requests, refused_requests) = (accepted.len(), batch.refused.len());
        let accepted = accepted
            .into_iter()
            .map(|request| RequestOutcome::Accepted {
                index: request.index,
                transcription_id: request.job_id,
                warnings: request
                    .warnings
                    .unwrap_or_else(|| Vec::<Value>::new().into()),
            });
        let refused = batch
            .refused
            .into_iter()
            .map(|request| RequestOutcome::Refused {
                index: request.index,
                problem: request.problem,
            });
        let mut outcomes: Vec<_> = accepted.chain(refused).collect();
        outcomes.sort_unstable_by_key(RequestOutcome::index);
        Self {
            id: batch.id,
            created_at: batch.created_at,
            requests: batch.requests,
            accepted: accepted_requests,
            refused: refused_requests,
            outcomes,
        }
    }
}

/// A batch with a page of its transcriptions.
#[derive(Debug, Serialize, ToSchema)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// How many requests it came with.
    pub requests: i32,
    /// How many of them were accepted.
    pub accepted: i64,
    /// How many of them were refused.
    pub refused: usize,
    /// The accepted ones by where they are.
    pub counts: BatchCounts,
    /// Whether none of them is `queued` or `processing`. A retry of one that failed begins anew.
    pub is_finished: bool,
    /// Why requests were refused, in the order of the requests.
    pub refusals: Vec<Refusal>,
    /// Transcriptions in the order of the requests, without results and without erased ones.
    pub items: Vec<Transcription>,
    /// Where the next page begins: send it as `cursor`. Null on the last page.
    pub next_cursor: Option<String>,
}

impl Batch {
    /// Puts together what is stored.
    pub fn new(
        batch: db::batches::Batch,
        counts: &[JobCount],
        jobs: Vec<Job>,
        next_cursor: Option<String>,
    ) -> Self {
        let counts = BatchCounts::of(counts);
        Self {
            id: batch.id,
            created_at: batch.created_at,
            requests: batch.requests,
            accepted: counts.sum(),
            refused: batch.refused.len(),
            is_finished: counts.queued + counts.processing == 0,
            counts,
            refusals: batch.refused.into_iter().map(Into::into).collect(),
            items: jobs.into_iter().map(Into::into).collect(),
            next_cursor,
        }
    }
}

/// How many transcriptions of a batch have each status.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct BatchCounts {
    /// Accepted; wait for one of the account's slots, or for certainty that Gladia has them.
    pub queued: i64,
    /// Gladia is at work on them.
    pub processing: i64,
    /// Their results are there.
    pub done: i64,
    /// Failed.
    pub error: i64,
    /// Canceled by their caller.
    pub canceled: i64,
    /// Erased, whatever their status was.
    pub deleted: i64,
}

impl BatchCounts {
    fn of(counts: &[JobCount]) -> Self {
        let mut sums = Self::default();
        for count in counts {
            let sum = match count.status.public() {
                _ if count.is_deleted => &mut sums.deleted,
                PublicStatus::Queued => &mut sums.queued,
                PublicStatus::Processing => &mut sums.processing,
                PublicStatus::Done => &mut sums.done,
                PublicStatus::Error => &mut sums.error,
                PublicStatus::Canceled => &mut sums.canceled,
            };
            *sum += count.jobs;
        }
        sums
    }

    fn sum(&self) -> i64 {
        self.queued + self.processing + self.done + self.error + self.canceled + self.deleted
    }
}

/// Why a request was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refusal {
    /// The request's place, from 0.
    pub index: i32,
    /// What `POST /v1/transcriptions` would have answered. Pointers begin at the request. Once every transcription of the
    /// batch is erased, only the kind of problem is left.
    #[schema(value_type = ProblemBody)]
    pub problem: Value,
}

impl From<RefusedRequest> for Refusal {
    fn from(request: RefusedRequest) -> Self {
        Self {
            index: request.index,
            problem: request.problem,
        }
    }
}
