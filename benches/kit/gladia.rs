//! Gladia, as far as it takes: creates are accepted, and the benchmark itself calls back when it wants to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, body::Body, extract::State, http::StatusCode, routing::post};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, time::timeout};

/// A job of Gladia's.
#[derive(Clone)]
pub struct Created {
    pub id: String,
    pub callback_url: String,
}

#[derive(Default)]
struct Jobs {
    by_audio: Mutex<HashMap<String, Created>>,
    changed: Notify,
}

pub struct FakeGladia {
    pub url: String,
    jobs: Arc<Jobs>,
}

impl FakeGladia {
    pub async fn start() -> anyhow::Result<Self> {
        let jobs = Arc::new(Jobs::default());
        let router = Router::new()
            .route("/v2/pre-recorded", post(create))
            .route("/v2/upload", post(upload))
            .with_state(Arc::clone(&jobs));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, jobs })
    }

    /// Waits for the create of this audio.
    pub async fn created(&self, audio_url: &str, bound: Duration) -> Created {
        let waiting = async {
            loop {
                let changed = self.jobs.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(created) = self.jobs.by_audio.lock().unwrap().remove(audio_url) {
                    return created;
                }
                changed.await;
            }
        };
        timeout(bound, waiting).await.expect("the job is submitted")
    }
}

async fn create(
    State(jobs): State<Arc<Jobs>>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let id = uuid::Uuid::new_v4().to_string();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let created = Created {
        id: id.clone(),
        callback_url: text(&body["callback_config"]["url"]),
    };
    jobs.by_audio
        .lock()
        .unwrap()
        .insert(text(&body["audio_url"]), created);
    jobs.changed.notify_waiters();
    let result_url = format!("https://api.gladia.io/v2/pre-recorded/{id}");
    (
        StatusCode::CREATED,
        Json(json!({ "id": id, "result_url": result_url })),
    )
}

/// A file: it is read and forgotten.
async fn upload(body: Body) -> (StatusCode, Json<Value>) {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        if piece.is_err() {
            return (StatusCode::BAD_REQUEST, Json(Value::Null));
        }
    }
    let audio_url = format!("https://api.gladia.io/file/{}", uuid::Uuid::new_v4());
    (StatusCode::OK, Json(json!({ "audio_url": audio_url })))
}
