//! Gladia in no time: a create is accepted, and its callback with a result of 30 KB follows right behind the answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use reqwest::{Client, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, time::timeout};

/// How long it waits before it calls back anew.
const PAUSE: Duration = Duration::from_millis(50);

/// How much text a result has.
const UTTERANCES: usize = 36;

/// Words in an utterance.
const WORDS: usize = 12;

pub struct InstantGladia {
    pub url: String,
    account: Arc<Account>,
}

struct Account {
    http: Client,
    /// What follows the id in every callback.
    rest: String,
    requests: AtomicUsize,
    called_back: AtomicUsize,
    changed: Notify,
}

#[derive(Deserialize)]
struct Create {
    callback_config: CallbackConfig,
}

#[derive(Deserialize)]
struct CallbackConfig {
    url: String,
}

impl InstantGladia {
    pub async fn start() -> anyhow::Result<Self> {
        let account = Arc::new(Account {
            http: Client::builder().no_proxy().build()?,
            rest: format!(
                r#","event":"transcription.success","payload":{}}}"#,
                result()
            ),
            requests: AtomicUsize::default(),
            called_back: AtomicUsize::default(),
            changed: Notify::default(),
        });
        let router = Router::new()
            .route("/v2/pre-recorded", post(create))
            .fallback(refuse)
            .with_state(Arc::clone(&account));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, account })
    }

    /// How many requests came so far, of whatever kind.
    pub fn requests(&self) -> usize {
        self.account.requests.load(Ordering::Relaxed)
    }

    /// How many callbacks were answered with 2xx so far.
    pub fn called_back(&self) -> usize {
        self.account.called_back.load(Ordering::Relaxed)
    }

    /// Waits until that many callbacks were answered.
    pub async fn wait_until_called_back(
        &self,
        count: usize,
        bound: Duration,
    ) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                let changed = self.account.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.called_back() >= count {
                    return;
                }
                changed.await;
            }
        };
        timeout(bound, waiting).await.with_context(|| {
            format!(
                "{} of {count} callbacks within {bound:?}",
                self.called_back()
            )
        })
    }
}

async fn create(
    State(account): State<Arc<Account>>,
    Json(create): Json<Create>,
) -> (StatusCode, Json<Value>) {
    account.requests.fetch_add(1, Ordering::Relaxed);
    let id = uuid::Uuid::new_v4().to_string();
    let result_url = format!("https://api.gladia.io/v2/pre-recorded/{id}");
    let answer = Json(json!({ "id": id, "result_url": result_url }));
    tokio::spawn(async move { account.call_back(&create.callback_config.url, &id).await });
    (StatusCode::CREATED, answer)
}

async fn refuse(State(account): State<Arc<Account>>) -> StatusCode {
    account.requests.fetch_add(1, Ordering::Relaxed);
    StatusCode::NOT_FOUND
}

impl Account {
    async fn call_back(&self, url: &str, id: &str) {
        let body = format!(r#"{{"id":"{id}"{}"#, self.rest);
        loop {
            let callback = self
                .http
                .post(url)
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
            if let Ok(answer) = callback.send().await
                && answer.status().is_success()
            {
                // To its end, or its connection is of no more use.
                drop(answer.bytes().await);
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.called_back.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }
}

/// A result in the shape of a transcript. Words differ, so that it shrinks about as speech does.
fn result() -> Value {
    const SYLLABLES: [&str; 16] = [
        "ta", "re", "mo", "li", "son", "ver", "ki", "pa", "dun", "es", "or", "in", "ch", "al",
        "um", "be",
    ];
    let mut seed = 1_u64;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut at = 0.0;
    let mut texts = Vec::new();
    let utterances: Vec<Value> = (0..UTTERANCES)
        .map(|_| {
            let start = at;
            let words: Vec<Value> = (0..WORDS)
                .map(|_| {
                    let syllables = 1 + random(3);
                    let word: String = (0..syllables)
                        .map(|_| SYLLABLES[usize::try_from(random(16)).unwrap()])
                        .collect();
                    let begin = at;
                    at += f64::from(u32::try_from(100 + random(500)).unwrap()) / 1000.0;
                    let confidence = f64::from(u32::try_from(50 + random(50)).unwrap()) / 100.0;
                    json!({ "word": format!(" {word}"), "start": begin, "end": at, "confidence": confidence })
                })
                .collect();
            let text: String = words.iter().filter_map(|word| word["word"].as_str()).collect();
            texts.push(text.clone());
            json!({
                "text": text, "language": "en", "start": start, "end": at, "confidence": 0.9, "channel": 0,
                "words": words,
            })
        })
        .collect();
    json!({
        "metadata": { "audio_duration": at, "number_of_distinct_channels": 1, "billing_time": at, "transcription_time": 1.5 },
        "transcription": { "languages": ["en"], "utterances": utterances, "full_transcript": texts.concat() },
    })
}
