//! When news arrived.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use futures_util::StreamExt;
use reqwest::Response;
use serde_json::Value;
use tokio::{net::TcpListener, sync::Notify, time::timeout};

use crate::floors::news as floor;

/// Instants by what arrived.
#[derive(Default)]
pub struct Marks {
    at: Mutex<HashMap<String, Instant>>,
    changed: Notify,
}

impl Marks {
    fn set(&self, what: String) {
        let now = Instant::now();
        self.at.lock().unwrap().entry(what).or_insert(now);
        self.changed.notify_waiters();
    }

    /// Waits until it has arrived.
    pub async fn wait(&self, what: &str, bound: Duration) -> Instant {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(at) = self.at.lock().unwrap().remove(what) {
                    return at;
                }
                changed.await;
            }
        };
        timeout(bound, waiting)
            .await
            .unwrap_or_else(|_| panic!("nothing came within {bound:?}: {what}"))
    }
}

/// Receives webhooks of both.
pub async fn serve_receiver(marks: Arc<Marks>) -> anyhow::Result<String> {
    let router = Router::new()
        .route("/gateway", post(take_event))
        .route("/floor", post(take_key))
        .with_state(marks);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

async fn take_event(State(marks): State<Arc<Marks>>, Json(event): Json<Value>) {
    if let Some(id) = event["data"]["transcription_id"].as_str() {
        marks.set(format!("gateway {id}"));
    }
}

async fn take_key(State(marks): State<Arc<Marks>>, headers: HeaderMap) {
    if let Some(key) = headers.get(floor::KEY).and_then(|key| key.to_str().ok()) {
        marks.set(format!("floor {key}"));
    }
}

/// Reads a stream of events for as long as it lasts.
pub fn follow_stream(marks: Arc<Marks>, stream: Response) {
    tokio::spawn(async move {
        let mut bytes = stream.bytes_stream();
        let mut rest = String::new();
        while let Some(Ok(chunk)) = bytes.next().await {
            rest.push_str(&String::from_utf8_lossy(&chunk));
            while let Some((line, after)) = rest.split_once('\n') {
                if let Some(data) = line.strip_prefix("data: ") {
                    let event: Value = serde_json::from_str(data).unwrap();
                    let id = event["data"]["transcription_id"].as_str().unwrap();
                    marks.set(format!("stream {id}"));
                }
                rest = after.to_owned();
            }
        }
    });
}
