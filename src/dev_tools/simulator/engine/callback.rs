//! The callback of one job: the result itself, or the error, sent until it is answered with 2xx.

use std::{sync::Arc, time::Duration};

use reqwest::{Method, header};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use crate::dev_tools::simulator::{
    faults::{Effect, Operation},
    guard,
    ledger::CallbackRecord,
    state::{CallbackTarget, Job, State},
};

#[derive(Serialize)]
struct Body<'a> {
    id: Uuid,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody<'a>>,
    /// Left out where none was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_metadata: Option<&'a Value>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: u16,
    message: &'a str,
}

/// Sends the callback of a job that has ended, as often as it takes and the settings allow.
pub(in crate::dev_tools::simulator) async fn deliver(state: &Arc<State>, id: Uuid) {
    let settings = &state.settings;
    let mut backoff = settings.callback_backoff;
    for attempt in 1..=settings.callback_attempts {
        let Some(letter) = Letter::of(state, id) else {
            return;
        };
        match letter.send_with_faults(state, attempt).await {
            Some(status) if (200..300).contains(&status) => return,
            // A lost callback is one that the simulator believes delivered.
            None if letter.is_lost(state) => return,
            _ => {}
        }
        tokio::time::sleep(backoff).await;
        backoff *= 2;
    }
}

/// Sends the callback once more, whatever happened before. None if there is nothing to send.
pub(in crate::dev_tools::simulator) async fn resend(
    state: &Arc<State>,
    id: Uuid,
) -> Option<CallbackRecord> {
    let letter = Letter::of(state, id)?;
    let attempt = {
        let store = state.store();
        let sent = store.jobs.get(&id)?.callbacks.len();
        u32::try_from(sent).unwrap_or(u32::MAX).saturating_add(1)
    };
    Some(letter.send(state, attempt).await)
}

/// A callback ready to be sent.
struct Letter {
    id: Uuid,
    target: CallbackTarget,
    body: String,
}

impl Letter {
    fn of(state: &State, id: Uuid) -> Option<Self> {
        let store = state.store();
        let job: &Job = store.jobs.get(&id).filter(|job| job.status.has_ended())?;
        let body = Body {
            id,
            event: if job.error.is_some() {
                "transcription.error"
            } else {
                "transcription.success"
            },
            payload: job.result.as_deref(),
            error: job.error.as_ref().map(|(code, message)| ErrorBody {
                code: *code,
                message,
            }),
            custom_metadata: job.custom_metadata.as_ref(),
        };
        Some(Self {
            id,
            target: job.callback.clone()?,
            body: serde_json::to_string(&body).ok()?,
        })
    }

    /// One attempt, unless a fault has something against it. The answer's status, if there is one.
    async fn send_with_faults(&self, state: &Arc<State>, attempt: u32) -> Option<u16> {
        let effects = {
            let mut store = state.store();
            let texts = [self.target.url.as_str(), &self.body];
            let effects = store.faults.take(Operation::Callback, &texts);
            store.ledger.counts.faults_applied += effects.len() as u64;
            effects
        };
        let mut copies = 1;
        for effect in effects {
            match effect {
                Effect::Delay { milliseconds } => {
                    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                }
                Effect::Lose => copies = 0,
                Effect::Duplicate => copies = 2,
                _ => {}
            }
        }
        if copies == 0 {
            let record = CallbackRecord::now(attempt, None, Some(LOST.to_owned()));
            state.store().ledger.counts.callbacks_lost += 1;
            self.note(state, record);
            return None;
        }
        let mut status = None;
        for _ in 0..copies {
            status = self.send(state, attempt).await.status;
        }
        status
    }

    fn is_lost(&self, state: &State) -> bool {
        let store = state.store();
        let last = store
            .jobs
            .get(&self.id)
            .and_then(|job| job.callbacks.last());
        last.is_some_and(|record| record.note.as_deref() == Some(LOST))
    }

    async fn send(&self, state: &Arc<State>, attempt: u32) -> CallbackRecord {
        let answer = if !state.settings.allow_loopback && guard::refuses(&self.target.url) {
            Err("the address is not public".to_owned())
        } else {
            let method = if self.target.put {
                Method::PUT
            } else {
                Method::POST
            };
            state
                .http
                .request(method, self.target.url.clone())
                .header(header::USER_AGENT, guard::CALLBACK_USER_AGENT)
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::ACCEPT, "application/json, text/plain, */*")
                .body(self.body.clone())
                .send()
                .await
                .map(|response| response.status().as_u16())
                // The URL of a callback is as good as a password.
                .map_err(|error| error.without_url().to_string())
        };
        let record = match answer {
            Ok(status) => CallbackRecord::now(attempt, Some(status), None),
            Err(reason) => CallbackRecord::now(attempt, None, Some(reason)),
        };
        {
            let counts = &mut state.store().ledger.counts;
            counts.callbacks_sent += 1;
            if record
                .status
                .is_some_and(|status| (200..300).contains(&status))
            {
                counts.callbacks_delivered += 1;
            }
        }
        self.note(state, record.clone());
        record
    }

    fn note(&self, state: &State, record: CallbackRecord) {
        if let Some(job) = state.store().jobs.get_mut(&self.id) {
            job.callbacks.push(record);
        }
    }
}

const LOST: &str = "lost by a fault";
