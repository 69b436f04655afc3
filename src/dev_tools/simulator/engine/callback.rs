//! The callback of one job: the result itself, or the error, sent until it is answered with 2xx.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{Body, Method, header};
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
struct Notice<'a> {
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
        if letter.send_with_faults(state, attempt).await == Fate::Settled {
            return;
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
    Some(letter.send(state, attempt, Shape::Whole).await)
}

/// Whether the sender has to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It was answered with 2xx, or the simulator believes so.
    Settled,
    Failed,
}

/// How the body goes out.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Whole,
    /// Half of it, as a complete request.
    Truncated,
    /// Half of it, and then the connection breaks.
    Broken,
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
        // A success whose result is gone has nothing to tell.
        if job.error.is_none() && job.result.is_none() {
            return None;
        }
        let body = Notice {
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

    /// One attempt, unless a fault has something against it.
    async fn send_with_faults(&self, state: &Arc<State>, attempt: u32) -> Fate {
        let effects = {
            let mut store = state.store();
            let texts = [self.target.url.as_str(), &self.body];
            let effects = store.faults.take(Operation::Callback, &texts);
            store.ledger.counts.faults_applied += effects.len() as u64;
            effects
        };
        let (mut copies, mut shape) = (1, Shape::Whole);
        for effect in effects {
            match effect {
                Effect::Delay { milliseconds } => {
                    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                }
                Effect::Lose => copies = 0,
                Effect::Duplicate => copies = 2,
                Effect::Truncate => shape = Shape::Truncated,
                Effect::Break => shape = Shape::Broken,
                _ => {}
            }
        }
        if copies == 0 {
            let record = CallbackRecord::now(attempt, None, Some("lost by a fault".to_owned()));
            state.store().ledger.counts.callbacks_lost += 1;
            self.note(state, record);
            return Fate::Settled;
        }
        let mut fate = Fate::Failed;
        for _ in 0..copies {
            let record = self.send(state, attempt, shape).await;
            fate = if record.is_delivered() {
                Fate::Settled
            } else {
                Fate::Failed
            };
        }
        fate
    }

    async fn send(&self, state: &Arc<State>, attempt: u32, shape: Shape) -> CallbackRecord {
        let answer = if !state.settings.allow_private && guard::refuses(&self.target.url) {
            Err("the address is not public".to_owned())
        } else {
            let method = if self.target.put {
                Method::PUT
            } else {
                Method::POST
            };
            let (length, body) = self.shaped(shape);
            state
                .sender
                .request(method, self.target.url.clone())
                .header(header::USER_AGENT, guard::CALLBACK_USER_AGENT)
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CONTENT_LENGTH, length)
                .header(header::ACCEPT, "application/json, text/plain, */*")
                .body(body)
                .send()
                .await
                .map(|response| response.status().as_u16())
                // The URL of a callback is as good as a password.
                .map_err(|error| error.without_url().to_string())
        };
        let cut = match shape {
            Shape::Whole => None,
            Shape::Truncated => Some("truncated by a fault".to_owned()),
            Shape::Broken => Some("broken by a fault".to_owned()),
        };
        let record = match answer {
            Ok(status) => CallbackRecord::now(attempt, Some(status), cut),
            Err(reason) => CallbackRecord::now(attempt, None, cut.or(Some(reason))),
        };
        {
            let counts = &mut state.store().ledger.counts;
            counts.callbacks_sent += 1;
            counts.callbacks_delivered += u64::from(record.is_delivered());
            counts.callbacks_truncated += u64::from(matches!(shape, Shape::Truncated));
        }
        self.note(state, record.clone());
        record
    }

    /// The body and the length that is announced for it.
    fn shaped(&self, shape: Shape) -> (usize, Body) {
        let bytes = Bytes::copy_from_slice(self.body.as_bytes());
        let half = bytes.slice(..bytes.len() / 2);
        match shape {
            Shape::Whole => (bytes.len(), bytes.into()),
            Shape::Truncated => (half.len(), half.into()),
            Shape::Broken => {
                let broken = async_stream::stream! {
                    yield Ok(half);
                    // Whoever waits for the rest has what came before on its way.
                    tokio::task::yield_now().await;
                    yield Err(io::Error::from(io::ErrorKind::BrokenPipe));
                };
                (bytes.len(), Body::wrap_stream(broken))
            }
        }
    }

    /// Writes an attempt down. Where nothing is retained, the answer to the callback ends the result.
    fn note(&self, state: &State, record: CallbackRecord) {
        if let Some(job) = state.store().jobs.get_mut(&self.id) {
            if state.settings.zero_data_retention && record.is_delivered() {
                job.result = None;
            }
            job.callbacks.push(record);
        }
    }
}
