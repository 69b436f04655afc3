//! The life of a job: accepted, queued or started at once, ended, told.
//!
//! At most `max_running` jobs run; the others wait in the order in which they came, and a create that finds the queue
//! full is refused. A job takes as long as its audio divided by the speed.

pub(super) mod callback;
pub(super) mod fetch;
mod webhook;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, value::RawValue};
use sha2::{Digest as _, Sha256};
use url::Url;
use uuid::Uuid;

use super::{
    clock,
    media::Media,
    result,
    script::Entry,
    state::{CallbackTarget, Job, State, Status, Store, StoredFile},
};

/// Longer audio is not taken: 135 minutes.
const LONGEST_SECONDS: f64 = 135.0 * 60.0;

/// A create that has passed all checks.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) audio_url: String,
    pub(super) request: Map<String, Value>,
    pub(super) request_params: Value,
    pub(super) custom_metadata: Option<Value>,
    pub(super) callback: Option<CallbackTarget>,
}

/// No job is accepted now.
#[derive(Debug)]
pub(super) struct QueueFull {
    pub(super) limit: usize,
}

/// Takes a job in, and starts it if one may run.
pub(super) fn accept(state: &Arc<State>, create: Accepted) -> Result<Uuid, QueueFull> {
    let settings = &state.settings;
    let id = Uuid::new_v4();
    {
        let mut store = state.store();
        let starts = store.running < settings.max_running;
        if !starts && store.waiting.len() >= settings.max_queued {
            return Err(QueueFull {
                limit: settings.max_running + settings.max_queued,
            });
        }
        let job = Job {
            id,
            status: Status::Queued,
            created_at: clock::now(),
            started_at: None,
            completed_at: None,
            file: uploaded(&store, &create.audio_url),
            audio_url: create.audio_url,
            request: Arc::new(create.request),
            request_params: Arc::new(create.request_params),
            custom_metadata: create.custom_metadata,
            callback: create.callback,
            result: None,
            result_sha256: None,
            error: None,
            callbacks: Vec::new(),
            deleted: false,
        };
        store.jobs.insert(id, job);
        store.order.push(id);
        store.ledger.accepted();
        if starts {
            start(state, &mut store, id);
        } else {
            store.waiting.push_back(id);
        }
    }
    webhook::tell(state, "transcription.created", id);
    Ok(id)
}

/// The uploaded file that a URL names, whatever its host.
fn uploaded(store: &Store, url: &str) -> Option<StoredFile> {
    let url: Url = url.parse().ok()?;
    let id: Uuid = url.path().strip_prefix("/file/")?.parse().ok()?;
    store.file(id).map(StoredFile::description)
}

fn start(state: &Arc<State>, store: &mut Store, id: Uuid) {
    let Some(job) = store.jobs.get_mut(&id) else {
        return;
    };
    job.status = Status::Processing;
    job.started_at = Some(clock::now());
    let job = job.clone();
    store.running += 1;
    let state = Arc::clone(state);
    let stop = state.stop.clone();
    state.tasks.clone().spawn(async move {
        stop.run_until_cancelled(run(&state, job)).await;
    });
}

async fn run(state: &Arc<State>, job: Job) {
    let id = job.id;
    let outcome = transcribe(state, &job).await;
    let event = if outcome.is_ok() {
        "transcription.success"
    } else {
        "transcription.error"
    };
    if !end(state, id, outcome) {
        return;
    }
    webhook::tell(state, event, id);
    if job.callback.is_some() {
        callback::deliver(state, id).await;
    }
}

/// The result, or the code and the message of the failure.
async fn transcribe(state: &State, job: &Job) -> Result<Arc<RawValue>, (u16, String)> {
    let begun = Instant::now();
    let file_entry = |file: &StoredFile| state.script.find(&file.filename);
    let by_url: Option<&Entry> = state.script.find(&job.audio_url);
    let (media, entry) = match (&job.file, by_url.and_then(|entry| entry.duration)) {
        (Some(file), _) => (Arc::clone(&file.media), file_entry(file).or(by_url)),
        (None, Some(duration)) => {
            let channels = by_url.and_then(|entry| entry.channels).unwrap_or(1);
            (Arc::new(Media::assumed(duration, channels)), by_url)
        }
        (None, None) => {
            let file = fetch_for(state, job).await?;
            (Arc::clone(&file.media), by_url.or(file_entry(&file)))
        }
    };
    if media.duration > LONGEST_SECONDS {
        return Err((400, "The audio is longer than 135 minutes".to_owned()));
    }
    let pause = Duration::try_from_secs_f64(media.duration / state.settings.speed);
    tokio::time::sleep(pause.unwrap_or_default()).await;
    if let Some(error) = entry.and_then(|entry| entry.error.as_ref()) {
        return Err((error.code, error.message.clone()));
    }
    let source = result::Source {
        media: &media,
        entry,
        options: &job.request_params,
        transcription_time: begun.elapsed().as_secs_f64(),
    };
    result::write(&source).map_err(|error| (500, error.to_string()))
}

async fn fetch_for(state: &State, job: &Job) -> Result<StoredFile, (u16, String)> {
    // The message is the one that callers get in the callback; the reason stays in the log.
    let failed = |reason: &dyn std::fmt::Display| {
        tracing::warn!(job.id = %job.id, %reason, "The simulator cannot use the audio of a job");
        (
            400,
            "Failed to download or upload the input file".to_owned(),
        )
    };
    let url: Url = job.audio_url.parse().map_err(|error| failed(&error))?;
    let file = fetch::audio(state, &url)
        .await
        .map_err(|error| failed(&error))?;
    let mut store = state.store();
    if let Some(job) = store.jobs.get_mut(&job.id) {
        job.file = Some(file.description());
        store.keep(file.clone());
    }
    Ok(file)
}

/// Ends a job and starts the next. False if the job is gone by now, after a reset.
fn end(state: &Arc<State>, id: Uuid, outcome: Result<Arc<RawValue>, (u16, String)>) -> bool {
    let mut store = state.store();
    let Some(job) = store.jobs.get_mut(&id) else {
        return false;
    };
    let done = outcome.is_ok();
    job.completed_at = Some(clock::now());
    match outcome {
        Ok(result) => {
            job.status = Status::Done;
            job.result_sha256 = Some(sha256(result.get()));
            // Where nothing is retained, a result that no callback waits for is gone as soon as it is there.
            let kept = !state.settings.zero_data_retention || job.callback.is_some();
            job.result = kept.then_some(result);
        }
        Err(error) => {
            job.status = Status::Error;
            job.error = Some(error);
        }
    }
    store.ledger.ended(done);
    store.running = store.running.saturating_sub(1);
    if let Some(next) = store.waiting.pop_front() {
        start(state, &mut store, next);
    }
    true
}

fn sha256(text: &str) -> String {
    let digit = |hex: String, byte: &u8| hex + &format!("{byte:02x}");
    Sha256::digest(text).iter().fold(String::new(), digit)
}
