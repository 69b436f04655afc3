//! Waiting for a transcription's end, on behalf of a caller who asked for that.

use axum::response::Response;
use tokio::time::Instant;

use super::{
    lookup::find,
    result::read_rest,
    view::{Transcription, with_result},
};
use crate::{
    db::{self, jobs::Job},
    domain::{access::Caller, ids::JobId},
    feed::{Next, Topic, Way},
    http::{
        accepted,
        problem::{Problem, ProblemType},
        state::AppState,
        wait::Wait,
    },
    trace,
};

/// Finds a job that has ended; or as it stands when the time is up, the process is to end, or as many wait as may. Says
/// also which wait was heeded.
///
/// # Errors
/// Where there is none, it is erased, or the database does not answer.
pub async fn find_ended(
    state: &AppState,
    caller: Caller,
    id: JobId,
    wait: Wait,
) -> Result<(Job, Wait), Problem> {
    let deadline = Instant::now() + wait.at_most();
    let mut job = find_now(state, caller, id).await?;
    if job.status.is_terminal() || wait.at_most().is_zero() {
        return Ok((job, wait));
    }
    let Ok(_place) = state.waiting_room.enter(caller.tenant_id) else {
        return Ok((job, wait.declined()));
    };
    let mut news = state.feed.subscribe(Topic::Job(id));
    let mut is_over = false;
    loop {
        // Subscribed before: an end that this does not see comes as news.
        job = find_now(state, caller, id).await?;
        if is_over || job.status.is_terminal() {
            return Ok((job, wait));
        }
        loop {
            let next = tokio::select! {
                () = state.stopping.cancelled() => None,
                () = tokio::time::sleep_until(deadline) => None,
                next = news.next() => Some(next),
            };
            match next {
                None => is_over = true,
                Some(Next::Event(told)) if !told.kind.is_terminal() => continue,
                Some(Next::Event(told)) => told.observe(Way::Wait, trace::now()),
                Some(Next::Missed) => {}
            }
            break;
        }
    }
}

/// With its result where that is small. No connection is held beyond the look.
async fn find_now(state: &AppState, caller: Caller, id: JobId) -> Result<Job, Problem> {
    let mut conn = state.pool.acquire().await?;
    let found = db::jobs::find_of_key(&mut conn, caller, id, true).await?;
    match found.filter(|job| job.deleted_at.is_none()) {
        Some(job) => Ok(job),
        // Erased; or its caller's key was revoked meanwhile, who was let in before.
        None => find(&mut conn, caller.tenant_id, id).await,
    }
}

/// Answers a create whose job is committed: 200 with the result where it has ended within the time that its caller waits,
/// else 202.
///
/// # Errors
/// Where the job was erased meanwhile. Whatever else goes wrong, it is accepted, and that is the answer.
pub async fn answer(
    state: &AppState,
    caller: Caller,
    job: Job,
    mut wait: Wait,
) -> Result<Response, Problem> {
    let id = job.id;
    let path = format!("/v1/transcriptions/{id}");
    if wait == Wait::Unasked {
        return Ok(accepted::answer(state, &path, Transcription::from(job)));
    }
    let (mut response, has_ended) = match end_of(state, caller, id, wait).await {
        Ok(Ended::Yes(response)) => (accepted::locate(state, &path, response), true),
        Ok(Ended::No(now, heeded)) => {
            wait = heeded;
            let now = Transcription::from(*now);
            (accepted::answer(state, &path, now), false)
        }
        Err(problem) if problem.kind() == ProblemType::TranscriptionDeleted => return Err(problem),
        Err(_) => {
            wait = wait.declined();
            let then = Transcription::from(job);
            (accepted::answer(state, &path, then), false)
        }
    };
    wait.mark(&mut response, has_ended);
    Ok(response)
}

enum Ended {
    Yes(Response),
    No(Box<Job>, Wait),
}

async fn end_of(state: &AppState, caller: Caller, id: JobId, wait: Wait) -> Result<Ended, Problem> {
    let (mut job, heeded) = find_ended(state, caller, id, wait).await?;
    if !job.status.is_terminal() {
        return Ok(Ended::No(Box::new(job), heeded));
    }
    let (callback_id, small) = (job.result_callback_id, job.result.take());
    let shown = Transcription::from(job).written()?;
    let result = match callback_id {
        Some(callback_id) => Some(read_rest(state, callback_id, small).await?),
        None => None,
    };
    Ok(Ended::Yes(with_result(shown, result)))
}
