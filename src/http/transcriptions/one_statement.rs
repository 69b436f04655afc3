//! Accepting in one statement what almost every create is; whatever is not like that goes on step by step.

use chrono::{DateTime, Utc};
use serde_json::value::to_raw_value;

use super::{audio, request::RequestedOptions};
use crate::{
    db::{
        self,
        jobs::{Job, OrdinaryJob},
    },
    domain::{
        audio_url::AudioUrl,
        idempotency::{Fingerprint, IdempotencyKey, Operation},
        ids::JobId,
        job::JobStatus,
        searchable::searchable,
    },
    http::{
        auth::presumed::Presumed, problem::Problem, request_scope::trace_context::accepting,
        state::AppState,
    },
    trace::Fact,
};

/// Accepts a job of audio on somebody else's server. `None`: there is more to it, and nothing has happened.
pub async fn accept(
    state: &AppState,
    caller: &Presumed,
    key: Option<&IdempotencyKey>,
    audio_url: &AudioUrl,
    options: &RequestedOptions,
) -> Result<Option<Job>, Problem> {
    if audio::may_be_an_upload(state, audio_url) {
        return Ok(None);
    }
    let now = if audio::says_until_when(audio_url) {
        let mut conn = state.conn().await?;
        let now = db::clock::now(&mut conn).await?;
        conn.put_back();
        now
    } else {
        // Nothing depends on it.
        DateTime::<Utc>::UNIX_EPOCH
    };
    let mut warnings = audio::warnings_of_link(state, audio_url, now);
    warnings.extend_from_slice(options.warnings());
    let request = to_raw_value(&options.to_stored()).map_err(unwritten)?;
    let warnings = match warnings.as_slice() {
        [] => None,
        warnings => Some(to_raw_value(warnings).map_err(unwritten)?),
    };
    let callback = options.callback();
    let callback = callback.map(|callback| serde_json::to_string(&callback));
    let id: JobId = state.ids.next();
    let mut span = accepting();
    let job = OrdinaryJob {
        id,
        caller: caller.caller(),
        request: request.get().to_owned(),
        audio_url: audio_url.as_str().to_owned(),
        warnings: warnings.as_ref().map(|warnings| warnings.get().to_owned()),
        callback: callback.transpose().map_err(unwritten)?,
        metadata: options
            .metadata()
            .into_iter()
            .flat_map(searchable)
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        trace: span.context(),
        key: key.map(|key| {
            let audio = audio_url.as_str().as_bytes();
            let operation = Operation::CreateTranscription;
            (
                key.clone(),
                Fingerprint::new(operation, &options.canonical(), audio),
            )
        }),
    };
    let Some(created_at) = state.job_group_commit.accept(job).await? else {
        return Ok(None);
    };
    span.add(Fact::Job(id));
    span.end();
    Ok(Some(Job {
        id,
        status: JobStatus::Queued,
        status_reason: None,
        request: Some(request),
        audio_url: Some(audio_url.as_str().to_owned()),
        upload: None,
        gladia_id: None,
        result_callback_id: None,
        addon_errors: Vec::new(),
        warnings,
        batch_id: None,
        batch_index: None,
        retries: 0,
        audio_duration_seconds: None,
        billing_time_seconds: None,
        error: None,
        created_at,
        started_at: None,
        finished_at: None,
        deleted_at: None,
        result: None,
    }))
}

fn unwritten(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Encode(Box::new(error))
}
