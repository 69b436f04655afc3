//! Accepting a batch: its jobs, their events and metadata, what was refused, and the idempotency key, in one commit.

use serde_json::Value;
use sqlx::{Connection, PgConnection};

use super::{
    request::{RequestedBatch, RequestedTranscription},
    view::CreatedBatch,
};
use crate::{
    db::{
        self,
        batches::{NewBatch, RefusedRequest},
        jobs::NewJob,
        uploads::Ownership,
    },
    domain::{
        access::Caller,
        audio_url::AudioUrl,
        idempotency::Made,
        ids::{BatchId, JobId, TenantId, UploadId},
        options::Warning,
    },
    http::{
        idempotency::HeldKey,
        problem::{Problem, ProblemType},
        request_scope::trace_context::accepting,
        state::AppState,
        transcriptions::{
            audio::{self, TooLong},
            request::RequestedOptions,
        },
    },
    trace::Fact,
};

/// How many errors a batch tells before it tells only the first of each further request. A thousand requests with fifty errors
/// each would fill 100 MB, in the database too.
const MOST_ERRORS: usize = 1000;

/// A request that passed every check.
struct Accepted {
    index: i32,
    job_id: JobId,
    options: RequestedOptions,
    /// The options as they are stored.
    request: Value,
    audio_url: String,
    upload_id: Option<UploadId>,
    warnings: Vec<Warning>,
}

/// A request that did not.
struct Refused {
    index: i32,
    problem: Problem,
}

/// Commits the batch and wakes the workers.
pub async fn accept(
    state: &AppState,
    caller: Caller,
    batch: RequestedBatch,
    key: Option<&mut HeldKey>,
) -> Result<CreatedBatch, Problem> {
    let mut span = accepting();
    let trace = span.context();
    let mut conn = state.conn().await?;
    let mut tx = conn.begin().await?;
    let (accepted, refused) = judge(&mut tx, state, caller, batch.requests).await?;
    let refused = within_bounds(refused);
    if accepted.is_empty() || (batch.all_or_nothing && !refused.is_empty()) {
        return Err(nothing_made(accepted.len(), refused));
    }
    let id: BatchId = state.ids.next();
    let requests = accepted.len() + refused.len();
    let refused = refused
        .into_iter()
        .map(RefusedRequest::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    let new = NewBatch {
        id,
        tenant_id: caller.tenant_id,
        requests: i32::try_from(requests).unwrap_or(i32::MAX),
        refused: &refused,
    };
    db::batches::insert(&mut tx, new).await?;
    let jobs: Vec<_> = accepted
        .iter()
        .map(|request| NewJob {
            id: request.job_id,
            caller,
            request: &request.request,
            audio_url: &request.audio_url,
            upload_id: request.upload_id,
            warnings: &request.warnings,
            batch: Some((id, request.index)),
            trace: trace.as_ref(),
            callback: request.options.callback(),
        })
        .collect();
    db::jobs::insert_all(&mut tx, &jobs).await?;
    let metadata = accepted
        .iter()
        .filter_map(|request| Some((request.job_id, request.options.metadata()?)));
    db::jobs::metadata::insert(&mut tx, metadata, &state.rules.usage_metadata_keys).await?;
    if let Some(key) = key {
        key.complete(&mut tx, batch.fingerprint, Made::Batch(id))
            .await?;
    }
    // Read before the commit: once it is accepted, nothing can fail any more.
    let created = find(&mut tx, caller.tenant_id, id).await?;
    tx.commit().await?;
    conn.put_back();
    span.add(Fact::Batch(id));
    span.add(Fact::Jobs(accepted.len()));
    span.end();
    state.wakeups.jobs_queued();
    metrics::counter!("gateway_transcriptions_accepted_total").increment(accepted.len() as u64);
    Ok(created)
}

/// Finds what became of each request of a batch when it was accepted.
pub async fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: BatchId,
) -> Result<CreatedBatch, Problem> {
    let batch = db::batches::find(conn, tenant_id, id)
        .await?
        .ok_or_else(no_such_batch)?;
    let accepted = db::batches::list_accepted(conn, id).await?;
    Ok(CreatedBatch::new(batch, accepted))
}

/// A batch that the caller does not have.
pub fn no_such_batch() -> Problem {
    Problem::new(ProblemType::NotFound, "There is no batch with this id.")
}

/// Judges the audio of every request that is right in itself, and gives jobs to those that pass.
async fn judge(
    conn: &mut PgConnection,
    state: &AppState,
    caller: Caller,
    requests: Vec<RequestedTranscription>,
) -> Result<(Vec<Accepted>, Vec<Refused>), Problem> {
    let now = db::clock::now(conn).await?;
    let audio_urls: Vec<&AudioUrl> = requests
        .iter()
        .filter_map(|request| request.audio_url.as_ref())
        .collect();
    let owners = db::uploads::find_owners(conn, caller.tenant_id, &audio_urls).await?;
    // Jobs of one instant stand in line by their ids, whatever order a source of ids has.
    let mut ids: Vec<JobId> = requests.iter().map(|_| state.ids.next()).collect();
    ids.sort_unstable();
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for ((index, job_id), request) in (0..).zip(ids).zip(requests) {
        let judge_audio = |audio_url: &AudioUrl| {
            let ownership = owners.get(audio_url.as_str()).cloned();
            audio::judge(
                state,
                audio_url,
                ownership.unwrap_or(Ownership::NotOurs),
                now,
                TooLong::Refused,
            )
        };
        let judged = match request.parsed {
            Ok((audio_url, options)) => judge_audio(&audio_url).map(|known| (options, known)),
            // Whatever is wrong with the audio as well is told along.
            Err(problem) => Err(match request.audio_url.as_ref().map(judge_audio) {
                Some(Err(more)) => problem.with_fields_of(more),
                _ => problem,
            }),
        };
        match judged {
            Ok((options, known)) => {
                let mut warnings = known.warnings;
                warnings.extend_from_slice(options.warnings());
                accepted.push(Accepted {
                    index,
                    job_id,
                    request: options.to_stored(),
                    options,
                    audio_url: known.audio_url,
                    upload_id: known.upload_id,
                    warnings,
                });
            }
            Err(problem) => refused.push(Refused { index, problem }),
        }
    }
    Ok((accepted, refused))
}

/// Shortens what is wrong with a batch to what its answers have room for. Every refused request keeps an error at least.
fn within_bounds(refused: Vec<Refused>) -> Vec<Refused> {
    let mut room = MOST_ERRORS;
    refused
        .into_iter()
        .map(|refused| {
            let problem = refused.problem.with_fields_up_to(room.max(1));
            room = room.saturating_sub(problem.error_count());
            Refused { problem, ..refused }
        })
        .collect()
}

/// The problem of a batch of which nothing comes: all its requests are refused, or it wants all of them or none.
fn nothing_made(accepted: usize, refused: Vec<Refused>) -> Problem {
    let detail = if accepted == 0 {
        "Every request is refused, so nothing was made; see errors.".to_owned()
    } else {
        format!(
            "Refused: {} of {} requests. With all_or_nothing, nothing was made of the others either; see errors.",
            refused.len(),
            accepted + refused.len(),
        )
    };
    let whole = Problem::new(ProblemType::InvalidRequest, detail);
    refused.into_iter().fold(whole, |whole, refused| {
        whole.with_part(&format!("/requests/{}", refused.index), refused.problem)
    })
}

impl TryFrom<Refused> for RefusedRequest {
    type Error = Problem;

    fn try_from(refused: Refused) -> Result<Self, Problem> {
        let problem = serde_json::to_value(refused.problem.into_body()).map_err(|error| {
            tracing::error!(%error, "A problem cannot be written as JSON");
            Problem::new(
                ProblemType::Internal,
                "What is wrong with a request cannot be shown. Nothing was made.",
            )
        })?;
        Ok(Self {
            index: refused.index,
            problem,
        })
    }
}
