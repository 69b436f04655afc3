//! Waiting for a transcription's end, on behalf of a caller who asked for that.
//!
//! Thousands may wait at once, so what a look at the database takes, some kilobytes, is there only while somebody looks: it is
//! behind a pointer, and a job that has not ended is let go before the wait.

use axum::response::Response;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{
    lookup::find,
    result::shown_with,
    view::{Transcription, with_result},
};
use crate::{
    db::{self, jobs::Job},
    domain::{access::Caller, ids::JobId},
    feed::{Next, Subscription, Topic, Way},
    http::{
        answer::{accepted, compression::Preferred},
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
) -> Result<(Box<Job>, Wait), Problem> {
    let deadline = Instant::now() + wait.at_most();
    if wait.at_most().is_zero() {
        return Ok((find_now(state, caller, id).await?, wait));
    }
    let Ok(_place) = state.waiting_room.enter(caller.tenant_id) else {
        let job = find_now(state, caller, id).await?;
        let has_ended = job.status.is_terminal();
        return Ok((job, if has_ended { wait } else { wait.declined() }));
    };
    let mut news = state.feed.subscribe(Topic::Job(id));
    let mut is_over = false;
    loop {
        // Subscribed before: an end that this does not see comes as news.
        let job = find_now(state, caller, id).await?;
        if is_over || job.status.is_terminal() {
            return Ok((job, wait));
        }
        drop(job);
        is_over = tokio::select! {
            () = state.stopping.cancelled() => true,
            () = tokio::time::sleep_until(deadline) => true,
            () = news_of_end(&mut news) => false,
        };
    }
}

/// Waits until the job may have ended.
async fn news_of_end(news: &mut Subscription) {
    loop {
        match news.next().await {
            Next::Event(told) if !told.kind.is_terminal() => {}
            Next::Event(told) => return told.observe(Way::Wait, trace::now()),
            Next::Missed => return,
        }
    }
}

/// With its result where that is small. No connection is held beyond the look.
fn find_now(
    state: &AppState,
    caller: Caller,
    id: JobId,
) -> BoxFuture<'_, Result<Box<Job>, Problem>> {
    Box::pin(async move {
        let mut conn = state.conn().await?;
        let looking = db::jobs::find_of_key(&mut conn, caller, id, true);
        let found = db::pool::in_time(looking).await?;
        let job = match found.filter(|job| job.deleted_at.is_none()) {
            Some(job) => job,
            // Erased; or its caller's key was revoked meanwhile, who was let in before.
            None => find(&mut conn, caller.tenant_id, id).await?,
        };
        conn.put_back();
        Ok(Box::new(job))
    })
}

/// A job that is committed, for whoever asked for it.
pub struct Committed {
    /// Who asked.
    pub caller: Caller,
    /// As it is at that moment.
    pub job: Box<Job>,
    /// Whether an earlier request made it.
    pub is_replayed: bool,
}

/// Answers a create whose job is committed: 200 with the result where it has ended within the time that its caller waits,
/// else 202.
///
/// # Errors
/// Where the job was erased meanwhile. Whatever else goes wrong, it is accepted, and that is the answer.
pub async fn answer(
    state: &AppState,
    committed: Committed,
    wait: Wait,
) -> Result<Response, Problem> {
    let is_replayed = committed.is_replayed;
    let response = answer_first(state, committed, wait).await?;
    Ok(if is_replayed {
        accepted::mark_as_replayed(response)
    } else {
        response
    })
}

async fn answer_first(
    state: &AppState,
    committed: Committed,
    mut wait: Wait,
) -> Result<Response, Problem> {
    let Committed { caller, job, .. } = committed;
    let id = job.id;
    let path = format!("/v1/transcriptions/{id}");
    if wait == Wait::Unasked {
        return Ok(accepted::answer(state, &path, Transcription::from(*job)));
    }
    let (mut response, has_ended) = match end_of(state, caller, id, wait).await {
        Ok(Ended::Yes(response)) if state.answers.have_room_for(&response, caller.tenant_id) => {
            (accepted::locate(state, &path, response), true)
        }
        Ok(Ended::No(now, heeded)) => {
            wait = heeded;
            let now = Transcription::from(*now);
            (accepted::answer(state, &path, now), false)
        }
        Err(problem) if problem.kind() == ProblemType::TranscriptionDeleted => return Err(problem),
        // To be asked for by itself, which can be repeated.
        Ok(Ended::Yes(_)) | Err(_) => {
            wait = wait.declined();
            let then = Transcription::from(*job);
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
    let (job, heeded) = find_ended(state, caller, id, wait).await?;
    if !job.status.is_terminal() {
        return Ok(Ended::No(job, heeded));
    }
    let mut job = *job;
    let (callback_id, small) = (job.result_callback_id, job.result.take());
    let shown = Transcription::from(job).written()?;
    let response = match callback_id {
        Some(callback_id) => {
            let shown = shown_with(state, shown, callback_id, small, Preferred::Identity);
            Box::pin(shown).await?
        }
        None => with_result(shown, None),
    };
    Ok(Ended::Yes(response))
}

#[cfg(test)]
mod tests {
    use crate::http::{
        transcriptions::{
            create::create_transcription, create_from_file::create_transcription_from_file,
            get::get_transcription,
        },
        wait::held_by,
    };

    #[test]
    fn whoever_waits_for_an_end_holds_little() {
        let held = [
            held_by(|(a, b, c, d, e, f)| get_transcription(a, b, c, d, e, f)),
            held_by(|(a, b, c, d, e)| create_transcription(a, b, c, d, e)),
            held_by(|(a, b, c, d, e)| create_transcription_from_file(a, b, c, d, e)),
        ];
        assert!(held.iter().all(|bytes| *bytes <= 1280), "{held:?}");
    }
}
